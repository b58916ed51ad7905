/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A server that knows nothing of fdpass, for test-preload*.c. It tells each client what it sees of it.
 *
 *      preload-server LISTEN WAIT [FLAGS]
 *
 * LISTEN:  fd           descriptor 3
 *          4, 6         its own socket of that family on port 8080
 *          b            both, of which it serves the first
 *          46, 64       both, bound in that order, and it serves both
 *          path:PATH    a socket at this path
 *          tcp          any port, which it prints
 * WAIT:    block, poll, select, epoll, edge, threads or fork
 * FLAGS:   n, c         flags of accept4()
 *          o            accept() instead
 *          s            forbids sockets of IP, as RestrictAddressFamilies= does
 *          d            serves a dup() of the socket
 *          x            shuts the socket down before
 *          f            closes clients of another family than the listener's, as nginx does
 *          l            both sockets block, as in git daemon
 *          1, 2         closes one of both sockets, and serves the other in a child
 *          p, q         binds its port first, to see whether it is free; p closes that socket, q keeps it
 *          u            calls listen() on a copy of descriptor 3
 *          k            closes all descriptors but its own
 *          i            serves descriptor 3 too, as uWSGI does: its clients are told WRONG. With WAIT threads a thread
 *                       does, with fork a child that has closed the other socket
 * *          e            the same, in a thread that serves descriptor 3 before the program binds
 *          r            takes its listener out of epoll after each client, and adds it again, as nginx does
 *          X            is one of several processes (EPOLLEXCLUSIVE)
 *
 * On SIGUSR1 a server that waits by epoll takes its listener out, with g closes it, and with y starts a child that lives
 * on, whose number it prints. On SIGUSR2 it adds the listener again.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define PORT 8080
#define WORKERS 3

static int second = -1; /* of two listeners */

static const char *letters = "";

static void fail(const char *what) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(1);
}

static int has(char letter) {
        return strchr(letters, letter) != NULL;
}

/* Any family but AF_UNIX gets EAFNOSUPPORT. */
static void forbid_ip(void) {
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 1, 0),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
                fail("seccomp");
}

static const char *address_text(const struct sockaddr_storage *a, socklen_t length, char *text, size_t size) {
        char host[INET6_ADDRSTRLEN];

        if (a->ss_family == AF_INET && length == sizeof(struct sockaddr_in)) {
                const struct sockaddr_in *in = (const struct sockaddr_in *) a;

                snprintf(text, size, "%s:%u", inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host)), ntohs(in->sin_port));
        } else if (a->ss_family == AF_INET6 && length == sizeof(struct sockaddr_in6)) {
                const struct sockaddr_in6 *in = (const struct sockaddr_in6 *) a;

                snprintf(text, size, "[%s]:%u", inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host)),
                         ntohs(in->sin6_port));
        } else
                snprintf(text, size, "family-%u/%u", a->ss_family, length);

        return text;
}

static int option(int fd, int name) {
        int value = -1;
        socklen_t length = sizeof(value);

        if (getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0)
                fail("getsockopt");
        return value;
}

static int tcp_option(int fd, int name) {
        int value = -1;
        socklen_t length = sizeof(value);

        return getsockopt(fd, IPPROTO_TCP, name, &value, &length) < 0 ? -1 : value;
}

static int open_ip(int family) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(PORT) };
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
        int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | (has('n') ? SOCK_NONBLOCK : 0), 0), on = 1;

        if (fd < 0)
                fail("socket");
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
            (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0))
                fail("setsockopt");
        if (bind(fd, family == AF_INET ? (struct sockaddr *) &in : (struct sockaddr *) &in6,
                 family == AF_INET ? sizeof(in) : sizeof(in6)) < 0)
                fail("bind");

        return fd;
}

