/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass-proxy whole, with a broker before it and a backend behind it. */

#include "service-fixture.h"

#include "workers/proxy.h"

static struct {
        Fixture worker;
        Log *log;
        Proxy *proxy;
        int backend;         /* listens at path */
        char path[64];
} t;

static int listen_at(const char *path, int backlog) {
        struct sockaddr_un un;
        socklen_t n;
        int fd;

        (void) unlink(path);
        assert_int_equal(address_from_path(path, &un, &n), 0);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &un, n), 0);
        assert_int_equal(listen(fd, backlog), 0);
        return fd;
}

/* Begins with clients: a copy of the worker's socket is the proxy's, as the worker's is a copy of systemd's. */
static void begin(void) {
        int fd = fcntl(t.worker.fd, F_DUPFD_CLOEXEC, 0);
        char name[] = "in", *names[] = { name, NULL };

        t.proxy->pipes.n_max = 4;
        assert_int_equal(service_init_with(&t.proxy->service, &fd, names, 1), 0);
        assert_int_equal(proxy_init(t.proxy), 0);
}

static int setup(void **state) {
        const Proxy null = PROXY_NULL(NULL);

        (void) remember_fds(state);
        fixture_open(&t.worker, SOCK_SEQPACKET, SOCK_NONBLOCK, 64);
        (void) snprintf(t.path, sizeof(t.path), "/tmp/fdpass-unit-%i-backend.sock", (int) getpid());
        t.backend = listen_at(t.path, 8);
        t.log = log_new("test");
        log_set_level(t.log, LOG_EMERG);

        t.proxy = calloc(1, sizeof(*t.proxy));
        *t.proxy = null;
        t.proxy->service.log = t.log;
        assert_int_equal(backends_add(&t.proxy->backends, t.path), 0);
        return 0;
}

static int teardown(void **state) {
        proxy_done(t.proxy);
        service_done(&t.proxy->service);
        free(t.proxy);
        t.backend = fd_close(t.backend);
        (void) unlink(t.path);
        fixture_close(&t.worker);
        t.log = log_free(t.log);
        return compare_fds(state);
}

#define PROXY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define RUN_UNTIL(condition) WAIT_FOR(t.proxy->service.event, condition)

static int accept_backend(void) {
        RUN_UNTIL(has_event(t.backend, POLLIN));
        return accept4(t.backend, NULL, NULL, SOCK_CLOEXEC);
}

static void expect(int fd, const char *text) {
        char got[256] = "";
        size_t n = 0;

        while (n < strlen(text)) {
                RUN_UNTIL(has_event(fd, POLLIN));
                ssize_t k = recv(fd, got + n, strlen(text) - n, MSG_DONTWAIT);
                assert_true(k > 0);
                n += (size_t) k;
        }
        assert_string_equal(got, text);
}

static void expect_end(int fd) {
        char byte;

        RUN_UNTIL(has_event(fd, POLLIN));
        assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

static void say(int fd, const char *text) {
        assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t) strlen(text));
}

/* Both directions, one after the other closed; the broker has its answer before a byte is read. */
static void test_both_ways(void **state) {
        Guest g;
        int server;

        begin();
        g = guest_send(&t.worker, NULL);
        say(g.fd, "request");
        server = accept_backend();
        expect(server, "request");
        assert_int_equal(guest_answer(&g), FDPASS_ANSWER_TAKEN);

        assert_int_equal(shutdown(g.fd, SHUT_WR), 0);
        expect_end(server);
        say(server, "answer to a half-closed client");
        expect(g.fd, "answer to a half-closed client");

        fd_close(server);
        expect_end(g.fd);
        RUN_UNTIL(t.proxy->service.n_busy == 0);
        guest_leave(&g);
}

/* The header comes first, then what was read from the client before, then what its socket has. */
static void test_order(void **state) {
        Message m = MESSAGE_NULL;
        Guest g;
        int server;

        m.source.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(7), .sin_addr.s_addr = htonl(0xc0000207) };
        m.destination.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(8), .sin_addr.s_addr = htonl(0xc6336401) };
        m.consumed = slice_from_string("first ");
        t.proxy->header = PROXY_HEADER_V1;

        begin();
        g = guest_send(&t.worker, &m);
        say(g.fd, "second");
        server = accept_backend();
        expect(server, "PROXY TCP4 192.0.2.7 198.51.100.1 7 8\r\nfirst second");
        fd_close(server);
        guest_leave(&g);
}

