/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass_confine(): what a process can do with its client's socket before, and what is left of it. */

#include "test.h"

#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "basic/confine.h"
#include "libfdpass/fdpass.h"

/* A service of the host's, and a client's connection with a worker. */
static struct {
        int service_fd, client_fd, peer_fd;
        struct sockaddr_in service;
        struct sockaddr_un database;
        socklen_t database_length;
        int database_fd;
} t;

static int listen_on_loopback(struct sockaddr_in *ret) {
        socklen_t length = sizeof(*ret);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 5;

        *ret = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        assert_int_equal(bind(fd, (struct sockaddr *) ret, length), 0);
        (void) setsockopt(fd, IPPROTO_TCP, 23 /* TCP_FASTOPEN */, &on, sizeof(on));
        assert_int_equal(listen(fd, 8), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *) ret, &length), 0);
        return fd;
}

static int setup(void **state) {
        struct sockaddr_in port;
        int fd;

        (void) remember_fds(state);
        t.service_fd = listen_on_loopback(&t.service);
        fd = listen_on_loopback(&port);
        t.peer_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(t.peer_fd, (struct sockaddr *) &port, sizeof(port)), 0);
        t.client_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        assert_true(t.client_fd >= 0);
        close(fd);

        t.database.sun_family = AF_UNIX;
        t.database_length = sizeof(t.database);
        t.database_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(t.database_fd, (struct sockaddr *) &t.database, sizeof(sa_family_t)), 0);
        assert_int_equal(listen(t.database_fd, 8), 0);
        assert_int_equal(getsockname(t.database_fd, (struct sockaddr *) &t.database, &t.database_length), 0);
        return 0;
}

static int teardown(void **state) {
        close(t.service_fd);
        close(t.client_fd);
        close(t.peer_fd);
        close(t.database_fd);
        return compare_fds(state);
}

static int error_of(long r) {
        return r < 0 ? errno : 0;
}

/* One step of an attacker with the client's socket. Returns 0, or the errno of the call that fails. */

static int disconnect(void) {
        struct sockaddr none = { .sa_family = AF_UNSPEC };

        return error_of(connect(t.client_fd, &none, sizeof(none)));
}

static int try_connect(void) {
        return disconnect() ?: error_of(connect(t.client_fd, (struct sockaddr *) &t.service, sizeof(t.service)));
}

static int try_bind(void) {
        struct sockaddr_in any = { .sin_family = AF_INET };

        return disconnect() ?: error_of(bind(t.client_fd, (struct sockaddr *) &any, sizeof(any)));
}

static int try_listen(void) {
        return disconnect() ?: error_of(listen(t.client_fd, 8));
}

static int try_sendto(void) {
        (void) disconnect();
        return error_of(sendto(t.client_fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *) &t.service,
                               sizeof(t.service)));
}

static int try_sendmsg(void) {
        struct iovec iov = { .iov_base = (char[]){ 'x' }, .iov_len = 1 };
        struct mmsghdr m = { .msg_hdr = { .msg_name = &t.service, .msg_namelen = sizeof(t.service), .msg_iov = &iov,
                                          .msg_iovlen = 1 } };

        (void) disconnect();
        return error_of(sendmsg(t.client_fd, &m.msg_hdr, MSG_FASTOPEN | MSG_NOSIGNAL));
}

static int try_sendmmsg(void) {
        struct iovec iov = { .iov_base = (char[]){ 'x' }, .iov_len = 1 };
        struct mmsghdr m = { .msg_hdr = { .msg_name = &t.service, .msg_namelen = sizeof(t.service), .msg_iov = &iov,
                                          .msg_iovlen = 1 } };

        (void) disconnect();
        return error_of(sendmmsg(t.client_fd, &m, 1, MSG_FASTOPEN | MSG_NOSIGNAL));
}

static int try_io_uring(void) {
        char parameters[256] = "";

        return error_of(syscall(__NR_io_uring_setup, 4, parameters));
}

/* Reset by its peer, the client's socket is not to become one that can be connected. */
static int try_closed(void) {
        struct sockaddr none = { .sa_family = AF_UNSPEC };
        char byte;

        (void) connect(t.peer_fd, &none, sizeof(none));
        (void) !recv(t.client_fd, &byte, 1, 0);
        (void) shutdown(t.client_fd, SHUT_RDWR);
        return error_of(sendto(t.client_fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *) &t.service,
                               sizeof(t.service)));
}

/* The calls that a worker needs still work. */

static int try_database(void) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        return error_of(connect(fd, (struct sockaddr *) &t.database, t.database_length));
}

static int try_own(void) {
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        return error_of(bind(fd, (struct sockaddr *) &name, sizeof(sa_family_t))) ?: error_of(listen(fd, 8));
}

static int try_client(void) {
        char byte;

        return error_of(send(t.peer_fd, "a", 1, 0)) ?: error_of(recv(t.client_fd, &byte, 1, 0)) ?:
               error_of(send(t.client_fd, "b", 1, MSG_NOSIGNAL)) ?: error_of(recv(t.peer_fd, &byte, 1, 0));
}

typedef int (*Attempt)(void);

