/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* MaxConnectionsPerSource=: clients of an address in the broker and at workers count together. */

#include "handback-fixture.h"

static const RouteSpec by_host = { .unit = "a.socket", .worker = "a", .host = "example.org" };

/* As if a worker had a client from this IPv4 address. */
static void add(ConnectionTable *table, uint64_t cookie, const char *address) {
        Connection model = { .cookie = cookie };
        ConnectionRoute *route;

        model.address[10] = model.address[11] = 0xff;
        assert_int_equal(inet_pton(AF_INET, address, model.address + 12), 1);
        assert_int_equal(connection_route_get(&table->routes, "a.socket", "/a", &route), 0);
        assert_non_null(connection_add(table, &model, route));
}

static void use_limit(unsigned n) {
        Config *config = config_of(&by_host, 1);

        config->listener_default.max_connections_per_source = n;
        config->listener_default.head_timeout_usec = 60 * USEC_PER_SEC;
        use_config(config);
}

static void test_limit(void **state) {
        ConnectionTable *table = track_connections();
        int clients[5], stderr_fd, log = log_to_pipe(&stderr_fd);

        add_tcp("tcp");
        use_limit(5);
        add(table, 1, "127.0.0.1");
        add(table, 2, "127.0.0.1");
        add(table, 3, "127.0.0.1");
        for (uint64_t i = 10; i < 20; i++)
                add(table, i, "127.0.0.2");

        for (size_t i = 0; i < 3; i++) {
                clients[i] = connect_tcp();
                say(clients[i], "GET /");
                WAIT_FOR(n_accepted() == i + 1);
        }
        assert_int_equal(n_refused(REFUSAL_SOURCE_BUSY), 1);
        expect_line(log, "the client's address has MaxConnectionsPerSource= connections (source-connections), 5 are allowed; it came "
                         "from 127.0.0.1.");

        /* The place of a connection that has ended is free, and so is that of one that is in the broker again. */
        connection_remove(table, connection_find(table, 1));
        connection_take_back(table, connection_find(table, 2));
        for (size_t i = 3; i < 5; i++) {
                clients[i] = connect_tcp();
                say(clients[i], "GET /");
                WAIT_FOR(n_accepted() == i + 1);
        }
        assert_int_equal(n_refused(REFUSAL_SOURCE_BUSY), 1);
        assert_int_equal(listener_n_refused("tcp", REFUSAL_SOURCE_BUSY), 1);

        log_to_stderr(log, stderr_fd);
        close_all(clients, ELEMENTSOF(clients));
}

/* Clients that do not come by IP have no source. Behind a load balancer the address in the PROXY header counts. */
static void test_whose_source(void **state) {
        ConnectionTable *table = track_connections();
        Config *config = config_of(&by_host, 1);
        int clients[4];

        add_tcp("tcp");
        config->listener_default.max_connections_per_source = 1;
        config->listener_default.head_timeout_usec = 60 * USEC_PER_SEC;
        trust_all_proxies(config, PROXY_PROTOCOL_OPTIONAL);
        use_config(config);
        add(table, 1, "192.0.2.7");

        clients[0] = dial("public");
        clients[1] = dial("public");
        WAIT_FOR(n_accepted() == 2);
        clients[2] = connect_tcp();
        say(clients[2], "PROXY TCP4 192.0.2.7 192.0.2.1 1 80\r\nGET /");
        WAIT_FOR(n_refused(REFUSAL_SOURCE_BUSY) == 1);
        clients[3] = connect_tcp();
        say(clients[3], "PROXY TCP4 192.0.2.8 192.0.2.1 1 80\r\nGET /");
        WAIT_FOR(n_accepted() == 4);
        assert_int_equal(n_refused_in_all(), 1);

        close_all(clients, ELEMENTSOF(clients));
}

/* A parked client of the address makes room. */
static void test_parked_makes_room(void **state) {
        ConnectionTable *table = track_connections();
        int parked[2], newcomers[3], fd;

        start_handback(listen_type_at("return", SOCK_SEQPACKET, 8));
        for (size_t i = 0; i < ELEMENTSOF(parked); i++) {
                tcp_pair(&parked[i], &fd);
                expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
                WAIT_FOR(n_returned() == i + 1 && !is_judging());
        }
        WAIT_FOR(n_parked() == 2);
        use_limit(3);
        add(table, 1, "127.0.0.1");

        for (size_t i = 0; i < ELEMENTSOF(newcomers); i++) {
                newcomers[i] = connect_tcp();
                say(newcomers[i], "GET /");
                WAIT_FOR(n_accepted() == i + 1);
        }
        WAIT_FOR(is_closed(parked[0]) && is_closed(parked[1]));
        WAIT_FOR(n_refused(REFUSAL_SOURCE_BUSY) == 1);
        assert_int_equal(n_parked(), 0);

        close_all(parked, ELEMENTSOF(parked));
        close_all(newcomers, ELEMENTSOF(newcomers));
}

TEST_MAIN(BROKER_TEST(test_limit), BROKER_TEST(test_whose_source), TCP_TEST(test_parked_makes_room))
