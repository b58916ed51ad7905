/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Live connections of a broker, with the kernel's own reports, which any process may read. */

#include "handback-fixture.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <unistd.h>

#include "connections/store.h"

/* A socket as fdpass-connections.socket has it. Returns -EBADF if this kernel, or its sandbox, has none. */
static int open_reports(void) {
        const struct sockaddr_nl groups = {
                .nl_family = AF_NETLINK,
                .nl_groups = 1 << (SKNLGRP_INET_TCP_DESTROY - 1) | 1 << (SKNLGRP_INET6_TCP_DESTROY - 1),
        };
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

        if (fd >= 0 && bind(fd, (const struct sockaddr *) &groups, sizeof(groups)) < 0)
                fd = fd_close(fd);
        return fd;
}

/* The broker of setup_tcp() with reports and an empty table. */
static int setup_live(void **state) {
        ConnectionStore *store;
        int fd;

        (void) setup_tcp(state);
        fd = open_reports();
        if (fd < 0)
                return 0;

        assert_int_equal(connection_store_new(&store), 0);
        assert_int_equal(start_live(fd, store), 0);
        return 0;
}

static void need_reports(void) {
        int fd = open_reports();

        if (fd < 0)
                skip();
        fd_close(fd);
}

#define LIVE_TEST(f) cmocka_unit_test_setup_teardown(f, setup_live, teardown)

/* The worker takes one client, and has it. */
static int take_client(int worker) {
        int conn, fd = -EBADF;

        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive(conn, &fd), 0);
        fd_close(conn);
        return fd;
}

static const ConnectionRoute *live_route(const char *unit) {
        const ConnectionRoutes *r = &connections()->routes;

        for (size_t i = 0; i < r->n_routes; i++)
                if (r->routes[i] && streq(r->routes[i]->unit, unit))
                        return r->routes[i];

        fail_msg("no route %s", unit);
        return NULL;
}

/* From the receipt to the end: counted for its route and worker, then with its bytes. */
static void test_end(void **state) {
        int worker, client, fd;

        need_reports();
        worker = listen_at("a", 8);
        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_tcp('x');
        fd = take_client(worker);
        WAIT_FOR(n_taken() == 1);
        assert_int_equal(connections()->n_tracked, 1);
        assert_int_equal(live_route("a.socket")->n_live, 1);
        assert_int_equal(live_route("a.socket")->worker->n_live, 1);

        say(fd, "answer");
        assert_int_equal(byte_of(fd), 'x');
        fd_close(fd);
        fd_close(client);
        WAIT_FOR(connections()->n_tracked == 0);
        assert_int_equal(live_route("a.socket")->n_live, 0);
        assert_int_equal(live_route("a.socket")->n_ended, 1);
        assert_int_equal(live_route("a.socket")->n_in, 1);
        fd_close(worker);
}

/* The worker has two clients, never three. The next one comes when one has ended. */
static void test_max_connections(void **state) {
        const RouteSpec spec = { .unit = "a.socket", .worker = "a" };
        int worker, clients[4], fds[4];
        Config *config;

        need_reports();
        worker = listen_at("a", 8);
        config = config_of(&spec, 1);
        config->routes[0].max_connections = 2;
        use_config(config);
        dial_many(clients, ELEMENTSOF(clients));
        for (size_t i = 0; i < 2; i++)
                fds[i] = take_client(worker);
        WAIT_FOR(n_taken() == 2 && queued("a.socket") == 2);
        run_for(20 * USEC_PER_MSEC);
        assert_false(has_event(worker, POLLIN));

        for (size_t i = 2; i < 4; i++) {
                fd_close(fds[i - 2]);
                fd_close(clients[i - 2]);
                fds[i] = take_client(worker);
                WAIT_FOR(n_taken() == i + 1);
                assert_true(live_route("a.socket")->worker->n_live <= 2);
        }

        close_all(fds + 2, 2);
        close_all(clients + 2, 2);
        WAIT_FOR(connections()->n_tracked == 0);
        assert_int_equal(live_route("a.socket")->n_ended, 4);
        fd_close(worker);
}

