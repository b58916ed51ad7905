/* SPDX-License-Identifier: MIT-0 */

/*
 * The workers' sockets: listening sockets of AF_UNIX whose path is below /run/fdpass, or in FDPASS_SOCKET=. They are
 * recognized by the path, because a descriptor may come by fork(), dup() or a script as well. A table keeps the result.
 */

#include "workers/preload/preload.h"

#include <sys/stat.h>

/* A socket that finds no room in the table is inspected each time. */
#define KNOWN_MAX 64

static KnownSocket known[KNOWN_MAX];
static atomic_uint n_known;

bool worker_socket_name(int fd, struct sockaddr_un *ret) {
        socklen_t length = sizeof(*ret) - 1; /* a path may fill sun_path without NUL (unix(7), "BUGS") */

        *ret = (struct sockaddr_un){};
        return real.getsockname(fd, (struct sockaddr *) ret, &length) == 0 && ret->sun_family == AF_UNIX;
}

/* The rules are libfdpass's, see "SECURITY" in libfdpass(3). If the file is not visible, only root is trusted. */
static void worker_socket_inspect_file(WorkerSocket *w) {
        struct stat st;

        w->trusts_all = false;
        w->owner = (uid_t) -1;

        if (w->name.sun_path[0] == '/' && stat(w->name.sun_path, &st) >= 0 && S_ISSOCK(st.st_mode)) {
                w->trusts_all = !(st.st_mode & S_IWOTH);
                w->owner = st.st_uid;
        }
}

bool worker_socket_inspect(int fd, WorkerSocket *ret) {
        *ret = (WorkerSocket){};

        if (!worker_socket_name(fd, &ret->name) || !environment_has_path(ret->name.sun_path) ||
            socket_option(fd, SO_ACCEPTCONN) <= 0)
                return false;

        ret->type = socket_option(fd, SO_TYPE);
        if (environment.n_ports > 0)
                ret->port = environment.ports[0].port;
        worker_socket_inspect_file(ret);
        return true;
}

KnownSocket *known_find(uint64_t cookie) {
        unsigned n = cookie != 0 ? atomic_load(&n_known) : 0;

        for (size_t i = 0; i < n && i < KNOWN_MAX; i++)
                if (atomic_load_explicit(&known[i].cookie, memory_order_acquire) == cookie)
                        return &known[i];

        return NULL;
}

bool known_has_messages(void) {
        unsigned n = atomic_load(&n_known);

        for (size_t i = 0; i < n && i < KNOWN_MAX; i++)
                if (atomic_load_explicit(&known[i].cookie, memory_order_acquire) != 0 && known[i].socket.type == SOCK_SEQPACKET)
                        return true;

        return false;
}

/* Two threads may add the same socket twice. That only wastes an entry, because the first one is found. */
KnownSocket *known_add(uint64_t cookie, const WorkerSocket *w) {
        unsigned i;

        if (atomic_load(&n_known) >= KNOWN_MAX)
                return NULL;
        i = atomic_fetch_add(&n_known, 1);
        if (i >= KNOWN_MAX)
                return NULL;

        known[i].socket = *w;
        atomic_store_explicit(&known[i].cookie, cookie, memory_order_release);
        return &known[i];
}

bool worker_socket_find(int fd, WorkerSocket *ret) {
        uint64_t cookie = socket_cookie(fd);
        KnownSocket *k;

        k = known_find(cookie);
        if (k) {
                int sender_fd = atomic_load(&k->sender_fd); /* before its cookie, which is set before it */

                *ret = k->socket;
                ret->cookie = cookie;
                ret->sender_fd = sender_fd;
                ret->sender_cookie = atomic_load(&k->sender_cookie);
                ret->family = (sa_family_t) atomic_load(&k->family);
                ret->options = atomic_load(&k->options);
                return true;
        }

        if (cookie == 0 || !worker_socket_inspect(fd, ret))
                return false;

        ret->cookie = cookie;
        (void) known_add(cookie, ret);
        return true;
}

void worker_socket_set_options(int fd, unsigned on, unsigned off) {
        KnownSocket *k = known_find(socket_cookie(fd));

        if (!k)
                return;

        (void) atomic_fetch_or(&k->options, on);
        (void) atomic_fetch_and(&k->options, ~off);
}
