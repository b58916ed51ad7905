/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass_accept(): its answers, waits, limits, and many threads. */

#include "libfdpass-fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>

#include "basic/time.h"

/* fdpass_accept() in each form, with and without the object. */
static void test_accept(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                struct fdpass *m = NULL;
                int client[2], conn, fd;
                Fixture f;

                fixture_open(&f, types[i], 0, 8);
                client_pair(client);

                conn = fixture_connect(&f);
                assert_int_equal(send_in_form(&f, conn, client[1]), 0);
                fd = fdpass_accept(f.fd, SOCK_CLOEXEC, NULL);
                assert_true(fd >= 0);
                assert_int_equal(handoff_receipt(conn, false), RECEIPT_CLOSED);
                assert_connected(client[0], fd);
                fd_close(fd);
                fd_close(conn);

                conn = fixture_connect(&f);
                assert_int_equal(send_in_form(&f, conn, client[1]), 0);
                fd = fdpass_accept(f.fd, SOCK_CLOEXEC, &m);
                assert_true(fd >= 0);
                assert_int_equal(handoff_receipt(conn, false), RECEIPT_CLOSED);
                assert_null(fdpass_route(m));
                assert_null(fdpass_consumed(m, NULL));
                assert_true(fdpass_deadline(m) == UINT64_MAX);
                assert_int_equal(fdpass_peer(m, NULL)->sa_family, AF_INET);
                fdpass_free(m);
                fd_close(fd);
                fd_close(conn);

                pair_close(client);
                fixture_close(&f);
        }
}

/* On a socket without the kernel's TLS these do what recv(2), shutdown(2) and close(2) do. */
static void test_plain_sockets(void **state) {
        int client[2], copy;
        char bytes[8];

        client_pair(client);
        assert_int_equal(send(client[0], "hello", 5, 0), 5);
        assert_int_equal(fdpass_recv(client[1], bytes, 3, MSG_PEEK), 3);
        assert_int_equal(fdpass_recv(client[1], bytes, sizeof(bytes), MSG_DONTWAIT), 5);
        assert_int_equal(fdpass_recv(client[1], bytes, sizeof(bytes), MSG_DONTWAIT), -EAGAIN);
        assert_int_equal(fdpass_recv(-1, bytes, sizeof(bytes), 0), -EBADF);

        assert_int_equal(fdpass_shutdown(client[1]), 0);
        assert_int_equal(recv(client[0], bytes, sizeof(bytes), MSG_DONTWAIT), 0);
        assert_int_equal(send(client[0], "x", 1, 0), 1);
        assert_int_equal(fdpass_recv(client[1], bytes, sizeof(bytes), 0), 1);
        pair_close(client);

        /* The end does not wait for copies that other processes have. */
        client_pair(client);
        copy = fcntl(client[1], F_DUPFD_CLOEXEC, 0);
        assert_int_equal(fdpass_close(client[1]), 0);
        assert_int_equal(recv(client[0], bytes, sizeof(bytes), MSG_DONTWAIT), 0);
        assert_int_equal(fdpass_close(copy), 0);
        assert_int_equal(fdpass_close(copy), -EBADF);
        assert_int_equal(fdpass_shutdown(copy), -EBADF);
        fd_close(client[0]);
}

/* Flags are as the caller says, whatever the sender left on the socket. */
static void test_flags(void **state) {
        static const int flags[] = { 0, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_CLOEXEC | SOCK_NONBLOCK };
        struct fdpass *m = NULL;
        int client[2];
        Fixture f;

        fixture_open(&f, SOCK_SEQPACKET, 0, 8);
        client_pair(client);

        for (size_t i = 0; i < 2 * ELEMENTSOF(flags); i++) {
                int wanted = flags[i / 2], conn = fixture_connect(&f), fd;

                assert_int_equal(fd_nonblock(client[1], i % 2), 0);
                assert_int_equal(send_in_form(&f, conn, client[1]), 0);
                fd = fdpass_accept(f.fd, wanted, NULL);
                assert_true(fd >= 0);
                assert_int_equal(!!(fcntl(fd, F_GETFD) & FD_CLOEXEC), !!(wanted & SOCK_CLOEXEC));
                assert_int_equal(!!(fcntl(fd, F_GETFL) & O_NONBLOCK), !!(wanted & SOCK_NONBLOCK));
                fd_close(fd);
                fd_close(conn);
        }

        assert_int_equal(fdpass_accept(f.fd, 4, &m), -EINVAL);
        assert_int_equal(fdpass_accept(f.fd, FDPASS_DEFER, NULL), -EINVAL);
        assert_null(m);

        pair_close(client);
        fixture_close(&f);
}

