/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Clients that fdpass-tls leaves to the kernel. The kernel's part is played here, because this machine's kernel may have
 * no TLS. Options of a socket are taken by wrappers (ld(1), --wrap), and records stay in it as they came.
 */

#include "tls-stage-fixture.h"

#include <netinet/tcp.h>

#include "tls-open.h"

#define SOCKETS_MAX 64

/* A socket, by the number that all its descriptors have in common. */
typedef struct FakeSocket {
        ino_t inode;
        bool is_on;
        Keys keys; /* .size: 0: none */
} FakeSocket;

static struct {
        FakeSocket sockets[SOCKETS_MAX];
        size_t n;
        int prepare_error; /* of the option TCP_ULP; 0: it is taken */
        int tx_error, rx_error;
        bool hides_parts;  /* poll(2) does not report an incomplete record */
        bool has_keys;     /* of an outer handshake, for each socket */
} kernel;

int __real_setsockopt(int fd, int level, int option, const void *p, socklen_t n);
int __wrap_setsockopt(int fd, int level, int option, const void *p, socklen_t n);
int __real_getsockopt(int fd, int level, int option, void *p, socklen_t *n);
int __wrap_getsockopt(int fd, int level, int option, void *p, socklen_t *n);
int __real_poll(struct pollfd *p, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *p, nfds_t n, int timeout);

static FakeSocket *fake_socket(int fd) {
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        for (size_t i = 0; i < kernel.n; i++)
                if (kernel.sockets[i].inode == st.st_ino)
                        return &kernel.sockets[i];

        assert_true(kernel.n < SOCKETS_MAX);
        kernel.sockets[kernel.n].inode = st.st_ino;
        return &kernel.sockets[kernel.n++];
}

static int fake_result(int error) {
        errno = error;
        return error != 0 ? -1 : 0;
}

int __wrap_setsockopt(int fd, int level, int option, const void *p, socklen_t n) {
        FakeSocket *s;

        if (level == IPPROTO_TCP && option == TCP_ULP) {
                assert_string_equal(p, "tls");
                fake_socket(fd)->is_on = kernel.prepare_error == 0 || kernel.prepare_error == EEXIST;
                return fake_result(kernel.prepare_error);
        }
        if (level != SOL_TLS)
                return __real_setsockopt(fd, level, option, p, n);

        s = fake_socket(fd);
        assert_true(s->is_on);
        if (option == TLS_TX) {
                assert_true(n <= sizeof(s->keys.tx));
                if (kernel.tx_error == 0) {
                        memcpy(&s->keys.tx, p, n);
                        s->keys.size = n;
                }
                return fake_result(kernel.tx_error);
        }

        assert_int_equal(option, TLS_RX);
        assert_int_equal(n, s->keys.size); /* the kernel takes these keys in the second place */
        if (kernel.rx_error == 0)
                memcpy(&s->keys.rx, p, n);
        return fake_result(kernel.rx_error);
}

int __wrap_getsockopt(int fd, int level, int option, void *p, socklen_t *n) {
        if (level == IPPROTO_TCP && option == TCP_ULP) {
                *n = fake_socket(fd)->is_on ? sizeof("tls") : 0;
                memcpy(p, "tls", *n);
                return 0;
        }
        if (level == SOL_TLS)
                return fake_result(kernel.has_keys || fake_socket(fd)->keys.size > 0 ? 0 : EBUSY);

        return __real_getsockopt(fd, level, option, p, n);
}

int __wrap_poll(struct pollfd *p, nfds_t n, int timeout) {
        if (n == 1 && kernel.hides_parts && timeout == 0 && fake_socket(p->fd)->keys.size > 0)
                return 0;

        return __real_poll(p, n, timeout);
}

static int setup_kernel(void **state) {
        memset(&kernel, 0, sizeof(kernel));
        (void) setup(state);
        t.stage->kernel_use = KERNEL_YES;
        return 0;
}

#define KERNEL_TEST(f) cmocka_unit_test_setup_teardown(f, setup_kernel, teardown)

/* Connects a client, does its handshake, and takes the worker's socket as the broker. */
static void come(Visit *v, const TlsClientSpec *spec) {
        v->guest = send_client(spec->sni, 7);
        client_begin(&v->client, spec);
        shake(&v->client, v->guest.fd);
        v->worker = take_back(&v->message, FDPASS_ANSWER_TAKEN);
}

static void go(Visit *v) {
        SSL_set_quiet_shutdown(v->client.ssl, 1);
        leave(v);
}

