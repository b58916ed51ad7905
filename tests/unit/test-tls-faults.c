/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Lets every system call and allocation of fdpass-tls fail once. Afterwards the client has its worker, or it has an end;
 * no descriptor and no client stays in the stage; and the next client is served.
 */

#include "fault-injection.h"
#include "tls-stage-fixture.h"

/* The client, and what became of it. */
typedef struct Course {
        Guest guest;
        TlsClient client;
        int worker;
        bool is_ended;     /* the client's handshake or connection has failed, or the broker has to answer it */
        bool was_answered; /* a byte of the worker has come */
} Course;

/* Lets the stage do what is to be done, with faults. */
static void turn(void) {
        fault_enter();
        (void) sd_event_run(t.stage->service.event, USEC_PER_MSEC);
        fault_leave();
}

/* The broker's side: takes the client back if the stage offers it. */
static void turn_broker(Course *c) {
        int conn = accept4(t.broker.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        size_t n;

        if (conn < 0)
                return;

        c->worker = fd_close(c->worker);
        for (unsigned i = 0; i < 20 && !has_event(conn, POLLIN); i++)
                turn(); /* until its message is sent, or its sender gives up */
        if (handoff_receive_message(conn, MSG_DONTWAIT, t.bytes, sizeof(t.bytes), &n, &c->worker) == 0)
                (void) handoff_answer(conn, FDPASS_ANSWER_TAKEN);
        fd_close(conn);
}

static void turn_worker(Course *c) {
        char byte;

        if (c->worker >= 0 && recv(c->worker, &byte, 1, MSG_DONTWAIT) == 1)
                (void) send(c->worker, "b", 1, MSG_NOSIGNAL);
}

static void turn_client(Course *c, bool *is_asked) {
        int answer = guest_answer(&c->guest), r;
        char byte;

        if (answer == FDPASS_ANSWER_REFUSED || answer == FDPASS_ANSWER_ERROR)
                c->is_ended = true;

        ERR_clear_error();
        r = SSL_do_handshake(c->client.ssl);
        if (r == 1 && !*is_asked)
                *is_asked = SSL_write(c->client.ssl, "a", 1) == 1;
        if (r == 1)
                r = SSL_read(c->client.ssl, &byte, 1);
        if (r == 1)
                c->was_answered = true;
        else if (SSL_get_error(c->client.ssl, r) != SSL_ERROR_WANT_READ)
                c->is_ended = true;
}

static void assert_in_time(usec_t end) {
        if (usec_now() >= end)
                print_error("stuck after %s, %s, time %u\n", calls[fault.call].name, strerrorname_np(fault.error), fault.first);
        assert_true(usec_now() < end);
}

/* A client from its hello to its end. Returns whether it was answered. */
static bool run_client(void) {
        Course c = { .worker = -EBADF };
        bool is_asked = false;
        usec_t end = usec_now() + DEADLINE_USEC;

        c.guest = send_client("site.example", 7);
        client_begin(&c.client, &(TlsClientSpec){ .sni = "site.example" });
        client_use_socket(&c.client, c.guest.fd);
        while (!c.was_answered && !c.is_ended) {
                assert_in_time(end);
                turn();
                turn_broker(&c);
                turn_worker(&c);
                turn_client(&c, &is_asked);
        }

        client_done(&c.client);
        guest_leave(&c.guest);
        c.worker = fd_close(c.worker);
        while (t.stage->service.n_busy > 0) {
                assert_in_time(end);
                turn();
                turn_broker(&c);
                c.worker = fd_close(c.worker);
        }
        return c.was_answered;
}

/* Lets the @n-th call fail. Returns false if there were fewer calls. */
static bool run_once(Call call, int error, unsigned n) {
        bool has_failed;

        fault_set(call, error, n, n);
        (void) run_client();
        has_failed = fault.n_failed > 0;
        fault_end();
        if (!run_client()) {
                print_error("no answer after %s, %s, time %u\n", calls[call].name, strerrorname_np(error), n);
                assert_true(false);
        }
        return has_failed;
}

/* No call of the stage waits, so none is interrupted. With an EAGAIN that is untrue no event comes: epoll is edge-triggered. */
static bool is_real(Call call, int error) {
        return error != EAGAIN && (error != EINTR || call == CALL_poll || call == CALL_epoll_wait || call == CALL_accept4);
}

static void test_client(void **state) {
        unsigned n_failed = 0;

        t.stage->limits[TLS_HANDSHAKE] = 200 * USEC_PER_MSEC;
        begin();
        t.stage->limits[TLS_RETURNING] = t.stage->limits[TLS_LINGER] = 200 * USEC_PER_MSEC;
        assert_true(run_client());
        for (Call call = 0; call < _CALL_MAX; call++)
                for (const int *e = calls[call].errors; *e; e++)
                        for (unsigned n = 1; is_real(call, *e) && run_once(call, *e, n); n++)
                                n_failed++;

        print_message("%u faults\n", n_failed);
        assert_true(n_failed > 60);
}

/* A start that fails says so, and leaves nothing. */
static void test_start(void **state) {
        unsigned n_failed = 0;

        for (Call call = 0; call < _CALL_MAX; call++)
                for (const int *e = calls[call].errors; *e; e++)
                        for (unsigned n = 1;; n++) {
                                TlsStage null = TLS_STAGE_NULL(t.log);
                                char name[] = "in", *names[] = { name, NULL };
                                int fd = fcntl(t.worker.fd, F_DUPFD_CLOEXEC, 0), r;

                                null.certificates = t.directory;
                                null.return_path = t.broker.path;
                                null.kernel_use = KERNEL_AUTO;
                                *t.stage = null;
                                fault_set(call, *e, n, n);
                                r = service_init_with(&t.stage->service, &fd, names, 1);
                                assert_int_equal(r, 0);
                                fault_enter();
                                r = stage_init(t.stage);
                                fault_leave();
                                fault_end();
                                if (r == 0)
                                        assert_true(run_client() || !t.stage->set.preset);
                                stage_done(t.stage);
                                service_done(&t.stage->service);
                                *t.stage = null;
                                if (fault.n_failed == 0)
                                        break;
                                n_failed++;
                        }

        print_message("%u faults\n", n_failed);
        assert_true(n_failed > 20);
}

TEST_MAIN(STAGE_TEST(test_client), STAGE_TEST(test_start))