/* With Accept=yes systemd passes the connection itself. */
static void test_accept_yes(void **state) {
        for (size_t i = 0; i < 2; i++) {
                int client[2], conn, accepted, fd;
                Fixture f;

                fixture_open(&f, types[i], 0, 8);
                client_pair(client);
                conn = fixture_connect(&f);
                accepted = accept4(f.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                assert_true(accepted >= 0);

                assert_int_equal(fdpass_accept(accepted, SOCK_CLOEXEC, NULL), -EAGAIN);
                assert_int_equal(handoff_receipt(conn, false), RECEIPT_NONE);
                assert_int_equal(send_in_form(&f, conn, client[1]), 0);
                fd = fdpass_accept(accepted, SOCK_CLOEXEC, NULL);
                assert_true(fd >= 0);
                assert_int_equal(handoff_receipt(conn, false), RECEIPT_CLOSED);
                assert_connected(client[0], fd);
                assert_int_equal(fdpass_accept(accepted, SOCK_CLOEXEC, NULL), -ENOTCONN);
                assert_true(fcntl(accepted, F_GETFD) >= 0); /* not consumed */

                fd_close(fd);
                fd_close(accepted);
                fd_close(conn);
                pair_close(client);
                fixture_close(&f);
        }
}

/* With Accept=yes, a client that was not received stays the sender's when the process ends. */
static void test_accept_yes_failure(void **state) {
        struct rlimit limit, low;
        int conn, accepted;
        Fixture f;

        fixture_open(&f, SOCK_SEQPACKET, 0, 8);
        conn = fixture_connect(&f);
        assert_int_equal(send_in_form(&f, conn, STDERR_FILENO), 0);
        accepted = accept4(f.fd, NULL, NULL, SOCK_CLOEXEC);

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        low = (struct rlimit){ (rlim_t) lowest_free_fd(), limit.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        assert_int_equal(fdpass_accept(accepted, 0, NULL), -EMFILE);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);

        assert_int_equal(handoff_receipt(conn, true), RECEIPT_NONE);
        fd_close(accepted);
        assert_int_equal(handoff_receipt(conn, true), RECEIPT_RESET);

        fd_close(conn);
        fixture_close(&f);
}

typedef int (*Answer)(struct fdpass *f);

/* With FDPASS_DEFER the sender gets nothing before the answer. */
static void test_answers(void **state) {
        static const struct {
                Answer answer;
                Receipt receipt;
        } answers[] = { { fdpass_taken, RECEIPT_TAKEN }, { fdpass_decline, RECEIPT_REFUSED },
                        { fdpass_reject, RECEIPT_ERROR }, { NULL, RECEIPT_CLOSED } };

        for (size_t i = 0; i < 2 * ELEMENTSOF(answers); i++) {
                int client[2], conn, fd;
                struct fdpass *m;
                Fixture f;

                fixture_open(&f, types[i % 2], 0, 8);
                client_pair(client);
                conn = fixture_connect(&f);
                assert_int_equal(send_in_form(&f, conn, client[1]), 0);
                fd = fdpass_accept(f.fd, SOCK_CLOEXEC | FDPASS_DEFER, &m);
                assert_true(fd >= 0);
                assert_int_equal(handoff_receipt(conn, false), RECEIPT_NONE);
                fd_close(fd);

                if (answers[i / 2].answer) {
                        assert_int_equal(answers[i / 2].answer(m), 0);
                        assert_int_equal(answers[i / 2].answer(m), -EALREADY);
                        assert_int_equal(handoff_receipt(conn, false), answers[i / 2].receipt);
                        fdpass_free(m);
                } else {
                        fdpass_free(m);
                        assert_int_equal(handoff_receipt(conn, false), answers[i / 2].receipt);
                }

                fd_close(conn);
                pair_close(client);
                fixture_close(&f);
        }
}

/* Without FDPASS_DEFER an object has its answer already. */
static void test_answers_given(void **state) {
        int client[2], conn, fd;
        struct fdpass *m;
        Fixture f;

        client_pair(client);

        fixture_open(&f, SOCK_SEQPACKET, 0, 8);
        conn = fixture_connect(&f);
        assert_int_equal(send_in_form(&f, conn, client[1]), 0);
        fd = fdpass_accept(f.fd, 0, &m);
        assert_true(fd >= 0);
        assert_int_equal(fdpass_decline(m), -EALREADY);
        fdpass_free(m);
        fdpass_free(NULL);
        fd_close(fd);
        fd_close(conn);
        fixture_close(&f);

        pair_close(client);
}

/* O_NONBLOCK without a client, and with a sender that sends no message. */
static void test_nonblocking(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                usec_t start = usec_now();
                Fixture f;
                int conn;

                fixture_open(&f, types[i], SOCK_NONBLOCK, 8);
                assert_int_equal(fdpass_accept(f.fd, 0, NULL), -EAGAIN);
                assert_true(usec_now() - start < USEC_PER_SEC);

                conn = fixture_connect(&f);
                start = usec_now();
                assert_int_equal(fdpass_accept(f.fd, 0, NULL), -ECONNABORTED);
                assert_in_range(usec_now() - start, 10 * USEC_PER_MSEC, USEC_PER_SEC - 1);
                assert_int_equal(send_in_form(&f, conn, STDERR_FILENO), -EPIPE);
                fd_close(conn);

                fd_close(fixture_connect(&f));
                assert_int_equal(fdpass_accept(f.fd, 0, NULL), -ECONNABORTED);

                fixture_close(&f);
        }
}

