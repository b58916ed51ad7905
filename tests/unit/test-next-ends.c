/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass_next() where a client ends, where its way back is lost, and where nothing tells a scope. */

#include "next-fixture.h"

/* The ends of a client, and a descriptor that blocks. */
static void test_ends(void **state) {
        struct linger reset = { .l_onoff = 1 };
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, connect_tcp());

        fd = begin(&w, &f);
        assert_int_equal(fd_nonblock(fd, false), 0);
        ask(&w, fd, GET("/"));
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_OWN);
        serve(fd, GET("/"));
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_usec = 1000 }, sizeof(struct timeval)), 0);
        assert_int_equal(fdpass_next(fd, f, &w.args), -EAGAIN);
        assert_int_equal(shutdown(w.client, SHUT_WR), 0);
        WAIT_FOR(has_event(fd, POLLRDHUP));
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_END);
        leave(fd, f);
        fd_close(w.client);

        w.client = connect_tcp();
        fd = begin(&w, &f);
        assert_int_equal(setsockopt(w.client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        fd_close(w.client);
        WAIT_FOR(has_event(fd, POLLRDHUP));
        assert_int_equal(fdpass_next(fd, f, &w.args), -ECONNRESET);
        assert_int_equal(fdpass_next(fd, f, NULL), FDPASS_NEXT_END);
        leave(fd, f);

        w.client = -EBADF;
        world_close(&w);
}

/*
 * Without the path of the return socket: once a worker has called fdpass_next(), a client brings the connection on which
 * it and others go back.
 */
static void test_return_connection(void **state) {
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, connect_tcp());
        w.args.path = NULL;
        say(w.client, GET("/api"));
        fd = take(w.api, &f);
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_OWN);
        serve(fd, GET("/api"));
        read_answer(w.client);
        ask(&w, fd, GET("/"));
        assert_true(fdpass_next(fd, f, &w.args) < 0); /* there is nothing at the usual path */
        leave(fd, f);
        fd_close(w.client);

        w.client = connect_tcp();
        fd = begin(&w, &f);
        WAIT_FOR(has_event(RETURN_CONNECTION, POLLIN)); /* the broker is ready */
        for (int i = 0; i < 10; i++) {
                fd = wander(&w, fd, &f, w.api, GET("/api"));

                fd = wander(&w, fd, &f, w.site, GET("/"));
        }
        leave(fd, f);
        world_close(&w);
}

/* The same again, with another broker: the connection of the first one has ended. */
static void test_return_connection_again(void **state) {
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, connect_tcp());
        w.args.path = NULL;
        fd = begin(&w, &f);
        WAIT_FOR(has_event(RETURN_CONNECTION, POLLIN));
        fd = wander(&w, fd, &f, w.api, GET("/api"));
        leave(fd, f);
        world_close(&w);
}

/* A reload gives the site's path to the other worker. That counts from the next hand-back on. */
static void test_reload(void **state) {
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, connect_tcp());
        fd = begin(&w, &f);
        USE(SITE, { .unit = "api.socket", .worker = "api", .transport = TRANSPORT_SEQPACKET, .path = "/x" });

        fd = wander(&w, fd, &f, w.site, GET("/api"));

        ask(&w, fd, GET("/x"));
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
        leave(fd, f);
        fd = take(w.api, &f);
        serve(fd, GET("/x"));
        leave(fd, f);
        world_close(&w);
}

/* Clients that came on a persistent connection, several to a message, have scopes too. */
static void test_receiver(void **state) {
        int clients[6], fds[ELEMENTSOF(clients)];
        struct fdpass *f[ELEMENTSOF(clients)];
        struct fdpass_receiver *r;
        World w;

        world_open(&w, -EBADF);
        assert_int_equal(fdpass_receiver_new(w.site, 8, &r), 0);

        /* The connection of the first one is for handing back, and that of the second one is persistent. */
        for (size_t i = 0, n = 1; i < ELEMENTSOF(clients); n = n == 1 ? 2 : ELEMENTSOF(clients)) {
                for (size_t k = i; k < n; k++) {
                        clients[k] = connect_tcp();
                        say(clients[k], GET("/"));
                }
                for (; i < n; i++)
                        WAIT_FOR((fds[i] = fdpass_receive(r, SOCK_CLOEXEC | SOCK_NONBLOCK | FDPASS_ANY_SENDER, &f[i])) >= 0);
                WAIT_FOR(n_connections("site") == (i > 1) && n_in_broker() == 0);
        }

        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                w.client = clients[i];
                serve(fds[i], GET("/"));
                read_answer(w.client);
                ask(&w, fds[i], i % 2 == 0 ? GET("/x") : GET("/api"));
                assert_int_equal(fdpass_next(fds[i], f[i], &w.args), i % 2 == 0 ? FDPASS_NEXT_OWN : FDPASS_NEXT_RETURNED);
                leave(fds[i], f[i]);

                if (i % 2 == 0)
                        continue;

                fds[i] = take(w.api, &f[i]);
                serve(fds[i], GET("/api"));
                leave(fds[i], f[i]);
        }

        fdpass_receiver_free(r);
        close_all(clients, ELEMENTSOF(clients));
        w.client = -EBADF;
        world_close(&w);
}

