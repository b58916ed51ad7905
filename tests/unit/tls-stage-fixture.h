/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* fdpass-tls whole: a broker before it and behind it, clients of OpenSSL, and the worker's end of each client. */

#include "service-fixture.h"
#include "tls-fixture.h"

#include "workers/tls/stage.h"

static struct {
        Fixture worker;      /* the stage's socket, where the broker sends clients */
        Fixture broker;      /* the return socket */
        Log *log;
        TlsStage *stage;
        Pem pem;
        char directory[64];
        uint8_t bytes[FDPASS_MESSAGE_MAX];
} t;

#define RUN_UNTIL(condition) WAIT_FOR(t.stage->service.event, condition)

static inline int setup(void **state) {
        const TlsStage null = TLS_STAGE_NULL(NULL);

        (void) remember_fds(state);
        fixture_open(&t.worker, SOCK_SEQPACKET, SOCK_NONBLOCK, 64);
        fixture_open_at(&t.broker, "-return", SOCK_SEQPACKET, SOCK_NONBLOCK, 64);
        t.log = log_new("test");
        log_set_level(t.log, LOG_EMERG);
        make_pem(&t.pem, &(PemSpec){ .names = "DNS:site.example,DNS:other.example" });
        make_directory(t.directory);
        write_file(t.directory, "site.pem", t.pem.certificate_text, t.pem.key_text);

        t.stage = calloc(1, sizeof(*t.stage));
        *t.stage = null;
        t.stage->service.log = t.log;
        t.stage->certificates = t.directory;
        t.stage->return_path = t.broker.path;
        t.stage->kernel_use = KERNEL_NO;
        return 0;
}

static inline int teardown(void **state) {
        stage_done(t.stage);
        service_done(&t.stage->service);
        free(t.stage);
        pem_done(&t.pem);
        remove_directory(t.directory);
        fixture_close(&t.worker);
        fixture_close(&t.broker);
        t.log = log_free(t.log);
        return compare_fds(state);
}

#define STAGE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Begins with clients: a copy of the stage's socket is its own, as it is a copy of systemd's. */
static inline void begin(void) {
        int fd = fcntl(t.worker.fd, F_DUPFD_CLOEXEC, 0);
        char name[] = "in", *names[] = { name, NULL };

        assert_int_equal(service_init_with(&t.stage->service, &fd, names, 1), 0);
        assert_int_equal(stage_init(t.stage), 0);
}

/* A client that the broker found to ask for @sni, from an address with this last byte. */
static inline Guest send_client(const char *sni, uint8_t last) {
        Message m = MESSAGE_NULL;

        m.source.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(7), .sin_addr.s_addr = htonl(0xc0000200U + last) };
        m.destination.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(443), .sin_addr.s_addr = htonl(0xc6336401) };
        m.authority = sni ? slice_from_string(sni) : (Slice){};
        m.listener = SLICE_LITERAL("443");
        m.route = SLICE_LITERAL("fdpass-tls.socket");
        m.unique_id = SLICE_LITERAL("0000abcd-17");
        m.protocol = SLICE_LITERAL("tls");
        m.hops = 1;
        return guest_send(&t.worker, &m);
}

/* Lets the client speak over its socket. */
static inline void client_use_socket(TlsClient *c, int fd) {
        assert_int_equal(fd_nonblock(fd, true), 0);
        assert_int_equal(SSL_set_fd(c->ssl, fd), 1);
}

static inline void shake(TlsClient *c, int fd) {
        client_use_socket(c, fd);
        RUN_UNTIL(SSL_do_handshake(c->ssl) == 1);
}

/* The broker's side: takes the message and the worker's socket, and answers. */
static inline int take_back(Message *ret, uint8_t answer) {
        int conn, fd = -EBADF, r;
        size_t n;

        RUN_UNTIL(has_event(t.broker.fd, POLLIN));
        conn = accept4(t.broker.fd, NULL, NULL, SOCK_CLOEXEC);
        assert_true(conn >= 0);
        RUN_UNTIL(has_event(conn, POLLIN));
        r = handoff_receive_message(conn, 0, t.bytes, sizeof(t.bytes), &n, &fd);
        assert_int_equal(r, 0);
        assert_int_equal(message_decode(t.bytes, n, ret), 0);
        assert_int_equal(handoff_answer(conn, answer), 0);
        fd_close(conn);
        if (answer == FDPASS_ANSWER_TAKEN)
                return fd;

        fd_close(fd);
        return -EBADF;
}

static inline void expect_text(Slice s, const char *text) {
        assert_int_equal(s.n, strlen(text));
        assert_memory_equal(s.p, text, s.n);
}

static inline void client_say(TlsClient *c, const char *text) {
        assert_int_equal(SSL_write(c->ssl, text, (int) strlen(text)), (int) strlen(text));
}

static inline void client_expect(TlsClient *c, const char *text) {
        char got[1024] = "";
        int n = 0;

        while ((size_t) n < strlen(text)) {
                int k = 0;

                RUN_UNTIL((k = SSL_read(c->ssl, got + n, (int) sizeof(got) - n)) > 0);
                n += k;
        }
        assert_string_equal(got, text);
}

/* Waits for close_notify. A bare FIN would be another error. */
static inline void client_expect_end(TlsClient *c) {
        char byte;
        int r = -1;

        RUN_UNTIL((r = SSL_read(c->ssl, &byte, 1)) == 0 || SSL_get_error(c->ssl, r) != SSL_ERROR_WANT_READ);
        assert_int_equal(SSL_get_error(c->ssl, r), SSL_ERROR_ZERO_RETURN);
}

static inline void worker_expect(int fd, const char *text) {
        char got[1024] = "";
        size_t n = 0;

        while (n < strlen(text)) {
                ssize_t k;

                RUN_UNTIL(has_event(fd, POLLIN));
                k = recv(fd, got + n, sizeof(got) - n, MSG_DONTWAIT);
                assert_true(k > 0);
                n += (size_t) k;
        }
        assert_string_equal(got, text);
}

static inline void worker_expect_end(int fd) {
        char byte;

        RUN_UNTIL(has_event(fd, POLLIN));
        assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

static inline void worker_say(int fd, const char *text) {
        assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t) strlen(text));
}

/* A client and its worker, with the handshake done. */
typedef struct Visit {
        Guest guest;
        TlsClient client;
        Message message;
        int worker;
} Visit;

static inline void visit(Visit *v, const TlsClientSpec *spec) {
        v->guest = send_client(spec->sni, 7);
        client_begin(&v->client, spec);
        shake(&v->client, v->guest.fd);
        v->worker = take_back(&v->message, FDPASS_ANSWER_TAKEN);
        RUN_UNTIL(!list_is_empty(&t.stage->phases[TLS_OPEN]));
}

static inline void leave(Visit *v) {
        client_done(&v->client);
        v->worker = fd_close(v->worker);
        guest_leave(&v->guest);
        RUN_UNTIL(t.stage->service.n_busy == 0);
}