/* No backend: the broker hears "error", or "refused" where that is wanted, and the client is untouched. */
static void test_no_backend(void **state) {
        Guest g;

        t.backend = fd_close(t.backend);
        begin();
        g = guest_send(&t.worker, NULL);
        RUN_UNTIL(has_event(g.conn_fd, POLLIN));
        assert_int_equal(guest_answer(&g), FDPASS_ANSWER_ERROR);
        assert_int_equal(t.proxy->service.n_busy, 0);
        guest_leave(&g);

        t.proxy->may_decline = true;
        g = guest_send(&t.worker, NULL);
        RUN_UNTIL(has_event(g.conn_fd, POLLIN));
        assert_int_equal(guest_answer(&g), FDPASS_ANSWER_REFUSED);
        guest_leave(&g);
}

/* One backend of two is there. */
static void test_second_backend(void **state) {
        Guest g[2];
        int server[2];

        assert_int_equal(backends_add(&t.proxy->backends, "/nonexistent/backend.sock"), 0);
        begin();
        for (size_t i = 0; i < 2; i++) {
                g[i] = guest_send(&t.worker, NULL);
                server[i] = accept_backend();
                RUN_UNTIL(has_event(g[i].conn_fd, POLLIN));
                assert_int_equal(guest_answer(&g[i]), FDPASS_ANSWER_TAKEN);
        }
        for (size_t i = 0; i < 2; i++) {
                guest_leave(&g[i]);
                fd_close(server[i]);
        }
}

/* A backend that comes later, with --retry-time=: the client waits, and its bytes are unread. */
static void test_retry(void **state) {
        Guest g;
        int server;

        t.backend = fd_close(t.backend);
        (void) unlink(t.path);
        t.proxy->retry_usec = DEADLINE_USEC;
        begin();
        g = guest_send(&t.worker, NULL);
        say(g.fd, "patience");
        RUN_UNTIL(!list_is_empty(&t.proxy->phases[PHASE_RETRY]));
        assert_int_equal(guest_answer(&g), -1);

        t.backend = listen_at(t.path, 8);
        server = accept_backend();
        expect(server, "patience");
        assert_int_equal(guest_answer(&g), FDPASS_ANSWER_TAKEN);
        fd_close(server);
        guest_leave(&g);
}

/* A backlog that is full is no failure: it is tried again. */
static void test_full_backlog(void **state) {
        enum { N = 5 };
        Guest g[N];
        int server[N];

        fd_close(t.backend);
        t.backend = listen_at(t.path, 0);
        begin();
        for (size_t i = 0; i < N; i++)
                g[i] = guest_send(&t.worker, NULL);
        RUN_UNTIL(!list_is_empty(&t.proxy->phases[PHASE_RETRY]));
        for (size_t i = 0; i < N; i++)
                server[i] = accept_backend();
        for (size_t i = 0; i < N; i++) {
                RUN_UNTIL(has_event(g[i].conn_fd, POLLIN));
                assert_int_equal(guest_answer(&g[i]), FDPASS_ANSWER_TAKEN);
                guest_leave(&g[i]);
                fd_close(server[i]);
        }
}

/* At the limit clients stay in the socket's queue: they are not even received. */
static void test_limit(void **state) {
        Guest g[3];
        int server[3];

        t.proxy->service.n_max = 2;
        begin();
        for (size_t i = 0; i < 3; i++)
                g[i] = guest_send(&t.worker, NULL);
        server[0] = accept_backend();
        server[1] = accept_backend();
        RUN_UNTIL(t.proxy->service.is_full);
        assert_true(has_event(t.worker.fd, POLLIN));
        assert_int_equal(guest_answer(&g[2]), -1);

        guest_leave(&g[0]);
        server[0] = fd_close(server[0]);
        server[2] = accept_backend();
        assert_false(has_event(t.worker.fd, POLLIN));
        for (size_t i = 0; i < 3; i++) {
                guest_leave(&g[i]);
                fd_close(server[i]);
        }
        RUN_UNTIL(t.proxy->service.n_busy == 0);
}

