/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The end of the broker, and what it waits for. */

#include "tcp-fixture.h"

/* On a stop the queue goes to where systemd keeps it, past the window, and the loop ends by itself. */
static void test_stop_with_queue(void **state) {
        int worker = listen_at("a", 64), clients[8];

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1 });
        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                clients[i] = dial_and_say("public", (char) ('0' + i));
        WAIT_FOR(n_accepted() == ELEMENTSOF(clients));

        broker_stop(t.broker);
        assert_int_equal(n_pending("a"), ELEMENTSOF(clients));

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                assert_int_equal(take_byte(worker), '0' + i);
        WAIT_FOR(sd_event_get_state(t.event) == SD_EVENT_FINISHED || n_in_broker() == 0);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(worker);
}

/* With ExitIdleTimeSec= the loop ends by itself, but not while there is a client. */
static void test_exit_idle(void **state) {
        const RouteSpec spec = { .unit = "a.socket", .worker = "a" };
        int worker = listen_at("a", 8), client;
        Config *config = config_of(&spec, 1);

        config->broker.exit_idle_usec = 50 * USEC_PER_MSEC;
        assert_int_equal(broker_set_config(t.broker, config), 0);
        client = dial_and_say("public", 'x');
        WAIT_FOR(n_accepted() == 1);

        run_for(200 * USEC_PER_MSEC);
        assert_false(is_stopping());

        assert_int_equal(take_byte(worker), 'x');
        WAIT_FOR(is_stopping());

        fd_close(client);
        fd_close(worker);
}

static const RouteSpec by_host = { .unit = "a.socket", .worker = "a", .host = "example.org" };

/* A half-sent head gets an answer when the broker stops, and does not hold it up. */
static void test_stop_with_head(void **state) {
        usec_t start = usec_now();
        Config *config = config_of(&by_host, 1);
        char buffer[64] = "";
        int client;

        add_tcp("tcp");
        config->listener_default.head_timeout_usec = 60 * USEC_PER_SEC;
        use_config(config);
        client = connect_tcp();
        say(client, "GET / HTTP/1.1\r\n");
        WAIT_FOR(n_accepted() == 1);

        broker_stop(t.broker);
        assert_int_equal(broker_run(t.broker), 0);
        assert_true(usec_now() - start < 2 * USEC_PER_SEC);
        assert_true(recv(client, buffer, sizeof(buffer) - 1, MSG_DONTWAIT) > 0);
        assert_non_null(startswith(buffer, "HTTP/1.1 503 "));

        fd_close(client);
}

/* A worker that takes no client does not hold up the stop, because systemd keeps its backlog. */
static void test_stop_with_stuck_worker(void **state) {
        int worker = listen_at("a", 64), client;
        usec_t start;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_and_say("public", 'x');
        WAIT_FOR(n_pending("a") == 1);

        start = usec_now();
        broker_stop(t.broker);
        assert_int_equal(broker_run(t.broker), 0);
        assert_true(usec_now() - start < 2 * USEC_PER_SEC);
        t.broker = broker_free(t.broker);

        t.event = sd_event_unref(t.event);
        assert_true(sd_event_new(&t.event) >= 0);
        assert_int_equal(take_byte(worker), 'x');
        fd_close(client);
        fd_close(worker);
}

TEST_MAIN(BROKER_TEST(test_stop_with_queue),
          BROKER_TEST(test_exit_idle),
          BROKER_TEST(test_stop_with_head),
          BROKER_TEST(test_stop_with_stuck_worker))