/* Clients beyond MaxTrackedConnections=, and those that are not TCP, are counted and go on as without reports. */
static void test_untracked(void **state) {
        const RouteSpec spec = { .unit = "a.socket", .worker = "a" };
        int worker, clients[3], fds[3];
        Config *config;

        need_reports();
        worker = listen_at("a", 8);
        config = config_of(&spec, 1);
        config->broker.max_tracked = 1;
        use_config(config);
        clients[0] = dial_tcp('a');
        fds[0] = take_client(worker);
        WAIT_FOR(n_taken() == 1);
        clients[1] = dial_tcp('b');
        clients[2] = dial_and_say("public", 'c');
        fds[1] = take_client(worker);
        fds[2] = take_client(worker);
        WAIT_FOR(n_taken() == 3);
        assert_int_equal(connections()->n_tracked, 1);
        assert_int_equal(connections()->n_untracked, 1);
        assert_int_equal(connections()->n_other, 1);
        close_all(fds, 3);
        close_all(clients, 3);
        WAIT_FOR(connections()->n_tracked == 0);
        fd_close(worker);
}

/* A client that is handed back and on is one connection. It counts for the worker that has it, and its bytes for each. */
static void test_handed_back(void **state) {
        const RouteSpec specs[] = { { .unit = "a.socket", .worker = "a" },
                                    { .unit = "b.socket", .worker = "b", .name = "b" } };
        int a, b, client, fd, conn;
        Message m = MESSAGE_NULL;

        need_reports();
        a = listen_at("a", 8);
        b = listen_at("b", 8);
        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        use_config(config_of(specs, 2));
        client = dial_tcp('x');
        fd = take_client(a);
        WAIT_FOR(n_taken() == 1);
        assert_int_equal(byte_of(fd), 'x');
        say(client, "y");
        m.name = SLICE_LITERAL("b");
        m.listener = SLICE_LITERAL("tcp");
        conn = connect_return();
        send_message(conn, fd, m);
        fd = take_client(b);
        WAIT_FOR(n_taken() == 2);
        assert_int_equal(connections()->n_tracked, 1);
        assert_int_equal(live_route("a.socket")->n_live, 0);
        assert_int_equal(live_route("a.socket")->n_in, 1);
        assert_int_equal(live_route("b.socket")->n_live, 1);

        assert_int_equal(byte_of(fd), 'y'); /* otherwise the end is a reset, and the kernel may count the client's FIN */
        fd_close(fd);
        fd_close(client);
        WAIT_FOR(connections()->n_tracked == 0);
        assert_int_equal(live_route("a.socket")->n_ended, 0);
        assert_int_equal(live_route("b.socket")->n_ended, 1);
        assert_int_equal(live_route("b.socket")->n_in, 1);
        fd_close(conn);
        fd_close(a);
        fd_close(b);
}

/* Clients that come on a persistent connection, several to a message: each is a connection of its own. */
static void test_persistent(void **state) {
        static uint8_t buffer[FDPASS_MESSAGE_MAX];
        int worker, conn, clients[4], fds[FDPASS_PERSISTENT_MAX], batch[FDPASS_PERSISTENT_MAX];
        size_t n, n_fds = 0;

        need_reports();
        worker = listen_type_at("a", SOCK_SEQPACKET, 8);
        USE({ .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET });
        dial_many(clients, 1);
        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        for (unsigned i = 0; i < 2; i++) {
                while (n_fds < (i == 0 ? 1 : ELEMENTSOF(clients))) {
                        size_t n_batch = ELEMENTSOF(batch);

                        WAIT_FOR(has_event(conn, POLLIN));
                        assert_int_equal(handoff_receive_batch(conn, MSG_DONTWAIT, buffer, sizeof(buffer), &n, batch, &n_batch), 0);
                        memcpy(fds + n_fds, batch, n_batch * sizeof(int));
                        n_fds += n_batch;
                }

                assert_int_equal(connections()->n_sent, i == 0 ? 1 : 3);
                assert_int_equal(handoff_answer_persistent(conn, FDPASS_ANSWER_TAKEN, i == 0 ? 0 : 1, i == 0 ? 1 : 3, 100), 0);
                WAIT_FOR(n_taken() == n_fds);
                assert_int_equal(live_route("a.socket")->n_live, n_fds);
                if (i == 0)
                        dial_many(clients + 1, 3);
                if (i == 0)
                        WAIT_FOR(n_pending("a") == 3);
        }

        close_all(fds, n_fds);
        close_all(clients, ELEMENTSOF(clients));
        WAIT_FOR(connections()->n_tracked == 0);
        assert_int_equal(live_route("a.socket")->n_ended, ELEMENTSOF(clients));
        fd_close(conn);
        fd_close(worker);
}

/*
 * A client whose worker tells the head of its next request: nothing is asked of its socket, so its bytes count for the last
 * route. Bytes of the connection that had the slot before are none of this one.
 */
