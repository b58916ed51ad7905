/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Turns of the loop. */

#include "tcp-fixture.h"

static const RouteSpec by_host = { .unit = "a.socket", .worker = "a", .host = "example.org" };

/* Heads that come byte by byte all the time leave their turn to listeners and timers. */
static void test_trickle_starves_nobody(void **state) {
        int worker = listen_at("a", 8), trickling[10], client;
        usec_t start;

        add_tcp("tcp");
        use_config(config_of(&by_host, 1));
        for (size_t i = 0; i < ELEMENTSOF(trickling); i++) {
                trickling[i] = connect_tcp();
                say(trickling[i], "GET /");
        }
        WAIT_FOR(n_accepted() == ELEMENTSOF(trickling));

        client = connect_tcp();
        say(client, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
        start = usec_now();
        while (!has_event(worker, POLLIN)) {
                assert_true(usec_now() - start < 2 * USEC_PER_SEC);
                for (size_t i = 0; i < ELEMENTSOF(trickling); i++)
                        (void) !send(trickling[i], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
                assert_true(broker_turn(t.broker, 0) >= 0);
        }
        assert_int_equal(take_byte(worker), 'G');

        close_all(trickling, ELEMENTSOF(trickling));
        fd_close(client);
        fd_close(worker);
}

TEST_MAIN(BROKER_TEST(test_trickle_starves_nobody))