static int open_listener(const char *how) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        struct sockaddr_in in = { .sin_family = AF_INET };
        int fd = -1;

        if (strcmp(how, "fd") == 0)
                return 3;
        if (strcmp(how, "b") == 0) {
                fd = open_ip(AF_INET);
                (void) open_ip(AF_INET6);
        }
        if (strcmp(how, "46") == 0 || strcmp(how, "64") == 0) {
                fd = open_ip(*how == '4' ? AF_INET : AF_INET6);
                second = open_ip(*how == '4' ? AF_INET6 : AF_INET);
                if (listen(second, 5) < 0)
                        fail("listen");
        }
        if (strcmp(how, "4") == 0 || strcmp(how, "6") == 0)
                fd = open_ip(*how == '4' ? AF_INET : AF_INET6);
        if (strcmp(how, "tcp") == 0) {
                in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                fd = socket(AF_INET, SOCK_STREAM, 0);
                if (bind(fd, (struct sockaddr *) &in, sizeof(in)) < 0)
                        fail("bind");
        } else if (strncmp(how, "path:", 5) == 0) {
                snprintf(un.sun_path, sizeof(un.sun_path), "%s", how + 5);
                fd = socket(AF_UNIX, SOCK_STREAM, 0);
                if (bind(fd, (struct sockaddr *) &un, sizeof(un)) < 0)
                        fail("bind");
        }
        if (fd < 0 || listen(fd, 5) < 0)
                fail("listen");

        return fd;
}

/* Prints the address that it listens on. */
static void tell_listener(int fd) {
        struct sockaddr_storage a = {};
        socklen_t length = sizeof(a);
        char text[64];
        int on = 1;

        if (getsockname(fd, (struct sockaddr *) &a, &length) < 0)
                fail("getsockname");
        if (setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof(on)) < 0)
                fail("TCP_DEFER_ACCEPT");
        if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0)
                fail("SO_KEEPALIVE");
        printf("%s domain=%i type=%i protocol=%i listens=%i\n", address_text(&a, length, text, sizeof(text)),
               option(fd, SO_DOMAIN), option(fd, SO_TYPE), option(fd, SO_PROTOCOL), option(fd, SO_ACCEPTCONN));
        fflush(stdout);
}

/* Returns 0 where there is no client. */
static int serve_one(int listener) {
        struct sockaddr_storage peer = {}, again = {}, local = {};
        socklen_t peer_length = sizeof(peer), again_length = sizeof(again), local_length = sizeof(local);
        char text[64], text_again[64], text_local[64], line[256];
        int fd, n;

        fd = has('o') ? accept(listener, (struct sockaddr *) &peer, &peer_length)
                      : accept4(listener, (struct sockaddr *) &peer, &peer_length,
                                (has('n') ? SOCK_NONBLOCK : 0) | (has('c') ? SOCK_CLOEXEC : 0));
        if (fd < 0) {
                if (errno == EMFILE)
                        usleep(10000);
                if (errno == EAGAIN)
                        return 0;
                if (errno == ECONNABORTED || errno == EINTR || errno == EMFILE)
                        return 1;
                fail("accept");
        }

        if ((has('i') || has('e')) && listener == 3) {
                (void) !send(fd, "WRONG\n", 6, MSG_NOSIGNAL);
                close(fd);
                return 1;
        }
        if (has('f') && peer.ss_family != option(listener, SO_DOMAIN)) {
                close(fd);
                return 1;
        }

        if (getpeername(fd, (struct sockaddr *) &again, &again_length) < 0 ||
            getsockname(fd, (struct sockaddr *) &local, &local_length) < 0)
                snprintf(line, sizeof(line), "gone\n");
        else
                snprintf(line, sizeof(line), "%s %s %s nonblock=%i cloexec=%i nodelay=%i keepalive=%i fd=%i\n",
                         address_text(&peer, peer_length, text, sizeof(text)),
                         address_text(&again, again_length, text_again, sizeof(text_again)),
                         address_text(&local, local_length, text_local, sizeof(text_local)),
                         !!(fcntl(fd, F_GETFL) & O_NONBLOCK), !!(fcntl(fd, F_GETFD) & FD_CLOEXEC),
                         tcp_option(fd, TCP_NODELAY), option(fd, SO_KEEPALIVE), fd);
        n = (int) strlen(line);
        (void) !send(fd, line, (size_t) n, MSG_NOSIGNAL);
        close(fd);
        return 1;
}