static void test_told(void **state) {
        static const char next[] = "GET /b HTTP/1.1\r\nHost: example.org\r\n\r\n";
        const RouteSpec specs[] = { { .unit = "a.socket", .worker = "a" }, { .unit = "b.socket", .worker = "b", .path = "/b" } };
        int a, b, conn;

        need_reports();
        a = listen_at("a", 8);
        b = listen_at("b", 8);
        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        use_config(config_of(specs, 2));
        conn = connect_return();
        for (unsigned i = 1; i <= 2; i++) {
                int client = connect_tcp(), fd;
                socklen_t n = sizeof(struct sockaddr_in);
                Message m = MESSAGE_NULL;
                char head[sizeof(HEAD_A)];

                say(client, HEAD_A);
                fd = take_client(a);
                WAIT_FOR(n_taken() == 2 * i - 1);
                assert_int_equal(recv(fd, head, sizeof(HEAD_A) - 1, MSG_WAITALL), sizeof(HEAD_A) - 1);
                say(client, next);
                WAIT_FOR(has_event(fd, POLLIN));
                m.listener = SLICE_LITERAL("tcp");
                if (i == 2) {
                        m.next = SLICE_LITERAL(next);
                        assert_int_equal(getpeername(fd, &m.source.sa, &n), 0);
                }
                send_message(conn, fd, m);
                fd = take_client(b);
                WAIT_FOR(n_taken() == 2 * i);
                assert_int_equal(connections()->n_tracked, 1);
                assert_int_equal(live_route("b.socket")->n_live, 1);
                assert_int_equal(recv(fd, head, sizeof(next) - 1, MSG_WAITALL), sizeof(next) - 1);
                fd_close(fd);
                fd_close(client);
                WAIT_FOR(connections()->n_tracked == 0);
                assert_int_equal(live_route("a.socket")->n_in + live_route("b.socket")->n_in, i * (sizeof(HEAD_A) + sizeof(next) - 2));
        }

        assert_int_equal(live_route("b.socket")->n_ended, 2);
        fd_close(conn);
        fd_close(a);
        fd_close(b);
}

/* Others open and close connections to the public port all the time. A client comes, is counted, and its end is seen. */
static void test_flood(void **state) {
        int worker, client, fd;

        need_reports();
        worker = listen_at("a", 8);
        USE({ .unit = "a.socket", .worker = "a", .path = "/a" });
        client = connect_tcp();
        say(client, HEAD_A);
        fd = take_client(worker);
        WAIT_FOR(n_taken() == 1);
        for (uint64_t i = 0; i < 1000; i++) {
                fd_close(connect_tcp());
                WAIT_FOR(n_gone() + n_refused_in_all() == i + 1);
                if (i == 500) {
                        fd_close(fd);
                        fd_close(client);
                }
        }

        WAIT_FOR(connections()->n_tracked == 0 && n_in_broker() == 0);
        assert_int_equal(live_route("a.socket")->n_ended + live_route("a.socket")->n_unseen, 1);
        fd_close(worker);
}

/* Reports that the kernel dropped: the counts are right again, and what was not seen is counted as such. */
static void test_lost(void **state) {
        int worker, reports, clients[30], fds[30], size = 1, pipe_fd, stderr_fd;
        ConnectionStore *store;
        struct pollfd overrun;

        need_reports();
        reports = open_reports();
        assert_int_equal(setsockopt(reports, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
        assert_int_equal(connection_store_new(&store), 0);
        assert_int_equal(start_live(reports, store), 0);
        worker = listen_at("a", 64);
        pipe_fd = log_to_pipe(&stderr_fd);
        t.max_per_source = ELEMENTSOF(clients); /* a broker that polls for receipts has all of them at once */
        USE({ .unit = "a.socket", .worker = "a" });
        dial_many(clients, ELEMENTSOF(clients));
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                fds[i] = take_client(worker);
        WAIT_FOR(n_taken() == ELEMENTSOF(fds));
        close_all(fds + 1, ELEMENTSOF(fds) - 1);
        close_all(clients + 1, ELEMENTSOF(fds) - 1);

        /* The kernel sends reports from a thread of its own. The broker must not read them one by one meanwhile. */
        overrun = (struct pollfd){ .fd = reports };
        assert_int_equal(poll(&overrun, 1, 10000), 1);

        WAIT_FOR(connections()->n_tracked == 1);
        expect_line(pipe_fd, "dropped reports");
        log_to_stderr(pipe_fd, stderr_fd);
        assert_true(connections()->n_lost > 0);
        assert_true(live_route("a.socket")->n_unseen > 0);
        assert_int_equal(live_route("a.socket")->n_unseen + live_route("a.socket")->n_ended, ELEMENTSOF(fds) - 1);
        assert_int_equal(live_route("a.socket")->n_live, 1);
        fd_close(fds[0]);
        fd_close(clients[0]);
        WAIT_FOR(connections()->n_tracked == 0);
        fd_close(worker);
}

/* A memfd with the connection of @fd and one of a socket that is gone, as a process leaves it that was killed. */
static ConnectionStore *store_of_last_process(int fd) {
        Connection model = { .begun_at = 1 };
        ConnectionRoute *route;
        ConnectionStore *store;
        ConnectionTable *table;
        int store_fd;

        assert_int_equal(connection_store_new(&store), 0);
        assert_int_equal(connection_table_new(store, 10, source_of_connection, &table), 0);
        assert_int_equal(connection_route_get(&table->routes, "a.socket", "/run/a", &route), 0);
        model.listener = (uint16_t) connection_listener(table, "tcp");
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &model.cookie, &(socklen_t){ sizeof(model.cookie) }), 0);
        assert_non_null(connection_add(table, &model, route));
        model.cookie = UINT64_MAX - 1;
        assert_non_null(connection_add(table, &model, route));
        store_fd = dup(store->fd);
        connection_table_free(table);
        assert_int_equal(connection_store_open(store_fd, &store), 0);
        return store;
}

