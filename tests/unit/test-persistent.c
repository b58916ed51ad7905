/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Persistent connections to a worker: the end of the broker. */

#include "tcp-fixture.h"

#include <unistd.h>

#include "handoff/message.h"

#define ROUTE(...) { .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET, __VA_ARGS__ }

/* A worker by hand. */
typedef struct Kept {
        int fd;
        uint16_t n_received;
} Kept;

typedef struct Clients {
        int fds[FDPASS_PERSISTENT_MAX];
        size_t n;
} Clients;

/* Receives a message with its clients, and looks whether there is a header for each. */
static int receive(Kept *k, Clients *ret) {
        static uint8_t buffer[FDPASS_MESSAGE_MAX];
        size_t n, at = 0;
        int r;

        ret->n = FDPASS_PERSISTENT_MAX;
        r = handoff_receive_batch(k->fd, MSG_DONTWAIT, buffer, sizeof(buffer), &n, ret->fds, &ret->n);
        if (r != 0)
                return r;

        for (size_t i = 0; i < ret->n; i++) {
                size_t length = message_header_length(buffer + at, n - at);
                Message m;

                assert_int_equal(message_decode(buffer + at, length, &m), 0);
                assert_true(slice_equal(m.route, SLICE_LITERAL("a.socket")));
                assert_int_equal(m.persistent_max, k->n_received == 0 ? FDPASS_PERSISTENT_MAX : 0);
                at += length;
        }
        assert_int_equal(at, n);

        k->n_received = (uint16_t) (k->n_received + ret->n);
        return 0;
}

static void answer(Kept *k, uint8_t what, uint16_t first, uint16_t n, uint16_t limit) {
        assert_int_equal(handoff_answer_persistent(k->fd, what, first, n, limit), 0);
}

static Kept accept_kept(int worker) {
        Kept k = {};

        WAIT_FOR(has_event(worker, POLLIN));
        k.fd = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_true(k.fd >= 0);
        return k;
}

/* One client comes and is taken, and the connection is kept. */
static Kept keep(int worker, uint16_t limit) {
        uint64_t before = n_taken();
        int client = dial_tcp('!');
        Kept k = accept_kept(worker);
        Clients c;

        assert_int_equal(receive(&k, &c), 0);
        assert_int_equal(c.n, 1);
        answer(&k, FDPASS_ANSWER_TAKEN, 0, 1, limit);
        WAIT_FOR(n_taken() == before + 1);

        fd_close(c.fds[0]);
        fd_close(client);
        return k;
}

static void test_batches(void **state) {
        int worker = listen_type_at("a", SOCK_SEQPACKET, 8), clients[15];
        size_t n = 0, n_messages = 0;
        Clients c;
        Kept k;

        USE(ROUTE());
        k = keep(worker, 100);
        assert_int_equal(n_connections("a"), 1);

        dial_many(clients, ELEMENTSOF(clients));
        WAIT_FOR(n_pending("a") == ELEMENTSOF(clients));
        assert_false(has_event(worker, POLLIN));

        for (; n < ELEMENTSOF(clients); n += c.n, n_messages++) {
                assert_int_equal(receive(&k, &c), 0);
                for (size_t i = 0; i < c.n; i++)
                        assert_int_equal(byte_of(c.fds[i]), 'a' + n + i);
                close_all(c.fds, c.n);
        }
        assert_true(n_messages < ELEMENTSOF(clients));

        answer(&k, FDPASS_ANSWER_TAKEN, 1, ELEMENTSOF(clients), 200);
        WAIT_FOR(n_taken() == 1 + ELEMENTSOF(clients));
        assert_int_equal(n_pending("a"), 0);
        assert_int_equal(n_in_broker(), 0);

        /* The broker's copies are closed: that of the worker was the last. */
        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                WAIT_FOR(is_closed(clients[i]));

        close_all(clients, ELEMENTSOF(clients));
        fd_close(k.fd);
        WAIT_FOR(n_connections("a") == 0);
        fd_close(worker);
}