typedef struct Late {
        const Fixture *f;
        int client_fd;
        int conn;
} Late;

static void *send_late(void *userdata) {
        Late *l = userdata;

        l->conn = handoff_connect_type(&l->f->address, l->f->len, l->f->type);
        if (l->conn >= 0)
                (void) !send_in_form(l->f, l->conn, l->client_fd);
        return NULL;
}

/* A blocking socket waits for a client that comes later. */
static void test_blocking(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                pthread_t thread;
                int client[2], fd;
                Fixture f;
                Late l = { .f = &f };

                fixture_open(&f, types[i], 0, 8);
                client_pair(client);
                l.client_fd = client[1];
                assert_int_equal(pthread_create(&thread, NULL, send_late, &l), 0);
                fd = fdpass_accept(f.fd, 0, NULL);
                assert_int_equal(pthread_join(thread, NULL), 0);
                assert_true(fd >= 0);
                assert_connected(client[0], fd);

                fd_close(fd);
                fd_close(l.conn);
                pair_close(client);
                fixture_close(&f);
        }
}

/* Descriptors that are no worker's socket. */
static void test_wrong_sockets(void **state) {
        int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), p[2];
        struct fdpass_receiver *receiver;
        Fixture f;

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        assert_int_equal(fdpass_accept(-1, 0, NULL), -EBADF);
        assert_int_equal(fdpass_accept(p[0], 0, NULL), -ENOTSOCK);
        assert_int_equal(fdpass_accept(tcp, 0, NULL), -EOPNOTSUPP);
        assert_int_equal(listen(tcp, 1), 0);
        assert_int_equal(fdpass_accept(tcp, 0, NULL), -EOPNOTSUPP);
        pair_close(p);
        fd_close(tcp);

        /* A datagram socket is refused, and its message stays unread. */
        fixture_open(&f, SOCK_DGRAM, 0, 8);
        p[0] = fixture_connect(&f);
        assert_int_equal(send_in_form(&f, p[0], STDERR_FILENO), 0);
        assert_int_equal(fdpass_accept(f.fd, 0, NULL), -EOPNOTSUPP);
        assert_int_equal(fdpass_receiver_new(f.fd, 8, &receiver), 0);
        assert_int_equal(fdpass_receive(receiver, FDPASS_WAIT, NULL), -EOPNOTSUPP);
        fdpass_receiver_free(receiver);
        assert_true(recv(f.fd, &(char){ 0 }, 1, MSG_DONTWAIT) >= 0);
        fd_close(p[0]);
        fixture_close(&f);
}

/* At RLIMIT_NOFILE no client is taken and none is lost. */
static void test_no_room(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                int client[2], conn, fd;
                struct rlimit limit;
                Fixture f;

                fixture_open(&f, types[i], 0, 8);
                client_pair(client);
                conn = fixture_connect(&f);
                assert_int_equal(send_in_form(&f, conn, client[1]), 0);

                assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
                for (int k = 0; k < 2; k++) {
                        struct rlimit low = { (rlim_t) (lowest_free_fd() + k), limit.rlim_max };

                        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
                        fd = fdpass_accept(f.fd, 0, NULL);
                        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
                        assert_int_equal(fd, -EMFILE);
                        assert_int_equal(handoff_receipt(conn, false), RECEIPT_NONE);
                }

                struct rlimit enough = { (rlim_t) (lowest_free_fd() + 2), limit.rlim_max };
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &enough), 0);
                fd = fdpass_accept(f.fd, 0, NULL);
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
                assert_true(fd >= 0);
                assert_int_equal(handoff_receipt(conn, false), RECEIPT_CLOSED);
                assert_connected(client[0], fd);

                fd_close(fd);
                fd_close(conn);
                pair_close(client);
                fixture_close(&f);
        }
}

