/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The broker of a TLS stage: one that has no room, that stops, that is killed, and that is not there. */

#include "tls-stage-fixture.h"

/* The broker has no room at first: the client waits, and gets its worker later. */
static void test_broker_full(void **state) {
        Guest g;
        TlsClient c;
        Message m;
        int worker;

        begin();
        g = send_client("site.example", 7);
        client_begin(&c, &(TlsClientSpec){ .sni = "site.example" });
        shake(&c, g.fd);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(take_back(&m, FDPASS_ANSWER_REFUSED), -EBADF);
        client_say(&c, "patience");
        worker = take_back(&m, FDPASS_ANSWER_TAKEN);
        worker_expect(worker, "patience");
        client_done(&c);
        guest_leave(&g);
        fd_close(worker);
        RUN_UNTIL(t.stage->service.n_busy == 0);
}

/* The broker does not want the client: it is told in its own protocol if that is known, and by close_notify. */
static void test_broker_refuses(void **state) {
        begin();
        for (unsigned i = 0; i < 2; i++) {
                Guest g = send_client("site.example", 7);
                TlsClient c;
                Message m;

                client_begin(&c, &(TlsClientSpec){ .sni = "site.example", .alpn = i == 0 ? "\x08http/1.1" : NULL });
                shake(&c, g.fd);
                assert_int_equal(take_back(&m, FDPASS_ANSWER_ERROR), -EBADF);
                if (i == 0)
                        client_expect(&c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\n"
                                          "Connection: close\r\n\r\n");
                client_expect_end(&c);
                client_done(&c);
                guest_leave(&g);
                RUN_UNTIL(t.stage->service.n_busy == 0);
        }
}

/* No broker is there for a while. */
static void test_broker_absent(void **state) {
        char path[64];
        TlsClient c;
        Message m;
        int worker;
        Guest g;

        begin();
        (void) snprintf(path, sizeof(path), "%s", t.broker.path);
        fixture_close(&t.broker);
        g = send_client("site.example", 7);
        client_begin(&c, &(TlsClientSpec){ .sni = "site.example" });
        shake(&c, g.fd);
        RUN_UNTIL(!list_is_empty(&t.stage->phases[TLS_RETRY]));
        fixture_open_at(&t.broker, "-return", SOCK_SEQPACKET, SOCK_NONBLOCK, 64);
        assert_string_equal(t.broker.path, path);
        worker = take_back(&m, FDPASS_ANSWER_TAKEN);
        client_done(&c);
        guest_leave(&g);
        fd_close(worker);
        RUN_UNTIL(t.stage->service.n_busy == 0);
}

/* Several clients at once, and the broker as one connection. */
#define MANY 3

typedef struct Many {
        Guest guests[MANY];
        TlsClient clients[MANY];
        int workers[MANY];
        int conn;
} Many;

static void many_begin(Many *v) {
        for (uint8_t i = 0; i < MANY; i++) {
                v->guests[i] = send_client("site.example", i);
                client_begin(&v->clients[i], &(TlsClientSpec){ .sni = "site.example", .alpn = "\x08http/1.1" });
                shake(&v->clients[i], v->guests[i].fd);
                client_say(&v->clients[i], (char[]){ (char) ('0' + i), 0 });
                v->workers[i] = -EBADF;
        }
        RUN_UNTIL(t.stage->to_broker.n_sent == MANY);
        v->conn = accept4(t.broker.fd, NULL, NULL, SOCK_CLOEXEC);
        assert_true(v->conn >= 0);
        assert_false(has_event(t.broker.fd, POLLIN));
}

static int many_read(const Many *v) {
        int fd;
        size_t n;

        assert_int_equal(handoff_receive_message(v->conn, MSG_DONTWAIT, t.bytes, sizeof(t.bytes), &n, &fd), 0);
        return fd;
}

static void many_end(Many *v) {
        fd_close(v->conn);
        for (size_t i = 0; i < MANY; i++) {
                client_done(&v->clients[i]);
                guest_leave(&v->guests[i]);
                fd_close(v->workers[i]);
        }
        RUN_UNTIL(t.stage->service.n_busy == 0);
}

/* One connection has all clients, and its answers come in their order. */
static void test_broker_answers(void **state) {
        static const uint8_t answers[MANY] = { FDPASS_ANSWER_TAKEN, FDPASS_ANSWER_ERROR, FDPASS_ANSWER_TAKEN };
        Many v;

        begin();
        many_begin(&v);
        for (size_t i = 0; i < MANY; i++) {
                v.workers[i] = many_read(&v);
                assert_int_equal(handoff_answer(v.conn, answers[i]), 0);
        }
        worker_expect(v.workers[0], "0");
        client_expect(&v.clients[1], "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\n"
                                     "Connection: close\r\n\r\n");
        worker_expect(v.workers[2], "2");
        assert_int_equal(t.stage->to_broker.n_sent, 0);
        many_end(&v);
}

/* A broker that stops answers what was sent before, and the next client finds the next one. */
static void test_broker_stops(void **state) {
        Message m;
        Many v;
        Visit next;

        begin();
        many_begin(&v);
        assert_int_equal(shutdown(v.conn, SHUT_RD), 0);
        next.guest = send_client("site.example", 7);
        client_begin(&next.client, &(TlsClientSpec){ .sni = "site.example" });
        shake(&next.client, next.guest.fd);
        RUN_UNTIL(!list_is_empty(&t.stage->phases[TLS_RETRY]));
        for (size_t i = 0; i < MANY; i++) {
                v.workers[i] = many_read(&v);
                assert_int_equal(handoff_answer(v.conn, FDPASS_ANSWER_TAKEN), 0);
        }
        v.conn = fd_close(v.conn);
        next.worker = take_back(&m, FDPASS_ANSWER_TAKEN);
        client_say(&next.client, "next");
        worker_expect(next.worker, "next");
        for (size_t i = 0; i < MANY; i++)
                worker_expect(v.workers[i], (char[]){ (char) ('0' + i), 0 });
        client_done(&next.client);
        guest_leave(&next.guest);
        fd_close(next.worker);
        many_end(&v);
}

/*
 * A broker that is killed may have read the first message without an answer, and has not read the others: these go to
 * the next broker. @n_read: messages that it has read, and answered but for the last one.
 */
static void kill_broker(size_t n_read) {
        Message m;
        Many v;

        many_begin(&v);
        for (size_t i = 0; i < n_read; i++) {
                v.workers[i] = many_read(&v);
                if (i + 1 < n_read)
                        assert_int_equal(handoff_answer(v.conn, FDPASS_ANSWER_TAKEN), 0);
        }
        v.conn = fd_close(v.conn);

        for (size_t i = MAX(n_read, (size_t) 1); i < MANY; i++)
                v.workers[i] = take_back(&m, FDPASS_ANSWER_TAKEN);
        for (size_t i = n_read > 0 ? 0 : 1; i < MANY; i++)
                worker_expect(v.workers[i], (char[]){ (char) ('0' + i), 0 });
        assert_false(has_event(t.broker.fd, POLLIN));
        many_end(&v);
}

static void test_broker_killed(void **state) {
        begin();
        for (size_t n_read = 0; n_read <= MANY; n_read++)
                kill_broker(n_read);
}

TEST_MAIN(STAGE_TEST(test_broker_full),
          STAGE_TEST(test_broker_refuses),
          STAGE_TEST(test_broker_absent),
          STAGE_TEST(test_broker_answers),
          STAGE_TEST(test_broker_stops),
          STAGE_TEST(test_broker_killed))
