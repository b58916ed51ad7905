/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl list-connections asks the kernel about real connections: bytes, idle times, half-closed and ended ones. */

#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "basic/fd.h"
#include "basic/time.h"
#include "fdpassctl/socket-facts.h"
#include "fdpassctl/socket-open.h"

#define DEADLINE_USEC (10 * USEC_PER_SEC)

typedef struct Pair {
        int client, server;
        uint64_t cookie; /* of @server */
} Pair;

static Pair connect_pair(int family) {
        union {
                struct sockaddr sa;
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
        } a = {};
        socklen_t len = family == AF_INET ? sizeof(a.in) : sizeof(a.in6), n = sizeof(uint64_t);
        int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        Pair p = { .client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0) };

        a.sa.sa_family = (sa_family_t) family;
        if (family == AF_INET)
                a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        else
                a.in6.sin6_addr = in6addr_loopback;
        assert_int_equal(bind(listener, &a.sa, len), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(getsockname(listener, &a.sa, &len), 0);
        assert_int_equal(connect(p.client, &a.sa, len), 0);
        p.server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(p.server >= 0);
        assert_int_equal(getsockopt(p.server, SOL_SOCKET, SO_COOKIE, &p.cookie, &n), 0);
        fd_close(listener);
        return p;
}

static void close_pair(Pair *p) {
        fd_close(p->client);
        fd_close(p->server);
}

/* Asks for one connection. The caller frees the list. */
static Value ask(uint64_t cookie) {
        Value list = { .kind = VALUE_LIST }, *row = value_add(&list, NULL, VALUE_DICT);

        value_add(row, "Cookie", VALUE_UNSIGNED)->u = cookie;
        assert_int_equal(socket_facts_add(&list), 0);
        return list;
}

/* The kernel counts a byte when it is acknowledged, so the answer may be late by a moment. */
static void wait_for_bytes(uint64_t cookie, uint64_t in, uint64_t out) {
        usec_t end = usec_now() + DEADLINE_USEC;

        for (;;) {
                _cleanup_value_ Value list = ask(cookie);

                if (value_number(&list.items[0], "BytesIn") == in && value_number(&list.items[0], "BytesOut") == out &&
                    value_get(&list.items[0], "BytesIn")->kind == VALUE_UNSIGNED)
                        return;
                if (usec_now() > end)
                        fail_msg("%llu and %llu bytes", (unsigned long long) value_number(&list.items[0], "BytesIn"),
                                 (unsigned long long) value_number(&list.items[0], "BytesOut"));
        }
}

static void test_bytes(void **state) {
        static const int families[] = { AF_INET, AF_INET6 };
        char buffer[5000] = {};

        for (size_t i = 0; i < ELEMENTSOF(families); i++) {
                Pair p = connect_pair(families[i]);

                wait_for_bytes(p.cookie, 0, 0);
                assert_int_equal(send(p.client, buffer, 1234, 0), 1234);
                assert_int_equal(send(p.server, buffer, 5000, 0), 5000);
                wait_for_bytes(p.cookie, 1234, 5000);
                close_pair(&p);
        }
}

/* A FIN is no byte, whichever end comes first. */
static void test_half_closed(void **state) {
        for (unsigned order = 0; order < 2; order++) {
                Pair p = connect_pair(AF_INET);

                assert_int_equal(send(p.client, "abc", 3, 0), 3);
                assert_int_equal(send(p.server, "de", 2, 0), 2);
                assert_int_equal(shutdown(order ? p.server : p.client, SHUT_WR), 0);
                wait_for_bytes(p.cookie, 3, 2);
                close_pair(&p);
        }
}

static void test_idle(void **state) {
        Pair p = connect_pair(AF_INET);
        usec_t end = usec_now() + DEADLINE_USEC;
        uint64_t idle = 0;

        while (idle < 50 * USEC_PER_MSEC) {
                _cleanup_value_ Value list = ask(p.cookie);

                assert_true(usec_now() < end);
                idle = value_number(&list.items[0], "IdleUSec");
        }

        /* Some ticks of the kernel (up to 10 ms each) may be between the byte and the answer, and the machine may be busy. */
        for (idle = USEC_INFINITY; idle >= 50 * USEC_PER_MSEC;) {
                _cleanup_value_ Value list = {};

                assert_true(usec_now() < end);
                assert_int_equal(send(p.client, "x", 1, 0), 1);
                list = ask(p.cookie);
                idle = value_number(&list.items[0], "IdleUSec");
        }
        close_pair(&p);
}