/* Errors: the client is still the caller's, unchanged, and its request unread. */
static void test_errors(void **state) {
        struct fdpass_next_args other = { .size = sizeof(other) - 1 };
        int full, conns[8], n = 0;
        struct fdpass *f;
        char path[64];
        World w;
        int fd;

        world_open(&w, connect_tcp());
        fd = begin(&w, &f);
        assert_int_equal(fdpass_next(fd, f, &other), -EINVAL);

        ask(&w, fd, GET("/api"));
        path_of("nobody", path);
        w.args.path = path;
        assert_int_equal(fdpass_next(fd, f, &w.args), -ENOENT);

        /* A socket whose backlog is full. */
        full = listen_type_at("full", SOCK_SEQPACKET, 0);
        path_of("full", path);
        while (n < (int) ELEMENTSOF(conns)) {
                struct sockaddr_un sun;
                socklen_t len;

                assert_int_equal(address_from_path(path, &sun, &len), 0);
                conns[n] = handoff_connect_type(&sun, len, SOCK_SEQPACKET);
                if (conns[n] < 0)
                        break;
                n++;
        }
        assert_int_equal(fdpass_next(fd, f, &w.args), -EBUSY);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        close_all(conns, (size_t) n);
        fd_close(full);

        w.args.path = w.path;
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
        leave(fd, f);
        fd = take(w.api, &f);
        serve(fd, GET("/api"));
        leave(fd, f);
        world_close(&w);
}

/* A client over AF_UNIX can't go back. Its own requests are served. */
static void test_unix(void **state) {
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, dial("public"));
        fd = begin(&w, &f);
        ask(&w, fd, GET("/x"));
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_OWN);
        serve(fd, GET("/x"));
        read_answer(w.client);
        ask(&w, fd, GET("/api"));
        assert_int_equal(fdpass_next(fd, f, &w.args), -EPROTOTYPE);
        leave(fd, f);
        world_close(&w);
}

/* Without metadata there is no scope, and a client comes back with each request. */
static void test_no_scope(void **state) {
        struct fdpass *f;
        World w;
        int fd;

        world_open(&w, connect_tcp());
        USE({ .unit = "site.socket", .worker = "site", .transport = TRANSPORT_SEQPACKET, .no_metadata = true });
        fd = begin(&w, &f);
        ask(&w, fd, GET("/"));
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
        leave(fd, f);
        fd = take(w.site, &f);
        serve(fd, GET("/"));
        leave(fd, f);
        world_close(&w);
}

/* On a drained host a client goes back after its response, and is parked. Its next request finds its worker. */
static void test_drained(void **state) {
        struct fdpass *f;
        World w;
        int fd;

        (void) host_drain_set(t.broker, "");
        world_open(&w, connect_tcp());
        fd = begin(&w, &f);
        assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
        leave(fd, f);
        WAIT_FOR(n_parked() == 1);

        say(w.client, GET("/api/1"));
        fd = take(w.api, &f);
        serve(fd, GET("/api/1"));
        leave(fd, f);
        world_close(&w);
}

static int receive(struct fdpass_receiver *r, struct fdpass **ret) {
        return fdpass_receive(r, SOCK_CLOEXEC | SOCK_NONBLOCK | FDPASS_ANY_SENDER, ret);
}

/* The receiver's descriptor wakes the worker, and there is no client. */
static void expect_told(struct fdpass_receiver *r, int is_drained) {
        struct fdpass *f;

        WAIT_FOR(has_event(fdpass_receiver_fd(r), POLLIN));
        assert_int_equal(receive(r, &f), -EAGAIN);
        assert_false(has_event(fdpass_receiver_fd(r), POLLIN));
        assert_int_equal(fdpass_draining(), is_drained);
}

static void set_drained(bool is_worker, bool is_drained) {
        if (is_worker)
                drain("site", is_drained);
        else
                (void) host_drain_set(t.broker, is_drained ? "" : NULL);
}

/* The broker tells a worker with a receiver of a drain, of the host or of the worker. Idle clients go back at once. */
static void test_told(void **state) {
        struct fdpass_receiver *r;
        struct fdpass *f, *none;
        World w;
        int fd;

        world_open(&w, connect_tcp());
        w.args.path = NULL;
        assert_int_equal(fdpass_receiver_new(w.site, 8, &r), 0);
        say(w.client, GET("/"));
        WAIT_FOR((fd = receive(r, &f)) >= 0);
        serve(fd, GET("/"));
        read_answer(w.client);
        WAIT_FOR(has_event(RETURN_CONNECTION, POLLIN)); /* the broker is ready */
        assert_int_equal(receive(r, &none), -EAGAIN);
        assert_int_equal(fdpass_draining(), 0);

        for (int i = 0; i < 3; i++) {
                set_drained(i == 1, true);
                expect_told(r, 1);
                assert_int_equal(fdpass_next(fd, f, &w.args), FDPASS_NEXT_RETURNED);
                leave(fd, f);
                WAIT_FOR(n_parked() == 1);

                set_drained(i == 1, false);
                expect_told(r, 0);
                say(w.client, GET("/x"));
                WAIT_FOR((fd = receive(r, &f)) >= 0);
                serve(fd, GET("/x"));
                read_answer(w.client);
        }

        leave(fd, f);
        fdpass_receiver_free(r);
        world_close(&w);
}

TEST_MAIN(TCP_TEST(test_ends),
          TCP_TEST(test_return_connection),
          TCP_TEST(test_return_connection_again),
          TCP_TEST(test_reload),
          TCP_TEST(test_receiver),
          TCP_TEST(test_errors),
          TCP_TEST(test_unix),
          TCP_TEST(test_no_scope),
          TCP_TEST(test_drained),
          TCP_TEST(test_told))