/* Control data that a socket unit asks for does not replace the client, and no descriptor of it stays open. */
static void test_more_control_data(void **state) {
        static const int options[] = { SO_PASSCRED, SO_PASSSEC, 76 /* SO_PASSPIDFD, Linux 6.5 */, SO_TIMESTAMPNS };

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                int client[2], conn, accepted, fd, yes = 1;
                Fixture f;

                fixture_open(&f, types[i], 0, 8);
                client_pair(client);
                conn = fixture_connect(&f);
                accepted = accept4(f.fd, NULL, NULL, SOCK_CLOEXEC);
                for (size_t k = 0; k < ELEMENTSOF(options); k++)
                        (void) !setsockopt(accepted, SOL_SOCKET, options[k], &yes, sizeof(yes));

                assert_int_equal(send_in_form(&f, conn, client[1]), 0);
                fd = fdpass_accept(accepted, 0, NULL);
                assert_true(fd >= 0);
                assert_connected(client[0], fd);

                fd_close(fd);
                fd_close(accepted);
                fd_close(conn);
                pair_close(client);
                fixture_close(&f);
        }
}

#define N_THREADS 4
#define N_CLIENTS 1000

typedef struct Shared {
        Fixture f;
        int taken[N_THREADS];
} Shared;

typedef struct Thread {
        Shared *shared;
        int *taken;
        pthread_t thread;
} Thread;

/* Each client is one end of a pair that brings one byte; "q" ends the thread. */
static void *take_all(void *userdata) {
        Thread *t = userdata;
        char byte = 0;

        while (byte != 'q') {
                int fd = fdpass_accept(t->shared->f.fd, SOCK_CLOEXEC, NULL);

                if (fd < 0)
                        return NULL;
                if (recv(fd, &byte, 1, 0) == 1 && byte == 'x')
                        (*t->taken)++;
                fd_close(fd);
        }

        return NULL;
}

static void offer_byte(const Fixture *f, char byte) {
        struct pollfd p = { .events = POLLIN };
        int client[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client), 0);
        assert_int_equal(send(client[0], &byte, 1, 0), 1);
        p.fd = fixture_connect(f);
        assert_int_equal(send_in_form(f, p.fd, client[1]), 0);
        assert_int_equal(poll(&p, 1, 10000), 1);
        assert_int_equal(handoff_receipt(p.fd, false), RECEIPT_CLOSED);
        fd_close(p.fd);
        pair_close(client);
}

/* Several threads on one socket: each client comes to one thread. */
static void test_threads(void **state) {
        static Shared shared;
        Thread threads[N_THREADS];
        int n = 0;

        fixture_open(&shared.f, SOCK_SEQPACKET, 0, 64);
        for (size_t i = 0; i < N_THREADS; i++) {
                threads[i] = (Thread){ .shared = &shared, .taken = &shared.taken[i] };
                assert_int_equal(pthread_create(&threads[i].thread, NULL, take_all, &threads[i]), 0);
        }

        for (int i = 0; i < N_CLIENTS; i++)
                offer_byte(&shared.f, 'x');
        for (int i = 0; i < N_THREADS; i++)
                offer_byte(&shared.f, 'q');
        for (size_t i = 0; i < N_THREADS; i++) {
                assert_int_equal(pthread_join(threads[i].thread, NULL), 0);
                n += shared.taken[i];
        }

        assert_int_equal(n, N_CLIENTS);
        fixture_close(&shared.f);
}

TEST_MAIN(TEST(test_accept),
          TEST(test_plain_sockets),
          TEST(test_flags),
          TEST(test_accept_yes),
          TEST(test_accept_yes_failure),
          TEST(test_answers),
          TEST(test_answers_given),
          TEST(test_nonblocking),
          TEST(test_blocking),
          TEST(test_wrong_sockets),
          TEST(test_no_room),
          TEST(test_more_control_data),
          TEST(test_threads))