/* True if the worker's socket is the client's own. */
static bool is_own(const Visit *v) {
        struct sockaddr_in client = {}, peer = {};

        assert_int_equal(getsockname(v->guest.fd, (struct sockaddr *) &client, &(socklen_t){ sizeof(client) }), 0);
        assert_int_equal(getpeername(v->worker, (struct sockaddr *) &peer, &(socklen_t){ sizeof(peer) }), 0);
        return client.sin_port == peer.sin_port && client.sin_addr.s_addr == peer.sin_addr.s_addr;
}

/* Reads a record from the client's own socket, as the kernel does it. */
static void expect_record(Opener *rx, int fd, const char *text) {
        uint8_t p[1024], data[1024], type;
        size_t n = 0, wanted = 5;
        int k;

        while (n < wanted) {
                ssize_t r;

                RUN_UNTIL(has_event(fd, POLLIN));
                r = recv(fd, p + n, wanted - n, MSG_DONTWAIT);
                assert_true(r > 0);
                n += (size_t) r;
                if (n == 5)
                        wanted = 5 + ((size_t) p[3] << 8 | p[4]);
        }

        k = opener_open(rx, p, n, data, &type);
        assert_int_equal(k, strlen(text));
        assert_memory_equal(data, text, strlen(text));
        assert_int_equal(type, 23);
}

/* The broker gets the client's own socket, as from accept(2), and the stage forgets it. No byte of data was read. */
static void test_own_socket(void **state) {
        begin();
        assert_true(t.stage->has_kernel);
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
                Opener rx;
                Visit v;

                v.guest = send_client("site.example", 7);
                client_begin(&v.client, &(TlsClientSpec){ .sni = "site.example", .version = version, .alpn = "\x08http/1.1" });
                shake(&v.client, v.guest.fd);
                client_say(&v.client, "one"); /* with TLS 1.3, it is there before the server has read the Finished */
                client_say(&v.client, "two");
                v.worker = take_back(&v.message, FDPASS_ANSWER_TAKEN);
                RUN_UNTIL(t.stage->service.n_busy == 0);
                assert_true(is_own(&v));
                assert_int_equal(fcntl(v.worker, F_GETFL) & O_NONBLOCK, 0);
                expect_text(v.message.alpn, "http/1.1");
                expect_text(v.message.authority, "site.example");

                opener_init(&rx, &fake_socket(v.worker)->keys.rx);
                expect_record(&rx, v.worker, "one");
                expect_record(&rx, v.worker, "two");
                client_say(&v.client, "three");
                expect_record(&rx, v.worker, "three");
                go(&v);
        }
}

/* The test at the start, and what follows from it. */
static void test_fits(void **state) {
        static const struct {
                int prepare_error, tx_error, rx_error;
                bool hides_parts;
                KernelFit fit;
                bool with_auto, with_yes;
        } cases[] = {
                { .hides_parts = true, .fit = KERNEL_FIT, .with_auto = true, .with_yes = true },
                { .fit = KERNEL_WAKES, .with_yes = true },
                { .prepare_error = ENOENT, .fit = KERNEL_NO_TLS },
                { .prepare_error = ENOPROTOOPT, .fit = KERNEL_NO_TLS },
                { .hides_parts = true, .tx_error = EINVAL, .fit = KERNEL_NO_CIPHER },
                { .hides_parts = true, .rx_error = ENOENT, .fit = KERNEL_NO_CIPHER },
        };
        PairMaker none = { .listen_fd = -EBADF }, pairs = PAIR_MAKER_NULL;

        begin();
        assert_int_equal(pair_maker_init(&pairs), 0);
        assert_int_equal(kernel_test(&none), KERNEL_NO_PAIR);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                memset(&kernel, 0, sizeof(kernel));
                kernel.prepare_error = cases[i].prepare_error;
                kernel.tx_error = cases[i].tx_error;
                kernel.rx_error = cases[i].rx_error;
                kernel.hides_parts = cases[i].hides_parts;
                assert_int_equal(kernel_test(&pairs), cases[i].fit);
                assert_true(strlen(kernel_fit_to_string(cases[i].fit)) > 0);

                for (KernelUse use = KERNEL_AUTO; use <= KERNEL_NO; use++) {
                        t.stage->kernel_use = use;
                        t.stage->has_kernel = false;
                        stage_kernel_init(t.stage);
                        assert_int_equal(t.stage->has_kernel,
                                         use == KERNEL_AUTO ? cases[i].with_auto : use == KERNEL_YES && cases[i].with_yes);
                }
        }
        pair_maker_done(&pairs);
}

/* A client that the kernel does not take gets a pair. */
static void expect_pair(const TlsClientSpec *spec) {
        Visit v;

        come(&v, spec);
        assert_false(is_own(&v));
        client_say(&v.client, "ping");
        worker_expect(v.worker, "ping");
        worker_say(v.worker, "pong");
        client_expect(&v.client, "pong");
        go(&v);
}

