/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "basic/fd.h"
#include "broker/stage/socket-options.h"

/* A listener, and the address by which a client of one family reaches it. */
typedef struct Case {
        const char *name;
        int listener_family, client_family;
        const char *to;
} Case;

static const Case cases[] = {
        { "IPv4",             AF_INET,  AF_INET,  "127.0.0.1" },
        { "IPv6",             AF_INET6, AF_INET6, "::1"       },
        { "IPv4 inside IPv6", AF_INET6, AF_INET,  "127.0.0.1" },
};

static int listen_for(const Case *c, in_port_t *ret_port) {
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
        struct sockaddr_in in = { .sin_family = AF_INET };
        bool is_in6 = c->listener_family == AF_INET6;
        struct sockaddr *sa = is_in6 ? (struct sockaddr *) &in6 : (struct sockaddr *) &in;
        socklen_t len = is_in6 ? sizeof(in6) : sizeof(in);
        int fd = socket(c->listener_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(bind(fd, sa, len), 0);
        assert_int_equal(listen(fd, 4), 0);
        assert_int_equal(getsockname(fd, sa, &len), 0);
        *ret_port = is_in6 ? in6.sin6_port : in.sin_port;
        return fd;
}

/* A new client of @listener: both ends of its connection. */
static int accept_from(const Case *c, int listener, in_port_t port, int *ret_client) {
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = port };
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = port };
        bool is_in6 = c->client_family == AF_INET6;
        int fd;

        assert_int_equal(inet_pton(c->client_family, c->to, is_in6 ? (void *) &in6.sin6_addr : (void *) &in.sin_addr), 1);
        *ret_client = socket(c->client_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(*ret_client, is_in6 ? (struct sockaddr *) &in6 : (struct sockaddr *) &in, is_in6 ? sizeof(in6) : sizeof(in)), 0);
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

static const struct {
        int level, name, value;
} changes[] = {
        { SOL_SOCKET,   SO_KEEPALIVE,     1    }, { SOL_SOCKET,   SO_RCVLOWAT,       4096 }, { SOL_SOCKET,   SO_PEEK_OFF,     5 },
        { SOL_SOCKET,   SO_OOBINLINE,     1    }, { SOL_SOCKET,   SO_ZEROCOPY,       1    }, { SOL_SOCKET,   SO_TIMESTAMPING, 8 },
        { SOL_SOCKET,   SO_PRIORITY,      3    }, { SOL_SOCKET,   SO_MAX_PACING_RATE, 1000 }, { IPPROTO_TCP, TCP_NODELAY,     1 },
        { IPPROTO_TCP,  TCP_CORK,         1    }, { IPPROTO_TCP,  TCP_KEEPIDLE,      9    }, { IPPROTO_TCP,  TCP_USER_TIMEOUT, 77 },
        { IPPROTO_TCP,  TCP_NOTSENT_LOWAT, 1   }, { IPPROTO_TCP,  TCP_WINDOW_CLAMP,  2000 }, { IPPROTO_IP,   IP_TOS,          8 },
        { IPPROTO_IP,   IP_TTL,           3    }, { IPPROTO_IP,   IP_RECVERR,        1    }, { IPPROTO_IPV6, IPV6_UNICAST_HOPS, 3 },
        { IPPROTO_IPV6, IPV6_RECVPKTINFO, 1    },
};

static int value_of(int fd, size_t i) {
        int value = 0;
        socklen_t len = sizeof(value);

        return getsockopt(fd, changes[i].level, changes[i].name, &value, &len) < 0 ? 0 : value;
}

/* Nothing has to be done for a new socket, in no family, and that works. */
static void test_new(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                in_port_t port;
                int listener = listen_for(&cases[i], &port), client, fd = accept_from(&cases[i], listener, port, &client);

                assert_int_equal(socket_options_restore(fd, listener, false), 0);
                assert_int_equal(socket_options_restore(fd, -EBADF, false), 0);
                fd_close(fd);
                fd_close(client);
                fd_close(listener);
        }
}

static void test_changed(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                in_port_t port;
                int listener = listen_for(&cases[i], &port), client, other, fresh, fd;

                fd = accept_from(&cases[i], listener, port, &client);
                fresh = accept_from(&cases[i], listener, port, &other);
                for (size_t k = 0; k < ELEMENTSOF(changes); k++)
                        (void) setsockopt(fd, changes[k].level, changes[k].name, &changes[k].value, sizeof(int));
                (void) setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 60 }, sizeof(struct linger));
                (void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 1, 0 }, sizeof(struct timeval));
                assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC), 0);
                assert_int_equal(fcntl(fd, F_SETOWN, getpid()), 0);

                assert_int_equal(socket_options_restore(fd, listener, false), 0);
                for (size_t k = 0; k < ELEMENTSOF(changes); k++)
                        if (value_of(fd, k) != value_of(fresh, k))
                                fail_msg("%s: option %i of level %i is %i instead of %i", cases[i].name, changes[k].name,
                                         changes[k].level, value_of(fd, k), value_of(fresh, k));
                assert_int_equal(fcntl(fd, F_GETFL), fcntl(fresh, F_GETFL));
                assert_int_equal(fcntl(fd, F_GETOWN), 0);

                fd_close(fd);
                fd_close(fresh);
                fd_close(client);
                fd_close(other);
                fd_close(listener);
        }
}

/* The options that the unit of a public socket has given its listener come back, too. */
static void test_of_listener(void **state) {
        in_port_t port;
        int listener = listen_for(&cases[1], &port), client, fd, value = 0;

        assert_int_equal(setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)), 0);
        assert_int_equal(setsockopt(listener, IPPROTO_IPV6, IPV6_TCLASS, &(int){ 16 }, sizeof(int)), 0);
        fd = accept_from(&cases[1], listener, port, &client);
        assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 0 }, sizeof(int)), 0);
        assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &(int){ 0 }, sizeof(int)), 0);

        assert_int_equal(socket_options_restore(fd, listener, false), 0);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &(socklen_t){ sizeof(value) }), 0);
        assert_int_equal(value, 1);
        assert_int_equal(getsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &value, &(socklen_t){ sizeof(value) }), 0);
        assert_int_equal(value, 16);

        fd_close(fd);
        fd_close(client);
        fd_close(listener);
}

/* A filter is taken off. One that is locked can't be, and no other worker may have the client. */
static void test_filter(void **state) {
        struct sock_filter drop[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
        struct sock_fprog program = { .len = 1, .filter = drop };
        in_port_t port;
        int listener = listen_for(&cases[0], &port), client, fd = accept_from(&cases[0], listener, port, &client);
        char byte;

        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
        assert_int_equal(socket_options_restore(fd, listener, false), 0);
        assert_int_equal(send(client, "x", 1, 0), 1);
        assert_int_equal(recv(fd, &byte, 1, 0), 1);

        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &(int){ 1 }, sizeof(int)), 0);
        assert_true(socket_options_restore(fd, listener, false) < 0);

        fd_close(fd);
        fd_close(client);
        fd_close(listener);
}

TEST_MAIN(TEST(test_new),
          TEST(test_changed),
          TEST(test_of_listener),
          TEST(test_filter))