/* A reset at one end does not look like a complete end at the other. */
static void test_reset(void **state) {
        const struct linger reset = { .l_onoff = 1 };
        Guest g;
        char byte;
        int server;

        begin();
        g = guest_send(&t.worker, NULL);
        server = accept_backend();
        say(g.fd, "x");
        expect(server, "x");
        say(g.fd, "unread");
        RUN_UNTIL(has_event(server, POLLIN));
        fd_close(server); /* with unread bytes: a reset */
        RUN_UNTIL(has_event(g.fd, POLLIN));
        assert_int_equal(recv(g.fd, &byte, 1, MSG_DONTWAIT), -1);
        assert_int_equal(errno, ECONNRESET);
        RUN_UNTIL(t.proxy->service.n_busy == 0);
        guest_leave(&g);

        /* A client that vanishes. */
        g = guest_send(&t.worker, NULL);
        server = accept_backend();
        assert_int_equal(setsockopt(g.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        guest_leave(&g);
        expect_end(server);
        RUN_UNTIL(t.proxy->service.n_busy == 0);
        fd_close(server);
}

/* A server that answers without reading, and is gone: the answer arrives, and an end. */
static void test_early_answer(void **state) {
        Guest g;
        int server;

        begin();
        g = guest_send(&t.worker, NULL);
        server = accept_backend();
        say(server, "413");
        fd_close(server);
        expect(g.fd, "413");
        say(g.fd, "more of the upload");
        expect_end(g.fd);
        RUN_UNTIL(!list_is_empty(&t.proxy->phases[PHASE_LINGER]) || t.proxy->service.n_busy == 0);
        guest_leave(&g);
        RUN_UNTIL(t.proxy->service.n_busy == 0);
}

/* Time limits. */
static void test_timeouts(void **state) {
        char byte;
        Guest g;
        int server;

        t.proxy->limits[PHASE_OPEN] = 50 * USEC_PER_MSEC;
        begin();
        g = guest_send(&t.worker, NULL);
        server = accept_backend();
        RUN_UNTIL(has_event(g.fd, POLLIN));
        assert_int_equal(recv(g.fd, &byte, 1, MSG_DONTWAIT), -1);
        assert_int_equal(t.proxy->service.n_busy, 0);
        fd_close(server);
        guest_leave(&g);

        t.proxy->limits[PHASE_OPEN] = USEC_INFINITY;
        t.proxy->limits[PHASE_ENDING] = 50 * USEC_PER_MSEC;
        g = guest_send(&t.worker, NULL);
        server = accept_backend();
        assert_int_equal(shutdown(g.fd, SHUT_WR), 0);
        RUN_UNTIL(t.proxy->service.n_taken == 2 && t.proxy->service.n_busy == 0);
        fd_close(server);
        guest_leave(&g);
}

/* Much at once, both ways at the same time; the pipes come back. */
static void test_bulk(void **state) {
        enum { TOTAL = 8 * 1024 * 1024 };
        static char buffer[128 * 1024];
        size_t sent[2] = {}, got[2] = {};
        int ends[2];
        Guest g;

        begin();
        g = guest_send(&t.worker, NULL);
        ends[0] = g.fd;
        ends[1] = accept_backend();

        usec_t end = usec_now() + DEADLINE_USEC;
        while (got[0] < TOTAL || got[1] < TOTAL) {
                assert_true(usec_now() < end);
                for (size_t i = 0; i < 2; i++) {
                        ssize_t n = send(ends[i], buffer, MIN(sizeof(buffer), TOTAL - sent[i]), MSG_DONTWAIT | MSG_NOSIGNAL);
                        if (n > 0)
                                sent[i] += (size_t) n;
                        n = recv(ends[i], buffer, sizeof(buffer), MSG_DONTWAIT);
                        if (n > 0)
                                got[i] += (size_t) n;
                }
                assert_true(sd_event_run(t.proxy->service.event, 0) >= 0);
        }

        assert_int_equal(t.proxy->pipes.n, t.proxy->pipes.n_idle);
        fd_close(ends[1]);
        guest_leave(&g);
        RUN_UNTIL(t.proxy->service.n_busy == 0);
}

static void test_exit_idle(void **state) {
        int code = -1;

        t.proxy->service.exit_idle_usec = 10 * USEC_PER_MSEC;
        begin();
        assert_int_equal(service_run(&t.proxy->service), 0);
        assert_true(sd_event_get_exit_code(t.proxy->service.event, &code) >= 0);
        assert_int_equal(code, 0);
}

TEST_MAIN(PROXY_TEST(test_both_ways),
          PROXY_TEST(test_order),
          PROXY_TEST(test_no_backend),
          PROXY_TEST(test_second_backend),
          PROXY_TEST(test_retry),
          PROXY_TEST(test_full_backlog),
          PROXY_TEST(test_limit),
          PROXY_TEST(test_reset),
          PROXY_TEST(test_early_answer),
          PROXY_TEST(test_timeouts),
          PROXY_TEST(test_bulk),
          PROXY_TEST(test_exit_idle))
