/* SPDX-License-Identifier: MIT-0 */

/*
 * The sockets that systemd passed, in the place of those that the program binds. assign.c says which of them is which
 * port. If the program binds a port for both families, family.c explains what happens.
 */

#include "workers/preload/preload.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

typedef struct PassedSocket {
        int fd;
        uint64_t cookie;
        KnownSocket *second;        /* the program's listener of the other family; NULL: there never was one */
        char name[FD_NAME_MAX + 1]; /* its FileDescriptorName=; "": unknown */
} PassedSocket;

static PassedSocket passed[PORTS_MAX];
static size_t n_passed;

static atomic_bool has_fork_handlers;

/* If LISTEN_PID= is this process, the descriptors of LISTEN_FDS= are certainly systemd's. */
static bool passed_to_us(void) {
        const char *pid = getenv("LISTEN_PID");

        return pid && strtol(pid, NULL, 10) == getpid();
}

/* Ends the process if @fd has a worker's path but can't be accepted on. */
static void passed_check_form(int fd) {
        struct sockaddr_un name;

        if (!worker_socket_name(fd, &name) || !environment_has_path(name.sun_path))
                return;

        if (socket_option(fd, SO_TYPE) == SOCK_DGRAM)
                log_fatal("%s is a datagram socket, on which no server accepts. Its unit has to say ListenStream= or "
                          "ListenSequentialPacket=.", name.sun_path);

        log_fatal("What systemd has passed is a connection of %s, and no socket to accept on. Its unit must not say "
                  "Accept=yes.", name.sun_path);
}

/* Finds the worker's sockets among the descriptors that systemd passed. */
static void passed_find(bool is_ours, WorkerSocket ret[static PORTS_MAX]) {
        for (int i = 0; i < environment.n_listen_fds && n_passed < PORTS_MAX; i++) {
                PassedSocket *p = &passed[n_passed];

                p->fd = FIRST_FD + i;
                if (worker_socket_inspect(p->fd, &ret[n_passed])) {
                        p->cookie = socket_cookie(p->fd);
                        environment_read_name((size_t) i, p->name);
                        ret[n_passed++].passed_fd = p->fd;
                } else if (is_ours)
                        passed_check_form(p->fd);
        }
}

void passed_init(void) {
        const char *names[PORTS_MAX];
        WorkerSocket sockets[PORTS_MAX];
        bool is_ours = passed_to_us();

        passed_find(is_ours, sockets);
        for (size_t i = 0; i < n_passed; i++)
                names[i] = passed[i].name;

        assign_sockets(names, n_passed, is_ours);
        for (size_t i = 0; i < environment.n_ports; i++)
                if (environment.ports[i].socket >= 0)
                        sockets[environment.ports[i].socket].port = environment.ports[i].port;

        for (size_t i = 0; i < n_passed; i++)
                (void) known_add(passed[i].cookie, &sockets[i]);
}

/* Returns false if the program has closed the descriptor. */
static bool passed_is_open(const PassedSocket *p) {
        return socket_cookie(p->fd) == p->cookie;
}

/*
 * The program can't close these descriptors on exec by itself, because it does not know of them. If the child closes
 * the listener that the program bound, the inherited descriptor is spare nevertheless (inherited.c).
 */
static void passed_in_child(void) {
        for (size_t i = 0; i < n_passed; i++) {
                KnownSocket *k = known_find(passed[i].cookie);
                int listener_fd = k ? atomic_load(&k->listener_fd) : 0;

                if (passed_is_open(&passed[i]))
                        (void) fcntl(passed[i].fd, F_SETFD, FD_CLOEXEC);
                if (listener_fd > 0 && socket_cookie(listener_fd) == passed[i].cookie)
                        atomic_store(&k->has_parent_listener, true);
        }
}

/*
 * Makes @fd a duplicate of @listener_fd, with the flags that @fd had. O_NONBLOCK belongs to the open file description
 * (fcntl(2)), so it changes for all duplicates of the listener. Returns 1 or a negative errno.
 */