static void expect_kernel(void) {
        Visit v;

        come(&v, &(TlsClientSpec){ .sni = "site.example" });
        assert_true(is_own(&v));
        go(&v);
}

static void test_client_without(void **state) {
        static const int prepare_errors[] = { ENOENT, ENOPROTOOPT, EINVAL }, tx_errors[] = { EINVAL, ENOENT, ENOMEM, EBUSY };
        const TlsClientSpec spec = { .sni = "site.example" };

        begin();
        for (size_t i = 0; i < ELEMENTSOF(prepare_errors); i++) {
                kernel.prepare_error = prepare_errors[i];
                expect_pair(&spec);
                assert_true(t.stage->kernel_fails);
        }
        kernel.prepare_error = 0;
        expect_kernel();
        assert_false(t.stage->kernel_fails);

        for (size_t i = 0; i < ELEMENTSOF(tx_errors); i++) {
                kernel.tx_error = tx_errors[i];
                expect_pair(&spec);
                assert_true(t.stage->kernel_fails);
        }
        kernel.tx_error = 0;

        /* TLS is on already: without keys it may get ours, and with those of an outer handshake it may not. */
        kernel.prepare_error = EEXIST;
        expect_kernel();
        assert_false(t.stage->kernel_fails);
        kernel.has_keys = true;
        expect_pair(&spec);
        assert_false(t.stage->kernel_fails);
}

/* A client with short records gets a pair, and no line tells it. */
static void test_short_records(void **state) {
        Visit v;

        begin();
        v.guest = send_client("site.example", 7);
        client_begin(&v.client, &(TlsClientSpec){ .sni = "site.example" });
        assert_int_equal(SSL_set_tlsext_max_fragment_length(v.client.ssl, TLSEXT_max_fragment_length_1024), 1);
        shake(&v.client, v.guest.fd);
        v.worker = take_back(&v.message, FDPASS_ANSWER_TAKEN);
        assert_false(is_own(&v));
        assert_false(t.stage->kernel_fails);
        client_say(&v.client, "ping");
        worker_expect(v.worker, "ping");
        go(&v);
}

/* With half of the keys neither the kernel nor OpenSSL can go on. Nor can a client that has ended before its handshake. */
static void test_ended(void **state) {
        TlsClient c;
        Guest g;

        begin();
        kernel.rx_error = ENOMEM;
        g = send_client("site.example", 7);
        client_begin(&c, &(TlsClientSpec){ .sni = "site.example" });
        client_use_socket(&c, g.fd);
        RUN_UNTIL(SSL_do_handshake(c.ssl) == 1 && t.stage->service.n_busy == 0);
        assert_false(has_event(t.broker.fd, POLLIN));
        client_done(&c);
        guest_leave(&g);

        kernel.rx_error = 0;
        kernel.prepare_error = ENOTCONN;
        g = send_client("site.example", 7);
        RUN_UNTIL(guest_answer(&g) == FDPASS_ANSWER_TAKEN);
        RUN_UNTIL(t.stage->service.n_busy == 0);
        assert_false(t.stage->kernel_fails);
        guest_leave(&g);
}

/* Reads what was sent without OpenSSL: the kernel would have put it into records. */
static void expect_plain(int fd, const char *bytes, size_t n) {
        char got[1024];
        size_t k = 0;

        assert_true(n < sizeof(got));
        for (ssize_t r = 1; r > 0; k += (size_t) r) {
                RUN_UNTIL(has_event(fd, POLLIN));
                r = recv(fd, got + k, sizeof(got) - k, MSG_DONTWAIT);
                assert_true(r >= 0);
        }
        assert_int_equal(k, n);
        assert_memory_equal(got, bytes, n);
}

/* The broker does not want the client: it is told in its protocol, then by close_notify and a FIN. */
static void test_broker_refuses(void **state) {
        static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\n"
                                     "Connection: close\r\n\r\n\x01"; /* close_notify: 1 and 0 */

        begin();
        for (unsigned i = 0; i < 2; i++) {
                Guest g = send_client("site.example", 7);
                uint8_t byte;
                TlsClient c;
                Message m;

                client_begin(&c, &(TlsClientSpec){ .sni = "site.example", .alpn = i == 0 ? "\x08http/1.1" : NULL,
                                                   .version = TLS1_3_VERSION });
                shake(&c, g.fd);
                RUN_UNTIL(has_event(t.broker.fd, POLLIN));
                assert_int_equal(SSL_read(c.ssl, &byte, 1), -1); /* the ticket */
                assert_int_equal(take_back(&m, FDPASS_ANSWER_ERROR), -EBADF);
                expect_plain(g.fd, i == 0 ? answer : "\x01", i == 0 ? sizeof(answer) : 2);
                client_done(&c);
                guest_leave(&g);
                RUN_UNTIL(t.stage->service.n_busy == 0);
        }
}