/* Beyond the limit there are connections of their own, and what MaxPending= says holds for all together. */
static void test_limit(void **state) {
        int worker = listen_type_at("a", SOCK_SEQPACKET, 16), clients[10];
        Kept k, other;
        Clients c;
        size_t n = 0;

        USE(ROUTE(.max_pending = 6));
        k = keep(worker, 4);

        dial_many(clients, ELEMENTSOF(clients));
        WAIT_FOR(n_accepted() == 1 + ELEMENTSOF(clients));
        assert_int_equal(n_pending("a"), 6);
        assert_int_equal(queued("a.socket"), 4);

        while (receive(&k, &c) == 0) {
                n += c.n;
                close_all(c.fds, c.n);
        }
        assert_int_equal(n, 3);

        /* No more of them here: the next one comes on another connection, and there it is one only. */
        answer(&k, FDPASS_ANSWER_TAKEN, 1, 3, 4);
        other = accept_kept(worker);
        assert_int_equal(receive(&other, &c), 0);
        assert_int_equal(c.n, 1);
        assert_int_equal(receive(&other, &(Clients){}), -EAGAIN);
        close_all(c.fds, c.n);
        assert_int_equal(receive(&k, &c), -EAGAIN);

        /* A limit that comes without an answer. */
        answer(&k, FDPASS_ANSWER_TAKEN, 4, 0, 50);
        answer(&other, FDPASS_ANSWER_TAKEN, 0, 1, 0);
        WAIT_FOR(has_event(k.fd, POLLIN));

        fd_close(other.fd);
        fd_close(k.fd);
        fd_close(worker);
        close_all(clients, ELEMENTSOF(clients));
}

/* The end of the connection: who is untouched goes on, who was touched is not given twice. */
static void test_end(void **state) {
        int worker = listen_type_at("a", SOCK_SEQPACKET, 64), clients[8];
        unsigned seen = 0;
        Clients c;
        Kept k;

        USE(ROUTE());
        k = keep(worker, 100);

        dial_many(clients, 1); /* a message of its own */
        WAIT_FOR(n_pending("a") == 1);
        dial_rest(clients, 1, ELEMENTSOF(clients));
        WAIT_FOR(n_pending("a") == ELEMENTSOF(clients));

        /* Some are received, of which one is read, one is answered, and others not even received. */
        assert_int_equal(receive(&k, &c), 0);
        assert_int_equal(c.n, 1);
        assert_int_equal(byte_of(c.fds[0]), 'a');
        close_all(c.fds, c.n);
        fd_close(k.fd);

        WAIT_FOR(n_taken() == 2);
        WAIT_FOR(n_unread() == ELEMENTSOF(clients) - 1);
        for (size_t i = 1; i < ELEMENTSOF(clients); i++) {
                k = accept_kept(worker);
                assert_int_equal(receive(&k, &c), 0);
                seen |= 1U << (byte_of(c.fds[0]) - 'a'); /* in any order */
                close_all(c.fds, c.n);
                fd_close(k.fd);
        }

        assert_int_equal(seen, 0xfe);
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_taken(), 1 + ELEMENTSOF(clients));
        close_all(clients, ELEMENTSOF(clients));
        fd_close(worker);
}

/* Answers from before the end count, although the kernel reports the unread messages first. */
static void test_answer_and_end(void **state) {
        int worker = listen_type_at("a", SOCK_SEQPACKET, 64), clients[8];
        uint16_t n;
        Clients c;
        Kept k;

        USE(ROUTE());
        k = keep(worker, 100);

        dial_many(clients, 1); /* a message of its own */
        WAIT_FOR(n_pending("a") == 1);
        dial_rest(clients, 1, ELEMENTSOF(clients));
        WAIT_FOR(n_pending("a") == ELEMENTSOF(clients));
        assert_int_equal(receive(&k, &c), 0);
        n = (uint16_t) c.n;
        assert_int_equal(n, 1);
        answer(&k, FDPASS_ANSWER_TAKEN, 1, n, 100);
        fd_close(k.fd);

        /* The worker may have passed on the clients that it took. */
        WAIT_FOR(n_unread() + n_taken() == 1 + ELEMENTSOF(clients));
        assert_int_equal(n_taken(), 1 + n);

        close_all(c.fds, c.n);
        close_all(clients, ELEMENTSOF(clients));
        fd_close(worker);
}

/* The worker ends between two clients, as an idle one does. No client is lost. */
static void test_end_unnoticed(void **state) {
        int worker = listen_type_at("a", SOCK_SEQPACKET, 64), clients[3];
        Kept k;

        USE(ROUTE());
        k = keep(worker, 100);
        fd_close(k.fd); /* the broker's loop has no turn between this and the clients */
        dial_many(clients, ELEMENTSOF(clients));

        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                Clients c;

                k = accept_kept(worker);
                assert_int_equal(receive(&k, &c), 0);
                assert_int_equal(byte_of(c.fds[0]), 'a' + i);
                close_all(c.fds, c.n);
                fd_close(k.fd);
        }

        WAIT_FOR(n_in_broker() == 0);
        assert_false(is_retried_later("a"));
        close_all(clients, ELEMENTSOF(clients));
        fd_close(worker);
}