static int passed_put(int fd, int listener_fd) {
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

/* Closes our end of the pair, unless the program has closed it and uses its number for something else. */
static void passed_close_sender(KnownSocket *k) {
        int fd = atomic_exchange(&k->sender_fd, 0);

        if (fd > 0 && socket_cookie(fd) == atomic_load(&k->sender_cookie))
                (void) close(fd);
}

/*
 * Checks whether the program has closed the first of its two listeners, because we don't see close(). If so, the second
 * one becomes the worker's socket, and the worker's socket stands for the second family.
 */
static void passed_settle(const PassedSocket *p) {
        KnownSocket *k = known_find(p->cookie);
        Override override;
        int fd;

        if (!k || atomic_load(&k->sender_fd) == 0 || !passed_is_open(p) ||
            override_find_listener(p->cookie, &override) >= 0)
                return;

        while ((fd = override_find_listener(atomic_load(&p->second->cookie), &override)) >= 0) {
                if (passed_put(fd, p->fd) < 0)
                        return;
                override_set(fd, &override);
                atomic_store(&k->family, override.local.sa.sa_family);
                passed_close_sender(k);
        }
}

/* nginx starts its next workers after it has closed the listeners that its new configuration lacks. */
static void passed_before_fork(void) {
        int saved_errno = errno;

        for (size_t i = 0; i < n_passed; i++)
                passed_settle(&passed[i]);
        errno = saved_errno;
}

/* FD_CLOEXEC is set in children only, because sshd, for example, executes itself again on SIGHUP. */
static int passed_replace(int fd, const PassedSocket *p) {
        KnownSocket *k = known_find(p->cookie);
        int r = passed_put(fd, p->fd);

        if (r > 0 && k)
                atomic_store(&k->bound_fd, fd);
        if (r > 0 && !atomic_exchange(&has_fork_handlers, true))
                (void) pthread_atfork(passed_before_fork, NULL, passed_in_child);
        return r;
}

/* Makes the pair for the second listener, which equals the first one in all but the family. Returns 0 or an errno. */
static int passed_open_second(PassedSocket *p, KnownSocket *k, sa_family_t family, unsigned options, int *ret) {
        _cleanup_close_ int fd = -EBADF, sender_fd = -EBADF;
        WorkerSocket w = k->socket;

        w.is_pair = true;
        fd = family_open(&sender_fd);
        if (fd < 0)
                return fd;

        if (!p->second)
                p->second = known_add(0, &w);
        if (!p->second)
                return -ENOBUFS;

        atomic_store(&p->second->family, family);
        atomic_store(&p->second->options, options);
        atomic_store(&p->second->cookie, socket_cookie(fd));
        passed_close_sender(k);
        atomic_store(&k->sender_cookie, socket_cookie(sender_fd));
        atomic_store(&k->sender_fd, take_fd(&sender_fd));
        *ret = take_fd(&fd);
        return 0;
}

/* Replaces @fd by the second listener. Returns 0 if the worker's socket does not yet stand for another family. */
static int passed_replace_second(int fd, PassedSocket *p, KnownSocket *k, sa_family_t family, unsigned options) {
        _cleanup_close_ int listener_fd = -EBADF;
        Override override;
        int r, second_fd;

        passed_settle(p);
        if (atomic_load(&k->family) == AF_UNSPEC || atomic_load(&k->family) == family ||
            override_find_listener(p->cookie, &override) < 0)
                return 0;

        /* A socket for the second family is there already, so a further address of that family gets a copy of it. */
        if (atomic_load(&k->sender_fd) > 0) {
                second_fd = override_find_listener(atomic_load(&p->second->cookie), &override);
                if (second_fd >= 0)
                        return passed_put(fd, second_fd);
        }

        r = passed_open_second(p, k, family, options, &listener_fd);
        return r < 0 ? r : passed_put(fd, listener_fd);
}

int passed_find_second(uint64_t cookie, uint64_t *ret) {
        Override override;

        for (size_t i = 0; i < n_passed; i++)
                if (passed[i].cookie == cookie && passed[i].second) {
                        *ret = atomic_load(&passed[i].second->cookie);
                        return override_find_listener(*ret, &override);
                }

        return -ENOENT;
}

int passed_find_first(uint64_t cookie) {
        Override override;

        for (size_t i = 0; i < n_passed; i++)
                if (passed[i].second && atomic_load(&passed[i].second->cookie) == cookie)
                        return override_find_listener(passed[i].cookie, &override);

        return -ENOENT;
}

static int passed_replace_bound(int fd, PassedSocket *p, const IpAddress *wanted, unsigned options) {
        KnownSocket *k = known_find(p->cookie);
        sa_family_t family = wanted->sa.sa_family;
        int r;

        if (!k)
                log_fatal("The kernel does not tell sockets apart (SO_COOKIE, Linux 4.12), so FDPASS_LISTEN= can't be "
                          "used.");

        r = passed_replace_second(fd, p, k, family, options);
        if (r == 0) {
                r = passed_replace(fd, p);
                if (r < 0)
                        return r;
                atomic_store(&k->family, family);
                (void) atomic_fetch_or(&k->options, options);
        }
        if (r > 0)
                override_set(fd, &(Override){ .kind = OVERRIDE_LISTENER, .local = *wanted });
        return r;
}

int passed_replace_port(int fd, const IpAddress *wanted, unsigned options) {
        in_port_t port = wanted->sa.sa_family == AF_INET6 ? wanted->in6.sin6_port : wanted->in.sin_port;

        for (size_t i = 0; i < environment.n_ports; i++) {
                const ListenPort *p = &environment.ports[i];

                if (p->port != port)
                        continue;

                if (p->socket < 0 || !passed_is_open(&passed[p->socket]))
                        log_fatal("For port %u of FDPASS_LISTEN= systemd has passed no socket%s%s (number %zu of those "
                                  "in /run/fdpass or FDPASS_SOCKET=). Is its .socket unit of the service's name, or in "
                                  "Sockets= of the service, and started?", (unsigned) ntohs(port),
                                  p->name ? " with the name " : "", p->name ? p->name : "", i + 1);

                return passed_replace_bound(fd, &passed[p->socket], wanted, options);
        }

        return 0;
}

int passed_replace_path(int fd, const char *path) {
        for (size_t i = 0; i < n_passed; i++) {
                struct sockaddr_un name;

                if (passed_is_open(&passed[i]) && worker_socket_name(passed[i].fd, &name) &&
                    strcmp(name.sun_path, path) == 0)
                        return passed_replace(fd, &passed[i]);
        }

        return 0;
}
