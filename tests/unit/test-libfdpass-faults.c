/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Lets every system call and allocation of the library fail once. Afterwards the worker has the client, or its sender
 * knows that the worker has not; and no descriptor stays open.
 */

#include "fault-injection.h"
#include "handoff-fixture.h"

#include "libfdpass/fdpass.h"

/* The sender's view of a client that the worker did not get. */
static void assert_not_lost(Fixture *f, int conn) {
        Receipt receipt = handoff_receipt(conn, true);
        int fd;

        if (receipt == RECEIPT_RESET || receipt == RECEIPT_REFUSED || receipt == RECEIPT_ERROR)
                return;
        if (receipt != RECEIPT_NONE)
                print_error("receipt %d after %s, %s, time %u, of type %d\n", receipt, calls[fault.call].name,
                            strerrorname_np(fault.error), fault.first, f->type);
        assert_int_equal(receipt, RECEIPT_NONE);

        /* The client is still in the worker's backlog. */
        fd = fdpass_accept(f->fd, SOCK_CLOEXEC, NULL);
        if (fd < 0)
                print_error("%s after %s, %s, time %u, of type %d\n", strerrorname_np(-fd), calls[fault.call].name,
                            strerrorname_np(fault.error), fault.first, f->type);
        assert_true(fd >= 0);
        fd_close(fd);
}

/* Lets the @n-th call fail. Returns false if there were fewer calls. */
static bool accept_once(int type, int flags, Call call, int error, unsigned n) {
        struct fdpass *m = NULL;
        int client[2], conn, r, lowest;
        Fixture f;

        fixture_open(&f, type, SOCK_NONBLOCK, 8);
        client_pair(client);
        conn = fixture_connect(&f);
        assert_int_equal(send_in_form(&f, conn, client[1]), 0);
        lowest = lowest_free_fd();

        fault_set(call, error, n, n);
        fault_enter();
        r = fdpass_accept(f.fd, SOCK_CLOEXEC | flags, &m);
        fault_leave();

        if (r >= 0) {
                assert_connected(client[0], r);
                fd_close(r);
        } else {
                assert_null(m);
                assert_not_lost(&f, conn);
        }
        fdpass_free(m);
        assert_int_equal(lowest_free_fd(), lowest);

        fd_close(conn);
        pair_close(client);
        fixture_close(&f);
        return fault.n_failed > 0;
}

static void test_accept(void **state) {
        static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };
        unsigned n_failed = 0;

        for (Call call = 0; call < _CALL_MAX; call++)
                for (const int *e = calls[call].errors; *e; e++)
                        for (size_t i = 0; i < 2 * ELEMENTSOF(types); i++)
                                for (unsigned n = 1; accept_once(types[i / 2], i % 2 ? FDPASS_DEFER : 0, call, *e, n); n++)
                                        n_failed++;

        assert_true(n_failed > 60); /* the faults hit the library's own calls */
}

/* Lets the @n-th call fail. Returns false if there were fewer calls. */
static bool return_once(Call call, int error, unsigned n) {
        int client[2], r, conn, fd, flags, lowest;
        Fixture f;

        fixture_open(&f, SOCK_SEQPACKET, SOCK_NONBLOCK, 8);
        client_pair(client);
        flags = fcntl(client[1], F_GETFL) | O_NONBLOCK;
        assert_int_equal(fcntl(client[1], F_SETFL, flags), 0);
        lowest = lowest_free_fd();

        fault_set(call, error, n, n);
        fault_enter();
        r = fdpass_return(client[1], f.path, "name", "data", 4);
        fault_leave();

        assert_int_equal(lowest_free_fd(), lowest);
        conn = accept4(f.fd, NULL, NULL, SOCK_CLOEXEC);
        if (r >= 0) {
                uint8_t bytes[1024];
                size_t size;

                assert_int_equal(handoff_receive_message(conn, 0, bytes, sizeof(bytes), &size, &fd), 0);
                fd_close(fd);
        } else {
                /* The worker still has the client, with its flags unchanged. */
                assert_int_equal(fcntl(client[1], F_GETFL), flags);
                if (conn >= 0)
                        assert_int_equal(recv(conn, &(char){ 0 }, 1, MSG_DONTWAIT), 0);
        }

        fd_close(conn);
        pair_close(client);
        fixture_close(&f);
        return fault.n_failed > 0;
}

static void test_return(void **state) {
        unsigned n_failed = 0;

        for (Call call = 0; call < _CALL_MAX; call++)
                for (const int *e = calls[call].errors; *e; e++)
                        for (unsigned n = 1; return_once(call, *e, n); n++)
                                n_failed++;

        assert_true(n_failed > 10);
}

TEST_MAIN(TEST(test_accept),
          TEST(test_return))
