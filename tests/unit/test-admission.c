/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whether there is room for a new client. */

#include "tcp-fixture.h"

/* At the high-water mark no client is accepted. Below it the broker accepts again. */
static void test_high_water(void **state) {
        int a = listen_at("a", 128), b = listen_at("b", 128), clients[80];

        assert_int_equal(broker_add_listener(t.broker, "other", listen_at("other", 128)), 0);
        USE({ .unit = "a.socket", .worker = "a", .listener = "public", .max_pending = 100 },
            { .unit = "b.socket", .worker = "b", .listener = "other", .max_pending = 100 });
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = dial_and_say(i % 2 ? "other" : "public", 'x');
                (void) broker_turn(t.broker, 0);
        }

        WAIT_FOR(is_paused());
        assert_int_equal(n_in_broker(), max_clients());

        for (size_t i = 0; i < max_clients() / 2; i++) {
                assert_int_equal(take_byte(a), 'x');
                assert_int_equal(take_byte(b), 'x');
        }
        WAIT_FOR(n_accepted() == ELEMENTSOF(clients));
        assert_false(is_paused());

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(a);
        fd_close(b);
}

/* One pool leaves half of the room to the others, whatever its units say. */
static void test_share(void **state) {
        int a = listen_at("a", 128), b = listen_at("b", 128), clients[60], other;

        assert_int_equal(broker_add_listener(t.broker, "other", listen_at("other", 128)), 0);
        USE({ .unit = "a.socket", .worker = "a", .listener = "public", .max_pending = 1000, .max_queued = 1000 },
            { .unit = "b.socket", .worker = "b", .listener = "other" });
        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                clients[i] = dial("public");
        WAIT_FOR(n_accepted() == ELEMENTSOF(clients));
        WAIT_FOR(n_in_broker() == max_clients() / 2); /* the others were refused and are gone */
        assert_int_equal(n_refused(REFUSAL_QUEUE_FULL), ELEMENTSOF(clients) - max_clients() / 2);

        other = dial_and_say("other", 'x');
        assert_int_equal(take_byte(b), 'x');

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(other);
        fd_close(a);
        fd_close(b);
}

/* Out of descriptors the broker sleeps, and goes on when there are some again. */
static void test_out_of_descriptors(void **state) {
        int worker = listen_at("a", 8), client;
        struct rlimit limit, none;
        unsigned n_turns = 0;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_and_say("public", 'x');

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        none = (struct rlimit){ (rlim_t) lowest_free_fd(), limit.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        WAIT_FOR(is_paused());
        for (usec_t end = usec_now() + 500 * USEC_PER_MSEC; usec_now() < end; n_turns++)
                assert_true(broker_turn(t.broker, end - MIN(usec_now(), end)) >= 0);
        assert_true(n_turns < 20);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);

        assert_int_equal(take_byte(worker), 'x');

        fd_close(client);
        fd_close(worker);
}

static const RouteSpec by_host = { .unit = "a.socket", .worker = "a", .host = "example.org" };

/* A client over the share of its address evicts no other client. */
static void test_over_share_evicts_nobody(void **state) {
        int worker = listen_at("a", 64), idle[50], greedy[40];
        Config *config = config_of(&by_host, 1);

        add_tcp("tcp");
        config->listener_default.max_clients_per_source = 1;
        config->listener_default.head_timeout_usec = 30 * USEC_PER_SEC;
        use_config(config);

        for (size_t i = 0; i < ELEMENTSOF(idle); i++) {
                idle[i] = dial("public");
                say(idle[i], "GET /");
        }
        WAIT_FOR(n_accepted() == ELEMENTSOF(idle));
        for (size_t i = 0; i < ELEMENTSOF(greedy); i++) {
                greedy[i] = connect_tcp();
                say(greedy[i], "GET /");
        }
        WAIT_FOR(n_accepted() == ELEMENTSOF(idle) + ELEMENTSOF(greedy));
        assert_int_equal(n_refused(REFUSAL_EVICTED), 0);
        assert_int_equal(n_refused(REFUSAL_SOURCE_FULL), ELEMENTSOF(greedy) - 1);

        close_all(idle, ELEMENTSOF(idle));
        close_all(greedy, ELEMENTSOF(greedy));
        fd_close(worker);
}

/* MaxClients= raised by a reload lets those in who wait. */
static void test_reload_ends_pause(void **state) {
        const RouteSpec specs[] = { { .unit = "a.socket", .worker = "a", .listener = "public" },
                                    { .unit = "b.socket", .worker = "b", .listener = "tcp" } };
        int a = listen_at("a", 64), b = listen_at("b", 64), clients[10];
        Config *config = config_of(specs, 2);

        add_tcp("tcp");
        config->broker.max_clients = 4;
        use_config(config);
        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                clients[i] = i < 2 ? dial("public") : connect_tcp();
        WAIT_FOR(is_paused());
        use_config(config_of(specs, 2));
        WAIT_FOR(n_accepted() == ELEMENTSOF(clients));

        close_all(clients, ELEMENTSOF(clients));
        fd_close(a);
        fd_close(b);
}

TEST_MAIN(BROKER_TEST(test_high_water),
          BROKER_TEST(test_share),
          BROKER_TEST(test_out_of_descriptors),
          BROKER_TEST(test_over_share_evicts_nobody),
          BROKER_TEST(test_reload_ends_pause))