/* A declined client goes to another worker, or to this one later. A rejected one goes to none, even untouched. */
static void test_refused(void **state) {
        int worker = listen_type_at("a", SOCK_SEQPACKET, 64), clients[3];
        uint16_t next;
        Clients c;
        Kept k;

        USE(ROUTE());
        k = keep(worker, 100);
        dial_many(clients, ELEMENTSOF(clients));
        WAIT_FOR(n_pending("a") == ELEMENTSOF(clients));
        while (receive(&k, &c) == 0)
                close_all(c.fds, c.n);

        /* The answers come in another order than the clients. */
        answer(&k, FDPASS_ANSWER_ERROR, 2, 1, 100);
        answer(&k, FDPASS_ANSWER_TAKEN, 1, 1, 100);
        answer(&k, FDPASS_ANSWER_REFUSED, 3, 1, 100);
        WAIT_FOR(n_refused(REFUSAL_WORKER) == 1);
        WAIT_FOR(n_taken() == 2);
        WAIT_FOR(n_unread() == 1);
        assert_int_equal(route_n_declined("a.socket"), 1);
        WAIT_FOR(is_closed(clients[1]));

        next = k.n_received;
        WAIT_FOR(has_event(k.fd, POLLIN));
        assert_int_equal(receive(&k, &c), 0);
        assert_int_equal(byte_of(c.fds[0]), 'c');
        close_all(c.fds, c.n);
        answer(&k, FDPASS_ANSWER_TAKEN, next, 1, 100);
        WAIT_FOR(n_taken() == 3);

        close_all(clients, ELEMENTSOF(clients));
        fd_close(k.fd);
        fd_close(worker);
}

/* Answers that are none, about clients that were not sent, and without an end. */
static void test_hostile(void **state) {
        int worker = listen_type_at("a", SOCK_SEQPACKET, 64), client;
        uint64_t n_before;
        Clients c;
        Kept k;

        USE(ROUTE());
        for (size_t i = 0; i < 100000; i++) {
                if (i % 10000 == 0) {
                        if (i > 0)
                                fd_close(k.fd);
                        k = keep(worker, 100);
                }
                (void) handoff_answer_persistent(k.fd, (uint8_t) i, (uint16_t) (i * 7), (uint16_t) (i * 13), (uint16_t) i);
                if (i % 64 == 0)
                        assert_true(broker_turn(t.broker, 0) >= 0);
        }

        /* An earlier answer may still be unread, and be about this client. */
        n_before = n_taken();
        client = dial_tcp('x');
        WAIT_FOR(n_pending("a") == 1 || n_taken() > n_before);
        answer(&k, FDPASS_ANSWER_TAKEN, (uint16_t) (k.n_received + 1), 65535 - 16, 3);
        assert_true(broker_turn(t.broker, 0) >= 0);
        assert_int_equal(send(k.fd, "garbage!", 8, MSG_NOSIGNAL), 8);
        WAIT_FOR(n_connections("a") == 0);
        fd_close(k.fd);

        /* Whether it was sent there or not, it gets its worker. */
        if (n_in_broker() > 0) {
                k = accept_kept(worker);
                assert_int_equal(receive(&k, &c), 0);
                close_all(c.fds, c.n);
                fd_close(k.fd);
        }
        WAIT_FOR(n_in_broker() == 0);
        fd_close(client);
        fd_close(worker);
}

/* A reload without the route ends the connection; AF_UNIX clients never go by one. */
static void test_reload(void **state) {
        int worker = listen_type_at("a", SOCK_SEQPACKET, 64), client;
        Kept k, other;
        Clients c;
        char byte;

        USE(ROUTE());
        k = keep(worker, 100);
        client = dial_and_say("public", 'u');
        other = accept_kept(worker);
        other.n_received = 1; /* no KEEP in it */
        assert_int_equal(receive(&other, &c), 0);
        close_all(c.fds, c.n);
        fd_close(other.fd);
        fd_close(client);
        WAIT_FOR(n_in_broker() == 0);

        USE({ .unit = "b.socket", .worker = "b" });
        WAIT_FOR(has_event(k.fd, POLLIN));
        assert_int_equal(recv(k.fd, &byte, 1, MSG_DONTWAIT), 0);

        fd_close(k.fd);
        fd_close(worker);
}

/* The number of persistent connections is limited. An unused one is closed for a new one. */
static void test_table(void **state) {
        enum { N = 32 };
        int worker = listen_type_at("a", SOCK_SEQPACKET, 64), clients[N + 1];
        Kept k[N + 1];
        Clients c;

        USE(ROUTE());
        for (size_t i = 0; i < N; i++)
                k[i] = keep(worker, 1); /* no credit: each client needs a connection of its own */
        assert_int_equal(n_connections("a"), N);

        clients[0] = dial_tcp('x');
        k[N] = accept_kept(worker);
        k[N].n_received = 1; /* no KEEP: there are enough */
        assert_int_equal(receive(&k[N], &c), 0);
        close_all(c.fds, c.n);
        answer(&k[N], FDPASS_ANSWER_TAKEN, 0, 1, 100); /* nevertheless: it counts as taken, and is closed */
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_connections("a"), N);
        WAIT_FOR(has_event(k[N].fd, POLLRDHUP));

        fd_close(clients[0]);
        for (size_t i = 0; i < N + 1; i++)
                fd_close(k[i].fd);
        WAIT_FOR(n_connections("a") == 0);
        fd_close(worker);
}

