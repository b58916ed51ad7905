/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Workers are told on their return connections whether they or the host are drained (FDPASS_RETURN_TELL). */

#include "handback-fixture.h"

#include "broker/host-drain.h"

#define FULL 1024 /* more bytes than a socket takes, and an even number */

typedef struct Keeper {
        int a;      /* the worker's socket */
        int client;
        int conn;   /* the return connection */
        int fd;     /* the worker's descriptor of the client */
} Keeper;

static int open_worker(void) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8);

        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 8)), 0);
        USE({ .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET });
        return a;
}

/* Returns the next byte that the broker has sent, or 0. */
static uint8_t next_byte(int conn) {
        uint8_t byte = 0;

        return recv(conn, &byte, 1, MSG_DONTWAIT) == 1 ? byte : 0;
}

static uint8_t await_byte(int conn) {
        WAIT_FOR(has_event(conn, POLLIN));
        return next_byte(conn);
}

/* A client comes, and its worker keeps the connection by this answer. */
static Keeper keep(int a, const uint8_t *answer, size_t n_answer) {
        static uint8_t bytes[FDPASS_MESSAGE_MAX];
        Keeper k = { .a = a, .client = dial_and_say("public", 'x'), .fd = -EBADF };
        size_t n;

        WAIT_FOR(has_event(a, POLLIN));
        k.conn = accept4(a, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive_message(k.conn, 0, bytes, sizeof(bytes), &n, &k.fd), 0);
        assert_int_equal(send(k.conn, answer, n_answer, 0), n_answer);
        assert_int_equal(await_byte(k.conn), FDPASS_ANSWER_RETURN);
        return k;
}

#define KEEP(a, ...) keep(a, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void leave(Keeper *k) {
        fd_close(k->conn);
        fd_close(k->fd);
        fd_close(k->client);
}

/* Each change is told once, and the reason is none. */
static void test_host(void **state) {
        int a = open_worker();
        Keeper k = KEEP(a, FDPASS_ANSWER_RETURN, FDPASS_RETURN_TELL);

        assert_int_equal(next_byte(k.conn), 0);
        assert_true(host_drain_set(t.broker, "a new kernel"));
        assert_true(host_drain_set(t.broker, "another reason"));
        assert_int_equal(next_byte(k.conn), FDPASS_TELL_DRAINED);
        assert_int_equal(next_byte(k.conn), 0);

        assert_true(host_drain_set(t.broker, NULL));
        assert_int_equal(next_byte(k.conn), FDPASS_TELL_UNDRAINED);
        assert_int_equal(next_byte(k.conn), 0);
        leave(&k);
        fd_close(a);
}

/* A worker that comes while the host is drained learns it behind the byte that says that the broker is ready. */
static void test_late(void **state) {
        int a = open_worker();
        Keeper k;

        assert_true(host_drain_set(t.broker, ""));
        k = KEEP(a, FDPASS_ANSWER_RETURN, FDPASS_RETURN_TELL);
        assert_int_equal(await_byte(k.conn), FDPASS_TELL_DRAINED);
        assert_int_equal(next_byte(k.conn), 0);
        leave(&k);
        fd_close(a);
}

/* Drains of the worker and of the host are one state. */
static void test_worker(void **state) {
        int a = open_worker();
        Keeper k = KEEP(a, FDPASS_ANSWER_RETURN, FDPASS_RETURN_TELL);

        drain("a", true);
        assert_int_equal(next_byte(k.conn), FDPASS_TELL_DRAINED);
        assert_true(host_drain_set(t.broker, ""));
        drain("a", false);
        assert_int_equal(next_byte(k.conn), 0);
        assert_true(host_drain_set(t.broker, NULL));
        assert_int_equal(next_byte(k.conn), FDPASS_TELL_UNDRAINED);
        assert_int_equal(next_byte(k.conn), 0);
        leave(&k);
        fd_close(a);
}

/* Without the flag nothing is told. Flags that are not known are ignored. */
static void test_not_asked(void **state) {
        int a = open_worker();
        Keeper old = KEEP(a, FDPASS_ANSWER_RETURN), other = KEEP(a, FDPASS_ANSWER_RETURN, 0xfe),
               all = KEEP(a, FDPASS_ANSWER_RETURN, 0xff, 0xff, 0xff);

        assert_true(host_drain_set(t.broker, ""));
        assert_int_equal(next_byte(old.conn), 0);
        assert_int_equal(next_byte(other.conn), 0);
        assert_int_equal(next_byte(all.conn), FDPASS_TELL_DRAINED);
        leave(&old);
        leave(&other);
        leave(&all);
        fd_close(a);
}

/* Drains and undrains the host @n times. Each time the other worker, which reads, is told at once. */
static void toggle(int other, size_t n) {
        for (size_t i = 0; i < n; i++) {
                bool is_drained = !t.broker->host_drain.is_on;

                assert_true(host_drain_set(t.broker, is_drained ? "" : NULL));
                assert_int_equal(next_byte(other), is_drained ? FDPASS_TELL_DRAINED : FDPASS_TELL_UNDRAINED);
        }
}

/* Reads what is there. Returns the last byte. */
static uint8_t read_all(int conn) {
        uint8_t last = 0, byte;

        while ((byte = next_byte(conn)))
                last = byte;
        return last;
}

/*
 * A worker that does not read is told when it does. Others are told meanwhile. If the socket takes an even number of bytes,
 * the last one of them is true in the end. Then one toggle more makes it false.
 */
static void test_full(void **state) {
        int a = open_worker();
        Keeper k = KEEP(a, FDPASS_ANSWER_RETURN, FDPASS_RETURN_TELL), other = KEEP(a, FDPASS_ANSWER_RETURN, FDPASS_RETURN_TELL);

        toggle(other.conn, FULL);
        if (read_all(k.conn) == FDPASS_TELL_UNDRAINED) {
                toggle(other.conn, FULL + 1);
                assert_int_equal(read_all(k.conn), FDPASS_TELL_UNDRAINED);
                assert_int_equal(await_byte(k.conn), FDPASS_TELL_DRAINED);
        } else
                assert_int_equal(await_byte(k.conn), FDPASS_TELL_UNDRAINED);

        assert_int_equal(next_byte(k.conn), 0);
        leave(&k);
        leave(&other);
        fd_close(a);
}

/* A worker that goes while its socket is full is forgotten. */
static void test_gone(void **state) {
        int a = open_worker();
        Keeper k = KEEP(a, FDPASS_ANSWER_RETURN, FDPASS_RETURN_TELL), other = KEEP(a, FDPASS_ANSWER_RETURN, FDPASS_RETURN_TELL);

        toggle(other.conn, FULL + 1);
        leave(&k);
        run_for(300 * USEC_PER_MSEC); /* longer than until the next try */
        toggle(other.conn, 1);
        leave(&other);
        fd_close(a);
}

TEST_MAIN(BROKER_TEST(test_host),
          BROKER_TEST(test_late),
          BROKER_TEST(test_worker),
          BROKER_TEST(test_not_asked),
          BROKER_TEST(test_full),
          BROKER_TEST(test_gone))