static void wait_poll(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        if (poll(&p, 1, -1) < 0 && errno != EINTR)
                fail("poll");
}

static void wait_select(int fd) {
        fd_set set;

        FD_ZERO(&set);
        FD_SET(fd, &set);
        if (select(fd + 1, &set, NULL, NULL, NULL) < 0 && errno != EINTR)
                fail("select");
}

static volatile sig_atomic_t usr1, usr2;

static void on_signal(int number) {
        if (number == SIGUSR1)
                usr1 = 1;
        else
                usr2 = 1;
}

static void epoll_change(int epoll_fd, int op, int fd, uint32_t flags) {
        struct epoll_event event = { .events = EPOLLIN | flags, .data.fd = fd };

        if (epoll_ctl(epoll_fd, op, fd, &event) < 0)
                fail("epoll_ctl");
}

static void obey(int epoll_fd, int fd, uint32_t flags) {
        pid_t child;

        if (usr2)
                epoll_change(epoll_fd, EPOLL_CTL_ADD, fd, flags);
        else if (usr1 && has('g'))
                close(fd);
        else if (usr1 && has('y')) {
                child = fork();
                if (child == 0)
                        for (;;)
                                pause();
                printf("%i\n", (int) child);
                fflush(stdout);
        } else if (usr1)
                epoll_change(epoll_fd, EPOLL_CTL_DEL, fd, 0);
        usr1 = usr2 = 0;
}

/* Signals arrive while it waits only. */
static void serve_by_epoll(int fd, uint32_t flags) {
        int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        struct sigaction action = { .sa_handler = on_signal };
        sigset_t none;

        sigemptyset(&none);
        sigaction(SIGUSR1, &action, NULL);
        sigaction(SIGUSR2, &action, NULL);
        epoll_change(epoll_fd, EPOLL_CTL_ADD, fd, flags);
        if (second >= 0)
                epoll_change(epoll_fd, EPOLL_CTL_ADD, second, flags);

        for (;;) {
                struct epoll_event event;
                int n = epoll_pwait(epoll_fd, &event, 1, -1, &none);

                obey(epoll_fd, fd, flags);
                if (n < 0)
                        continue;
                while (serve_one(event.data.fd) && flags & EPOLLET)
                        ;
                if (has('r')) {
                        epoll_change(epoll_fd, EPOLL_CTL_DEL, event.data.fd, 0);
                        epoll_change(epoll_fd, EPOLL_CTL_ADD, event.data.fd, flags);
                }
        }
}

static void *serve_forever(void *listener) {
        for (;;)
                (void) serve_one((int) (intptr_t) listener);
        return NULL;
}

static void serve_both(int fd) {
        struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = second, .events = POLLIN } };

        for (;;) {
                if (poll(p, 2, -1) < 0 && errno != EINTR)
                        fail("poll");
                for (int i = 0; i < 2; i++)
                        if (p[i].revents & POLLIN)
                                (void) serve_one(p[i].fd);
        }
}

/* Returns the one that is left. */
static int close_one(int fd) {
        int left = has('1') ? second : fd;

        close(has('1') ? fd : second);
        second = -1;
        if (fork() > 0)
                for (;;)
                        pause();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        return left;
}

/* As a daemon does that trusts nothing of what it was started with. */
static void close_rest(int fd) {
        for (int i = 3; i < 1024; i++)
                if (i != fd && i != second)
                        close(i);
}

static atomic_int early_thread;

