/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Persistent connections to a worker that receives with the library. */

#include "tcp-fixture.h"

#include "handoff/message.h"
#include "libfdpass/fdpass.h"

#define ROUTE(...) { .unit = "a.socket", .worker = "a", .transport = TRANSPORT_SEQPACKET, __VA_ARGS__ }

/* The library does all that by itself. */
static void test_receiver(void **state) {
        int worker = listen_type_at("a", SOCK_SEQPACKET, 8), clients[15], n = 0;
        struct fdpass_receiver *r;

        USE(ROUTE());
        /* As systemd passes it. A wait for this one alone would miss clients on another connection. */
        assert_int_equal(fd_nonblock(worker, false), 0);
        assert_int_equal(fdpass_receiver_new(worker, 32, &r), 0);
        assert_int_equal(fdpass_receive(r, FDPASS_ANY_SENDER, NULL), -EAGAIN);

        for (size_t turn = 0; turn < 4; turn++) {
                uint64_t seen = 0; /* each comes once, in any order: at times one comes by a connection of its own */

                dial_many(clients, ELEMENTSOF(clients));

                for (size_t k = 0; k < ELEMENTSOF(clients);) {
                        struct fdpass *f;
                        uint64_t bit;
                        int fd;

                        WAIT_FOR(has_event(fdpass_receiver_fd(r), POLLIN) || n_in_broker() > 0);
                        assert_true(broker_turn(t.broker, 0) >= 0);
                        while ((fd = fdpass_receive(r, SOCK_CLOEXEC | FDPASS_ANY_SENDER, &f)) >= 0) {
                                assert_string_equal(fdpass_route(f), "a.socket");
                                assert_string_equal(fdpass_listener(f), "tcp");
                                k++;
                                bit = UINT64_C(1) << (byte_of(fd) - 'a');
                                assert_int_equal(seen & bit, 0);
                                seen |= bit;
                                fdpass_free(f);
                                fd_close(fd);
                                n++;
                        }
                        assert_int_equal(fd, -EAGAIN);
                }

                WAIT_FOR(n_in_broker() == 0);
                close_all(clients, ELEMENTSOF(clients));
        }

        assert_int_equal(n_taken(), n);
        assert_in_range(n_connections("a"), 1, 8);
        fdpass_receiver_free(r);
        WAIT_FOR(n_connections("a") == 0);
        fd_close(worker);
}

/* Answers one by one, late and in any order, also after the receiver has gone. */
static void test_receiver_keep(void **state) {
        int worker = listen_type_at("a", SOCK_SEQPACKET, 8), clients[5], fds[5];
        struct fdpass_receiver *r;
        struct fdpass *f[5];

        USE(ROUTE(.receipt = RECEIPT_BY_ACK));
        assert_int_equal(fdpass_receiver_new(worker, 8, &r), 0);

        dial_many(clients, ELEMENTSOF(clients));
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                WAIT_FOR((fds[i] = fdpass_receive(r, SOCK_CLOEXEC | FDPASS_DEFER, &f[i])) >= 0);
                if (i == 0) {
                        assert_int_equal(fdpass_taken(f[0]), 0); /* the others have come on connections of their own */
                        assert_int_equal(fdpass_taken(f[0]), -EALREADY);
                }
        }
        WAIT_FOR(n_taken() == 1);
        assert_int_equal(n_pending("a"), 4);

        fd_close(fds[3]);
        assert_int_equal(fdpass_reject(f[3]), 0);
        WAIT_FOR(n_refused(REFUSAL_WORKER) == 1);
        assert_int_equal(fdpass_taken(f[2]), 0);
        fdpass_receiver_free(r);
        fdpass_free(f[1]); /* taken, too */
        fdpass_free(f[4]);
        WAIT_FOR(n_taken() == 4);
        WAIT_FOR(n_connections("a") == 0 || n_in_broker() == 0);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                if (i == 0 || i == 2 || i == 3)
                        fdpass_free(f[i]);
                if (i != 3)
                        fd_close(fds[i]);
                fd_close(clients[i]);
        }
        WAIT_FOR(n_connections("a") == 0);
        fd_close(worker);
}

/* Clients that the receiver has not returned go to another worker when it ends. */
static void test_receiver_end(void **state) {
        int worker = listen_type_at("a", SOCK_SEQPACKET, 8), clients[9], fd;
        struct fdpass_receiver *r;
        size_t n = 1;
        unsigned seen = 0;

        USE(ROUTE());
        assert_int_equal(fdpass_receiver_new(worker, 64, &r), 0);
        clients[0] = dial_tcp('0');
        WAIT_FOR((fd = fdpass_receive(r, 0, NULL)) >= 0);
        fd_close(fd);
        WAIT_FOR(n_taken() == 1);

        dial_many(clients + 1, 8);
        WAIT_FOR(n_pending("a") == 8);
        struct fdpass *f;
        assert_true((fd = fdpass_receive(r, FDPASS_DEFER, &f)) >= 0);
        assert_int_equal(byte_of(fd), 'a');
        assert_int_equal(fdpass_taken(f), 0);
        fdpass_free(f);
        fd_close(fd);
        fdpass_receiver_free(r);

        assert_int_equal(fdpass_receiver_new(worker, 64, &r), 0);
        while (n < 8) {
                WAIT_FOR((fd = fdpass_receive(r, 0, NULL)) >= 0);
                seen |= 1U << (byte_of(fd) - 'a'); /* in any order */
                n++;
                fd_close(fd);
        }
        assert_int_equal(seen, 0xfe);
        WAIT_FOR(n_in_broker() == 0);
        fdpass_receiver_free(r);
        close_all(clients, ELEMENTSOF(clients));
        fd_close(worker);
}

TEST_MAIN(TCP_TEST(test_receiver),
          TCP_TEST(test_receiver_keep),
          TCP_TEST(test_receiver_end))