/* In a process of its own, because nothing can be undone. @r is what fdpass_confine() returned there. */
static int attempt(Attempt f, int flags, int *r) {
        int pipes[2], got[2] = { -1, -1 }, status;
        pid_t pid;

        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                got[0] = flags < 0 ? 0 : fdpass_confine((unsigned) flags);
                got[1] = f();
                _exit(write(pipes[1], got, sizeof(got)) == sizeof(got) ? 0 : 1);
        }

        close(pipes[1]);
        assert_int_equal(read(pipes[0], got, sizeof(got)), sizeof(got));
        close(pipes[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        *r = got[0];
        return got[1];
}

static bool service_was_reached(void) {
        int fd = accept4(t.service_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0)
                close(fd);
        return fd >= 0;
}

/* Linux by itself. It is why all this is needed, and that the tests below are able to fail. */
static void test_unconfined(void **state) {
        const Attempt ways[] = { try_connect, try_sendto, try_sendmsg, try_sendmmsg };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                (void) teardown(state);
                (void) setup(state);
                assert_int_equal(attempt(ways[i], -1, &r), 0);
                assert_true(service_was_reached());
        }

        (void) teardown(state);
        (void) setup(state);
        assert_int_equal(attempt(try_listen, -1, &r), 0);
        (void) teardown(state);
        (void) setup(state);
        assert_int_equal(attempt(try_bind, -1, &r), 0);
}

/* A closed connection stays one: without connect(2) there is no way to an unconnected socket. */
static void test_closed(void **state) {
        int r;

        assert_int_equal(attempt(try_closed, -1, &r), EISCONN);
        assert_false(service_was_reached());
}

static void test_all_refused(void **state) {
        const Attempt ways[] = { try_connect, try_bind, try_listen, try_sendto, try_sendmsg, try_sendmmsg, try_io_uring,
                                 try_database, try_own };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                assert_int_equal(attempt(ways[i], 0, &r), EPERM);
                assert_int_equal(r, 0);
                assert_false(service_was_reached());
        }

        assert_int_equal(attempt(try_client, 0, &r), 0);
}

/* AF_UNIX stays, and TCP goes by Landlock, or doesn't where the kernel has none. */
static void test_may_connect(void **state) {
        const Attempt ways[] = { try_listen, try_sendto, try_sendmsg, try_sendmmsg, try_io_uring, try_own };
        int r;

        assert_int_equal(attempt(try_database, FDPASS_MAY_CONNECT, &r), 0);
        assert_true(r == 0 || r == -EOPNOTSUPP);
        assert_int_equal(attempt(try_client, FDPASS_MAY_CONNECT, &r), 0);

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                (void) teardown(state);
                (void) setup(state);
                assert_int_equal(attempt(ways[i], FDPASS_MAY_CONNECT, &r), EPERM);
                assert_false(service_was_reached());
        }

        for (size_t i = 0; i < 2; i++) {
                (void) teardown(state);
                (void) setup(state);
                assert_int_equal(attempt(i ? try_bind : try_connect, FDPASS_MAY_CONNECT, &r), r == 0 ? EACCES : 0);
        }

        if (r < 0)
                print_message("This kernel has no Landlock with rights for TCP.\n");
}

static void test_may_listen(void **state) {
        int r;

        assert_int_equal(attempt(try_own, FDPASS_MAY_CONNECT | FDPASS_MAY_LISTEN, &r), 0);
        assert_int_equal(attempt(try_sendto, FDPASS_MAY_CONNECT | FDPASS_MAY_LISTEN, &r), EPERM);
        assert_int_equal(attempt(try_own, FDPASS_MAY_LISTEN, &r), EPERM); /* by bind(2) */
}

static void test_wrong_flags(void **state) {
        int r;

        assert_int_equal(attempt(try_database, 4, &r), 0);
        assert_int_equal(r, -EINVAL);
}

/* The rule by which fdpass-exec and the preload decide: the tests' own process has no no_new_privs. */
static int is_due(void) {
        return confine_is_due();
}

static int is_due_alone(void) {
        (void) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        return confine_is_due();
}

static int is_due_without_network(void) {
        return unshare(CLONE_NEWNET) < 0 ? -1 : is_due_alone();
}

static int is_due_again(void) {
        return is_due_without_network() < 0 ? -1 : confine(CONFINE_MAY_CONNECT) == -EINVAL || confine_is_due();
}

static void test_is_due(void **state) {
        int r, without;

        assert_int_equal(attempt(is_due, -1, &r), 0);

        without = attempt(is_due_without_network, -1, &r);
        if (without < 0)
                print_message("A network namespace of its own needs root.\n");
        else {
                assert_int_equal(without, 1);
                assert_int_equal(attempt(is_due_again, -1, &r), 0);
        }
}

#define CONFINE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static int ignore_sigpipe(void **state) {
        (void) signal(SIGPIPE, SIG_IGN);
        return 0;
}

TEST_MAIN_WITH(ignore_sigpipe, NULL,
               CONFINE_TEST(test_unconfined),
               CONFINE_TEST(test_closed),
               CONFINE_TEST(test_all_refused),
               CONFINE_TEST(test_may_connect),
               CONFINE_TEST(test_may_listen),
               CONFINE_TEST(test_wrong_flags),
               TEST(test_is_due))