static void *serve_inherited(void *unused) {
        (void) unused;
        atomic_store(&early_thread, gettid());
        return serve_forever((void *) 3);
}

/* Returns when the thread sleeps in accept(). */
static void serve_early(void) {
        char path[64], state = '?';
        pthread_t thread;

        if (pthread_create(&thread, NULL, serve_inherited, NULL) != 0)
                fail("pthread_create");
        while (atomic_load(&early_thread) == 0)
                sched_yield();
        snprintf(path, sizeof(path), "/proc/self/task/%i/stat", atomic_load(&early_thread));
        while (state != 'S') {
                FILE *f = fopen(path, "re");

                if (!f || fscanf(f, "%*d %*s %c", &state) != 1)
                        fail("stat");
                fclose(f);
        }
}

/* One listener in another thread or process, the other one here. */
static void serve_apart(int fd, const char *how) {
        pthread_t thread;

        if (strcmp(how, "threads") == 0) {
                if (pthread_create(&thread, NULL, serve_forever, (void *) (intptr_t) second) != 0)
                        fail("pthread_create");
        } else if (fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(fd);
                (void) serve_forever((void *) (intptr_t) second);
        }
        (void) serve_forever((void *) (intptr_t) fd);
}

static void serve(int fd, const char *how) {
        int is_edge = strcmp(how, "edge") == 0;
        pthread_t thread;

        if (has('i') && (strcmp(how, "threads") == 0 || strcmp(how, "fork") == 0))
                serve_apart(fd, how);
        if (strcmp(how, "threads") == 0)
                for (int i = 1; i < WORKERS; i++)
                        if (pthread_create(&thread, NULL, serve_forever, (void *) (intptr_t) fd) != 0)
                                fail("pthread_create");
        if (strcmp(how, "fork") == 0)
                for (int i = 1; i < WORKERS; i++)
                        if (fork() == 0) {
                                prctl(PR_SET_PDEATHSIG, SIGKILL);
                                break;
                        }
        if (second >= 0 && has('l'))
                serve_both(fd);
        if (second >= 0) {
                (void) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
                (void) fcntl(second, F_SETFL, fcntl(second, F_GETFL) | O_NONBLOCK);
                if (strcmp(how, "epoll") != 0 && !is_edge)
                        serve_both(fd);
        }
        if (strcmp(how, "block") == 0 || strcmp(how, "threads") == 0 || strcmp(how, "fork") == 0)
                (void) serve_forever((void *) (intptr_t) fd);

        (void) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        if (strcmp(how, "poll") == 0)
                for (;; wait_poll(fd))
                        (void) serve_one(fd);
        if (strcmp(how, "select") == 0)
                for (;; wait_select(fd))
                        (void) serve_one(fd);

        serve_by_epoll(fd, (is_edge ? EPOLLET : 0) | (has('X') ? EPOLLEXCLUSIVE : 0));
}

int main(int argc, char *argv[]) {
        sigset_t signals;
        int fd;

        sigemptyset(&signals);
        sigaddset(&signals, SIGUSR1);
        sigaddset(&signals, SIGUSR2);
        sigprocmask(SIG_BLOCK, &signals, NULL);

        if (argc < 3)
                return 2;
        if (argc > 3)
                letters = argv[3];
        if (has('s'))
                forbid_ip();

        if (has('p'))
                close(open_ip(AF_INET));
        if (has('q'))
                (void) open_ip(AF_INET);
        if (has('e'))
                serve_early();
        fd = open_listener(argv[1]);
        if (has('d'))
                fd = dup(fd);
        if (has('u') && listen(dup(3), 5) < 0)
                fail("listen");
        if (has('x')) /* it changes nothing */
                (void) shutdown(fd, SHUT_RDWR);
        if (has('1') || has('2'))
                fd = close_one(fd);
        if (has('i'))
                second = 3;
        if (has('k'))
                close_rest(fd);
        tell_listener(fd);
        serve(fd, argv[2]);
}