/* As if clients came quickly, whatever happens. */
static void quick_turns(size_t n) {
        for (size_t i = 0; i < n; i++) {
                set_polling(true);
                assert_true(broker_turn(t.broker, 0) >= 0);
        }
}

/* A limit without an answer is read while no answer is outstanding. */
static void test_limit_polled(void **state) {
        int worker = listen_type_at("a", SOCK_SEQPACKET, 8), client;
        Clients c;
        Kept k;

        USE(ROUTE());
        k = keep(worker, 1);
        answer(&k, FDPASS_ANSWER_TAKEN, 1, 0, 100);
        quick_turns(1);

        client = dial_tcp('x');
        quick_turns(3);
        assert_false(has_event(worker, POLLIN));
        assert_int_equal(receive(&k, &c), 0);
        answer(&k, FDPASS_ANSWER_TAKEN, 1, 1, 100);
        quick_turns(1);
        assert_int_equal(n_taken(), 2);

        close_all(c.fds, c.n);
        fd_close(client);
        fd_close(k.fd);
        fd_close(worker);
}

/* However many wait for a worker that hangs, the receipt of another one is seen as soon as they have waited for 1 ms. */
static void test_receipts_polled(void **state) {
        int hangs = listen_type_at("a", SOCK_SEQPACKET, 64), other = listen_type_at("b", SOCK_SEQPACKET, 8), clients[41], fd;
        usec_t end;

        USE({ .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET, .listener = "tcp" },
            { .unit = "b.socket", .worker = "b", .transport = TRANSPORT_SEQPACKET, .listener = "public" });
        for (size_t i = 0; i < 40; i++) {
                clients[i] = dial_tcp('x');
                quick_turns(1);
        }
        clients[40] = dial_and_say("public", 'x');
        quick_turns(2);
        for (end = usec_now() + 2 * POLL_MODE_TURN_USEC; usec_now() < end;)
                ;

        fd = accept4(other, NULL, NULL, SOCK_CLOEXEC);
        assert_true(fd >= 0);
        fd_close(fd); /* without a look: it comes back, and is sent again */
        quick_turns(2);
        assert_true(n_unread() == 1 || is_judging());

        fd_close(hangs);
        fd_close(other);
        close_all(clients, ELEMENTSOF(clients));
}

/* A stop while two pools wait for one worker, whose kept connection has ended unnoticed. */
static void test_stop(void **state) {
        int worker = listen_type_at("a", SOCK_SEQPACKET, 16), clients[4], conn;

        USE({ .unit = "a.socket", .worker = "a", .listener = "tcp", .transport = TRANSPORT_SEQPACKET, .max_pending = 1 },
            { .unit = "c.socket", .worker = "a", .listener = "public", .transport = TRANSPORT_SEQPACKET, .max_pending = 1 });
        conn = keep(worker, 100).fd;
        clients[0] = dial_tcp('h');
        WAIT_FOR(n_pending("a") == 1);
        clients[1] = dial_tcp('q');
        clients[2] = dial_tcp('r');
        clients[3] = dial_and_say("public", 'p');
        WAIT_FOR(n_accepted() == 5);

        fd_close(conn); /* the loop has no turn between this and the stop */
        (void) alarm(10);
        broker_stop(t.broker);
        (void) alarm(0);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(worker);
}

/* The end of the broker, with a client unanswered on a kept connection of a worker that no route leads to any more. */
static void test_exit(void **state) {
        int worker = listen_type_at("a", SOCK_SEQPACKET, 16), client, conn;

        USE({ .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET });
        conn = keep(worker, 100).fd;
        client = dial_tcp('h');
        WAIT_FOR(n_pending("a") == 1);

        USE({ .unit = "b.socket", .worker = "b", .transport = TRANSPORT_SEQPACKET });
        t.broker = broker_free(t.broker);

        fd_close(client);
        fd_close(conn);
        fd_close(worker);
}

TEST_MAIN(TCP_TEST(test_batches),
          TCP_TEST(test_limit),
          TCP_TEST(test_end),
          TCP_TEST(test_answer_and_end),
          TCP_TEST(test_end_unnoticed),
          TCP_TEST(test_refused),
          TCP_TEST(test_hostile),
          TCP_TEST(test_reload),
          TCP_TEST(test_table),
          TCP_TEST(test_limit_polled),
          TCP_TEST(test_receipts_polled),
          TCP_TEST(test_stop),
          TCP_TEST(test_exit))