/* A connection that has ended, and a cookie that no socket has, get nothing. Rows without a cookie are no mistake. */
static void test_ended(void **state) {
        _cleanup_value_ Value none = { .kind = VALUE_LIST };
        Pair p = connect_pair(AF_INET);
        usec_t end = usec_now() + DEADLINE_USEC;
        bool is_there = true;

        close_pair(&p);
        while (is_there) {
                _cleanup_value_ Value list = ask(p.cookie);

                assert_true(usec_now() < end);
                is_there = value_get(&list.items[0], "BytesIn")->kind != VALUE_NULL;
        }

        assert_int_equal(socket_facts_add(&none), 0);
        assert_non_null(value_add(&none, NULL, VALUE_DICT));
        assert_int_equal(socket_facts_add(&none), 0);
        assert_int_equal(none.items[0].n_items, 0);
}

/* Many connections in one answer, in rows that are not sorted. */
static void test_many(void **state) {
        Pair pairs[200];
        _cleanup_value_ Value list = { .kind = VALUE_LIST };

        for (size_t i = 0; i < ELEMENTSOF(pairs); i++) {
                pairs[i] = connect_pair(i % 2 ? AF_INET : AF_INET6);
                for (size_t k = 0; k <= i % 7; k++)
                        assert_int_equal(send(pairs[i].client, "x", 1, 0), 1);
        }
        for (size_t i = ELEMENTSOF(pairs); i-- > 0;) {
                Value *row = value_add(&list, NULL, VALUE_DICT);

                wait_for_bytes(pairs[i].cookie, i % 7 + 1, 0);
                value_add(row, "Cookie", VALUE_UNSIGNED)->u = pairs[i].cookie;
        }
        assert_int_equal(socket_facts_add(&list), 0);
        for (size_t i = 0; i < ELEMENTSOF(pairs); i++)
                assert_int_equal(value_number(&list.items[ELEMENTSOF(pairs) - 1 - i], "BytesIn"), i % 7 + 1);
        for (size_t i = 0; i < ELEMENTSOF(pairs); i++)
                close_pair(&pairs[i]);
}

static uint64_t count_open(uint16_t port) {
        _cleanup_value_ Value list = { .kind = VALUE_LIST };
        char address[32];

        (void) snprintf(address, sizeof(address), "[::]:%u", port);
        assert_int_equal(value_add_string(value_add(&list, NULL, VALUE_DICT), "Address", address), 0);
        assert_int_equal(value_add_string(value_add(&list, NULL, VALUE_DICT), "Address", "unix:/run/a:80"), 0);
        assert_int_equal(socket_open_add(&list), 0);
        assert_int_equal(value_get(&list.items[1], "Open")->kind, VALUE_NULL);
        return value_number(&list.items[0], "Open");
}

/* Connections of a port are counted by its end: accepted ones, those in the backlog, and none that both ends have closed. */
static void test_open(void **state) {
        struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), clients[3], server;
        socklen_t n = sizeof(a);
        uint16_t port;

        assert_int_equal(bind(listener, (struct sockaddr *) &a, sizeof(a)), 0);
        assert_int_equal(listen(listener, 8), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *) &a, &n), 0);
        port = ntohs(a.sin6_port);
        assert_int_equal(count_open(port), 0);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
                assert_int_equal(connect(clients[i], (struct sockaddr *) &a, sizeof(a)), 0);
        }
        assert_int_equal(count_open(port), 3);
        server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(count_open(port), 3);
        fd_close(clients[0]);
        fd_close(server);
        assert_int_equal(count_open(port), 2);
        fd_close(clients[1]);
        fd_close(clients[2]);
        fd_close(listener);
}

static void test_port(void **state) {
        assert_int_equal(socket_port("[::]:80"), 80);
        assert_int_equal(socket_port("192.0.2.1:65535"), 65535);
        assert_int_equal(socket_port("192.0.2.1:65536"), 0);
        assert_int_equal(socket_port("unix:/run/fdpass/a:80"), 0);
        assert_int_equal(socket_port("@a:80"), 0);
        assert_int_equal(socket_port(""), 0);
}

TEST_MAIN(cmocka_unit_test(test_open),
          cmocka_unit_test(test_port),
          cmocka_unit_test(test_bytes),
          cmocka_unit_test(test_half_closed),
          cmocka_unit_test(test_idle),
          cmocka_unit_test(test_ended),
          cmocka_unit_test(test_many))