/* After a restart those that live are found again, and none is that does not. */
static void test_next_process(void **state) {
        int listener, client, fd;

        need_reports();
        listener = listen_tcp();
        client = connect_tcp();
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(broker_add_listener(t.broker, "tcp", listener), 0);
        assert_int_equal(start_live(open_reports(), store_of_last_process(fd)), 0);
        assert_int_equal(connections()->n_restored, 2);
        USE({ .unit = "b.socket", .worker = "b" });
        WAIT_FOR(connections()->n_tracked == 1);
        assert_int_equal(live_route("a.socket")->n_unseen, 1);

        fd_close(fd);
        fd_close(client);
        WAIT_FOR(connections()->n_tracked == 0);
}

/*
 * A client is noted when it is sent, for the case that this process is killed before the receipt. The note counts for
 * nothing, and ends if the worker leaves the client unread.
 */
static void test_sent(void **state) {
        int worker, client, conn, fd;

        need_reports();
        worker = listen_at("a", 8);
        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_tcp('x');
        WAIT_FOR(has_event(worker, POLLIN));
        assert_int_equal(connections()->n_sent, 1);
        assert_int_equal(connections()->n_tracked, 0);
        assert_int_equal(live_route("a.socket")->n_live, 0);

        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        fd_close(conn);
        WAIT_FOR(n_unread() == 1);
        fd = take_client(worker);
        WAIT_FOR(n_taken() == 1);
        assert_int_equal(connections()->n_sent, 0);
        assert_int_equal(connections()->n_tracked, 1);
        fd_close(fd);
        fd_close(client);
        WAIT_FOR(connections()->n_tracked == 0);

        /* The client leaves, and the worker does not run any more. */
        client = dial_tcp('x');
        WAIT_FOR(connections()->n_sent == 1);
        fd_close(client);
        fd_close(worker);
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(connections()->n_sent, 0);
        assert_int_equal(live_route("a.socket")->n_ended, 1);
}

/* Connections to the public port that come to no worker, and those of other ports, are of no connection here. */
static void test_others(void **state) {
        int listener, client, fd;

        need_reports();
        USE({ .unit = "a.socket", .worker = "a", .listener = "public" });
        for (size_t i = 0; i < 20; i++)
                fd_close(dial_tcp('x'));
        WAIT_FOR(n_refused_in_all() + n_gone() == 20 && n_in_broker() == 0);
        listener = listen_tcp();
        client = connect_tcp();
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        fd_close(fd);
        fd_close(client);
        fd_close(listener);
        run_for(20 * USEC_PER_MSEC);
        assert_int_equal(connections()->n_tracked, 0);
        assert_int_equal(connections()->n_lost, 0);
}

TEST_MAIN(LIVE_TEST(test_end),
          LIVE_TEST(test_max_connections),
          LIVE_TEST(test_untracked),
          LIVE_TEST(test_handed_back),
          LIVE_TEST(test_persistent),
          LIVE_TEST(test_told),
          LIVE_TEST(test_flood),
          TCP_TEST(test_lost),
          BROKER_TEST(test_next_process),
          LIVE_TEST(test_sent),
          LIVE_TEST(test_others))
