/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Refused clients that may read their answer. */

#include "tcp-fixture.h"

#include "handoff/message.h"

static const RouteSpec by_host = { .unit = "a.socket", .worker = "a", .host = "example.org" };

/* Refused clients that linger do not stop new clients, and do not evict others. */
static void test_lingering_makes_room(void **state) {
        int worker = listen_at("a", 64), refused[100], client;
        Config *config = config_of(&by_host, 1);

        add_tcp("tcp");
        config->broker.max_clients = 32;
        use_config(config);
        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                refused[i] = connect_tcp();
                say(refused[i], "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n");
                (void) broker_turn(t.broker, 0);
        }
        WAIT_FOR(n_accepted() == ELEMENTSOF(refused));
        assert_false(is_paused());

        client = dial("public");
        say(client, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
        assert_int_equal(take_byte(worker), 'G');

        close_all(refused, ELEMENTSOF(refused));
        fd_close(client);
        fd_close(worker);
}

/* A refused client of which it never became clear what it is gets our FIN. */
static void test_unclear_client_is_closed(void **state) {
        int client;

        add_tcp("tcp");
        use_config(config_of(&by_host, 1));
        client = connect_tcp();
        say(client, "GE");
        WAIT_FOR(is_closed(client));
        fd_close(client);
}

/* A refused client that lingers does not point to a route that a reload has freed. */
static void test_refused_over_reload(void **state) {
        static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        int worker = listen_at("a", 8), client = dial("public"), conn, fd = -EBADF;

        USE({ .unit = "a.socket", .worker = "a" });
        assert_int_equal(send(client, request, sizeof(request) - 1, 0), sizeof(request) - 1);
        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive(conn, &fd), 0);
        fd_close(fd);
        handoff_answer(conn, FDPASS_ANSWER_ERROR);
        WAIT_FOR(n_refused(REFUSAL_WORKER) == 1);

        USE({ .unit = "b.socket", .worker = "b" });
        WAIT_FOR(first_client_state() == CLIENT_REFUSED);
        assert_false(first_client_has_route());

        fd_close(conn);
        fd_close(client);
        fd_close(worker);
}

TEST_MAIN(BROKER_TEST(test_lingering_makes_room),
          BROKER_TEST(test_unclear_client_is_closed),
          BROKER_TEST(test_refused_over_reload))