/* The broker has no room at first: the client waits, and is its worker's later. */
static void test_broker_full(void **state) {
        Message m;
        Visit v;

        begin();
        v.guest = send_client("site.example", 7);
        client_begin(&v.client, &(TlsClientSpec){ .sni = "site.example" });
        shake(&v.client, v.guest.fd);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(take_back(&m, FDPASS_ANSWER_REFUSED), -EBADF);
        v.worker = take_back(&v.message, FDPASS_ANSWER_TAKEN);
        assert_true(is_own(&v));
        go(&v);
}

/* A client that resets its connection while it waits for the broker: there is no line, and the broker is not asked again. */
static void test_reset(void **state) {
        static const uint8_t answers[] = { FDPASS_ANSWER_REFUSED, FDPASS_ANSWER_ERROR };
        const struct linger reset = { .l_onoff = 1 };

        begin();
        for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
                TlsClient c;
                Message m;
                Guest g;

                g = send_client("site.example", 7);
                client_begin(&c, &(TlsClientSpec){ .sni = "site.example" });
                shake(&c, g.fd);
                RUN_UNTIL(has_event(t.broker.fd, POLLIN));
                assert_int_equal(__real_setsockopt(g.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
                client_done(&c);
                guest_leave(&g);
                assert_int_equal(take_back(&m, answers[i]), -EBADF);
                RUN_UNTIL(t.stage->service.n_busy == 0);
                assert_false(has_event(t.broker.fd, POLLIN));
        }
        assert_int_equal(t.stage->service.complaints.last, 0);
}

/* Reads a message whose sender has gone. */
static int take_late(Message *ret) {
        int conn = accept4(t.broker.fd, NULL, NULL, SOCK_CLOEXEC), fd = -EBADF;
        size_t n;

        assert_true(conn >= 0);
        assert_int_equal(handoff_receive_message(conn, 0, t.bytes, sizeof(t.bytes), &n, &fd), 0);
        assert_int_equal(message_decode(t.bytes, n, ret), 0);
        fd_close(conn);
        return fd;
}

/* The broker may read the message later, so a client whose time is over gets no answer from the stage. */
static void test_broker_silent(void **state) {
        TlsClient c;
        Opener rx;
        Guest g;
        Visit v;

        begin();
        t.stage->limits[TLS_RETURNING] = 20 * USEC_PER_MSEC;
        g = send_client("site.example", 7);
        client_begin(&c, &(TlsClientSpec){ .sni = "site.example", .alpn = "\x08http/1.1", .version = TLS1_2_VERSION });
        shake(&c, g.fd);
        RUN_UNTIL(t.stage->service.n_busy == 0);
        assert_false(has_event(g.fd, POLLIN));

        v = (Visit){ .guest = g, .client = c };
        v.worker = take_late(&v.message);
        assert_true(is_own(&v));
        client_say(&v.client, "late");
        opener_init(&rx, &fake_socket(v.worker)->keys.rx);
        expect_record(&rx, v.worker, "late");
        go(&v);
}

/* The end of a client at each byte of its hello, and bytes that come one by one. */
static void test_each_byte(void **state) {
        TlsClient c;
        uint8_t *p;
        long n;

        begin();
        client_begin(&c, &(TlsClientSpec){ .sni = "site.example", .version = TLS1_3_VERSION, .groups = "P-256" });
        client_use_memory(&c);
        assert_int_equal(SSL_do_handshake(c.ssl), -1);
        n = BIO_get_mem_data(SSL_get_wbio(c.ssl), (char **) &p);
        assert_true(n > 100);

        for (long i = 0; i <= n; i++) {
                Guest g = send_client("site.example", 7);

                kernel.n = 0;
                for (long k = 0; k < i; k++) {
                        assert_int_equal(send(g.fd, p + k, 1, MSG_NOSIGNAL), 1);
                        if (i == n)
                                assert_true(sd_event_run(t.stage->service.event, 0) >= 0);
                }
                assert_int_equal(shutdown(g.fd, SHUT_WR), 0);
                RUN_UNTIL(t.stage->service.n_taken == (uint64_t) i + 1 && t.stage->service.n_busy == 0);
                guest_leave(&g);
        }
        assert_false(has_event(t.broker.fd, POLLIN));
        client_done(&c);
}

TEST_MAIN(KERNEL_TEST(test_own_socket),
          KERNEL_TEST(test_fits),
          KERNEL_TEST(test_client_without),
          KERNEL_TEST(test_short_records),
          KERNEL_TEST(test_ended),
          KERNEL_TEST(test_broker_refuses),
          KERNEL_TEST(test_broker_full),
          KERNEL_TEST(test_reset),
          KERNEL_TEST(test_broker_silent),
          KERNEL_TEST(test_each_byte))
