/* SPDX-License-Identifier: MIT-0 */

/*
 * Which sockets bring clients: listening ones of AF_UNIX whose name is below /run/fdpass, or in FDPASS_SOCKET=. So
 * they are known by whatever way they came here, be it a fork(), a script in between or a dup(). What is found out
 * of one is kept.
 */

#include "workers/preload/preload.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */
#define KNOWN_MAX 64

typedef struct Known {
        _Atomic uint64_t cookie; /* 0: not filled in yet */
        Listener listener;       /* but for what may change: */
        atomic_uint family, options;
        atomic_int other_fd;            /* set last */
        _Atomic uint64_t other_cookie;
} Known;

/* The first ones are those that systemd has passed; what does not fit is found out every time. */
static Known known[KNOWN_MAX];
static atomic_uint n_known;

/* In the order in which they were passed, which is that of FDPASS_LISTEN=. */
static struct {
        int fd;
        uint64_t cookie;
        Known *other; /* the program's listener of the other family, see other.c */
} passed[PORTS_MAX];
static size_t n_passed;

static atomic_bool knows_children;

static bool name_of(int fd, struct sockaddr_un *ret) {
        socklen_t length = sizeof(*ret) - 1; /* a path may fill sun_path without NUL (unix(7), "BUGS") */

        *ret = (struct sockaddr_un){};
        return real.getsockname(fd, (struct sockaddr *) ret, &length) == 0 && ret->sun_family == AF_UNIX;
}

/* The rules are libfdpass's, see "SECURITY" in libfdpass(3): what can't be seen is not believed. */
static void look_at_file(Listener *l) {
        struct stat st;

        l->trusts_all = false;
        l->owner = (uid_t) -1;

        if (l->name.sun_path[0] == '/' && stat(l->name.sun_path, &st) >= 0 && S_ISSOCK(st.st_mode)) {
                l->trusts_all = !(st.st_mode & S_IWOTH);
                l->owner = st.st_uid;
        }
}

static Known *find_known(uint64_t cookie) {
        unsigned n = cookie != 0 ? atomic_load(&n_known) : 0;

        for (size_t i = 0; i < n && i < KNOWN_MAX; i++)
                if (atomic_load_explicit(&known[i].cookie, memory_order_acquire) == cookie)
                        return &known[i];

        return NULL;
}

/* Two threads may keep the same one twice, to no harm. */
static Known *keep(uint64_t cookie, const Listener *l) {
        unsigned i;

        if (atomic_load(&n_known) >= KNOWN_MAX)
                return NULL;
        i = atomic_fetch_add(&n_known, 1);
        if (i >= KNOWN_MAX)
                return NULL;

        known[i].listener = *l;
        atomic_store_explicit(&known[i].cookie, cookie, memory_order_release);
        return &known[i];
}

static bool look_at(int fd, Listener *ret) {
        *ret = (Listener){};

        if (!name_of(fd, &ret->name) || !settings_has_path(ret->name.sun_path) ||
            socket_option(fd, SO_ACCEPTCONN) <= 0)
                return false;

        ret->type = socket_option(fd, SO_TYPE);
        if (settings.n_ports > 0)
                ret->claimed_port = settings.ports[0];
        look_at_file(ret);
        return true;
}

bool listener_find(int fd, Listener *ret) {
        uint64_t cookie = socket_cookie(fd);
        Known *k;

        k = find_known(cookie);
        if (k) {
                int other_fd = atomic_load(&k->other_fd);

                *ret = k->listener;
                ret->other_fd = other_fd;
                ret->other_cookie = atomic_load(&k->other_cookie);
                ret->family = (sa_family_t) atomic_load(&k->family);
                ret->options = atomic_load(&k->options);
                return true;
        }

        if (cookie == 0 || !look_at(fd, ret))
                return false;

        (void) keep(cookie, ret);
        return true;
}

void listener_set_options(int fd, unsigned on, unsigned off) {
        Known *k = find_known(socket_cookie(fd));

        if (!k)
                return;

        (void) atomic_fetch_or(&k->options, on);
        (void) atomic_fetch_and(&k->options, ~off);
}

/* LISTEN_PID= is of this process, and so LISTEN_FDS= is about descriptors that can't be anything else. */
static bool passed_to_us(void) {
        const char *pid = getenv("LISTEN_PID");

        return pid && strtol(pid, NULL, 10) == getpid();
}

/* What has a worker's name, and still is nothing to accept on. */
static void refuse_form(int fd) {
        struct sockaddr_un name;

        if (!name_of(fd, &name) || !settings_has_path(name.sun_path))
                return;

        if (socket_option(fd, SO_TYPE) == SOCK_DGRAM)
                give_up("%s is a datagram socket, on which no server accepts. Its unit has to say ListenStream= or "
                        "ListenSequentialPacket=.", name.sun_path);

        give_up("What systemd has passed is a connection of %s, and no socket to accept on. Its unit must not say "
                "Accept=yes.", name.sun_path);
}

void listeners_init(void) {
        bool is_ours = passed_to_us();

        for (int fd = FIRST_FD; fd < FIRST_FD + settings.n_listen_fds && n_passed < PORTS_MAX; fd++) {
                Listener l;

                if (!look_at(fd, &l)) {
                        if (is_ours)
                                refuse_form(fd);
                        continue;
                }
                if (n_passed < settings.n_ports)
                        l.claimed_port = settings.ports[n_passed];

                passed[n_passed].fd = fd;
                passed[n_passed].cookie = socket_cookie(fd);
                (void) keep(passed[n_passed].cookie, &l);
                n_passed++;
        }
}

static bool is_there(size_t i) {
        return i < n_passed && socket_cookie(passed[i].fd) == passed[i].cookie;
}

/* The program doesn't know of what systemd has passed, and so it can't keep it from those that it starts. */
static void in_child(void) {
        for (size_t i = 0; i < n_passed; i++)
                if (is_there(i))
                        (void) fcntl(passed[i].fd, F_SETFD, FD_CLOEXEC);
}

/* The program's descriptor keeps its flags. O_NONBLOCK is the listener's from now on, wherever else it is open. */
static int put(int fd, int listener_fd) {
        int status_flags = fcntl(fd, F_GETFL), fd_flags = fcntl(fd, F_GETFD), flags;

        flags = fcntl(listener_fd, F_GETFL);
        if (status_flags < 0 || fd_flags < 0 || flags < 0)
                return -errno;

        flags = (flags & ~O_NONBLOCK) | (status_flags & O_NONBLOCK);
        if (fcntl(listener_fd, F_SETFL, flags) < 0)
                return -errno;

        if (fd != listener_fd && dup3(listener_fd, fd, fd_flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
                return -errno;

        return 1;
}

/* Our end of the pair, unless the program has closed it and has something else under its number. */
static void close_sender(Known *k) {
        int fd = atomic_exchange(&k->other_fd, 0);

        if (fd > 0 && socket_cookie(fd) == atomic_load(&k->other_cookie))
                (void) close(fd);
}

/*
 * The program may have closed one of its two listeners, which nobody tells us. Where it was the one that the worker's
 * socket stood for, that stands for the other one from now on.
 */
static void settle(size_t i) {
        Known *k = find_known(passed[i].cookie), *other = passed[i].other;
        Claim claim;
        int fd;

        if (!k || atomic_load(&k->other_fd) == 0 || !is_there(i))
                return;

        if (claim_find_listener(passed[i].cookie, &claim) < 0)
                while ((fd = claim_find_listener(atomic_load(&other->cookie), &claim)) >= 0) {
                        if (put(fd, passed[i].fd) < 0)
                                return;
                        claim_set(fd, &claim);
                        atomic_store(&k->family, claim.local.sa.sa_family);
                        close_sender(k);
                }
}

/* Before the program's next worker process: nginx has closed by then what its new configuration hasn't. */
static void before_fork(void) {
        int saved_errno = errno;

        for (size_t i = 0; i < n_passed; i++)
                settle(i);
        errno = saved_errno;
}

static int replace(int fd, size_t i) {
        int r;

        r = put(fd, passed[i].fd);

        /* Not FD_CLOEXEC at once: sshd, for one, starts itself again on SIGHUP. */
        if (r > 0 && !atomic_exchange(&knows_children, true))
                (void) pthread_atfork(before_fork, NULL, in_child);
        return r;
}

/* The listener is the first's in all but the family. */
static int open_other(size_t i, Known *k, sa_family_t family, unsigned options, int *ret) {
        _cleanup_close_ int fd = -EBADF, sender_fd = -EBADF;
        Listener l = k->listener;

        l.is_other = true;
        fd = other_open(&sender_fd);
        if (fd < 0)
                return fd;

        if (!passed[i].other)
                passed[i].other = keep(0, &l);
        if (!passed[i].other)
                return -ENOBUFS;

        atomic_store(&passed[i].other->family, family);
        atomic_store(&passed[i].other->options, options);
        atomic_store(&passed[i].other->cookie, socket_cookie(fd));
        close_sender(k);
        atomic_store(&k->other_cookie, socket_cookie(sender_fd));
        atomic_store(&k->other_fd, take_fd(&sender_fd));
        *ret = take_fd(&fd);
        return 0;
}

/* Where the worker's socket stands for the other family already. Returns 0 where it doesn't. */
static int replace_other(int fd, size_t i, Known *k, sa_family_t family, unsigned options) {
        _cleanup_close_ int listener_fd = -EBADF;
        Claim claim;
        int r, known_fd;

        settle(i);
        if (atomic_load(&k->family) == AF_UNSPEC || atomic_load(&k->family) == family ||
            claim_find_listener(passed[i].cookie, &claim) < 0)
                return 0;

        /* It is bound to more than one address of this family. */
        if (atomic_load(&k->other_fd) > 0) {
                known_fd = claim_find_listener(atomic_load(&passed[i].other->cookie), &claim);
                if (known_fd >= 0)
                        return put(fd, known_fd);
        }

        r = open_other(i, k, family, options, &listener_fd);
        return r < 0 ? r : put(fd, listener_fd);
}

/* To the n-th socket of those that systemd has passed. */
static int replace_port(int fd, size_t i, const Address *wanted, unsigned options) {
        Known *k = find_known(passed[i].cookie);
        sa_family_t family = wanted->sa.sa_family;
        int r;

        if (!k)
                give_up("The kernel does not tell sockets apart (SO_COOKIE, Linux 4.12), so FDPASS_LISTEN= can't be used.");

        r = replace_other(fd, i, k, family, options);
        if (r == 0) {
                r = replace(fd, i);
                if (r < 0)
                        return r;
                atomic_store(&k->family, family);
                (void) atomic_fetch_or(&k->options, options);
        }
        if (r > 0)
                claim_set(fd, &(Claim){ .kind = CLAIM_LISTENER, .local = *wanted });
        return r;
}

int listener_replace(int fd, const Address *wanted, unsigned options) {
        in_port_t port = wanted->sa.sa_family == AF_INET6 ? wanted->in6.sin6_port : wanted->in.sin_port;

        for (size_t i = 0; i < settings.n_ports; i++) {
                if (settings.ports[i] != port)
                        continue;

                if (!is_there(i))
                        give_up("For port %u of FDPASS_LISTEN= systemd has passed no socket (number %zu of those in "
                                "/run/fdpass or FDPASS_SOCKET=). Is its .socket unit of the service's name, or in "
                                "Sockets= of the service, and started?", (unsigned) ntohs(port), i + 1);

                return replace_port(fd, i, wanted, options);
        }

        return 0;
}

int listener_replace_named(int fd, const char *path) {
        for (size_t i = 0; i < n_passed; i++) {
                struct sockaddr_un name;

                if (is_there(i) && name_of(passed[i].fd, &name) && strcmp(name.sun_path, path) == 0)
                        return replace(fd, i);
        }

        return 0;
}
