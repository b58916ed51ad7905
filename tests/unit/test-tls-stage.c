/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass-tls whole: a broker before it and behind it, clients of OpenSSL, and the worker's end of each client. */

#include "tls-stage-fixture.h"

#include <sys/wait.h>

#include "workers/tls/renewal.h"

/* The facts come back with the client: as they came, and those of the handshake. */
static void test_facts(void **state) {
        Visit v;

        begin();
        visit(&v, &(TlsClientSpec){ .sni = "site.example", .alpn = "\x08http/1.1" });
        assert_int_equal(guest_answer(&v.guest), FDPASS_ANSWER_TAKEN);
        assert_int_equal(ntohl(v.message.source.in.sin_addr.s_addr), 0xc0000207);
        assert_int_equal(ntohs(v.message.source.in.sin_port), 7);
        assert_int_equal(ntohs(v.message.destination.in.sin_port), 443);
        expect_text(v.message.authority, "site.example");
        expect_text(v.message.alpn, "http/1.1");
        expect_text(v.message.listener, "443");
        expect_text(v.message.unique_id, "0000abcd-17");
        assert_int_equal(v.message.hops, 1);
        assert_int_equal(v.message.route.n + v.message.consumed.n + v.message.name.n, 0);
        assert_int_equal(v.message.ssl.p[0], 1);
        assert_int_equal(handoff_check_client(v.worker, false), 0);
        assert_int_equal(fcntl(v.worker, F_GETFL) & O_NONBLOCK, 0);
        leave(&v);
}

/* Both directions, in both versions, and each end alone. */
static void test_both_ways(void **state) {
        static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

        begin();
        for (size_t i = 0; i < 2 * ELEMENTSOF(versions); i++) {
                Visit v;

                visit(&v, &(TlsClientSpec){ .sni = "site.example", .version = versions[i / 2] });
                client_say(&v.client, "request");
                worker_expect(v.worker, "request");
                worker_say(v.worker, "response");
                client_expect(&v.client, "response");

                if (i % 2 == 0) { /* the client ends first, and the worker answers */
                        assert_int_equal(SSL_shutdown(v.client.ssl), 0);
                        worker_expect_end(v.worker);
                        worker_say(v.worker, "late");
                        client_expect(&v.client, "late");
                        v.worker = fd_close(v.worker);
                        client_expect_end(&v.client);
                } else { /* the worker ends first, and reads on */
                        assert_int_equal(shutdown(v.worker, SHUT_WR), 0);
                        client_expect_end(&v.client);
                        client_say(&v.client, "late");
                        worker_expect(v.worker, "late");
                        assert_int_equal(shutdown(v.guest.fd, SHUT_WR), 0);
                        worker_expect_end(v.worker);
                }
                leave(&v);
        }
}

/* More bytes than all buffers have, in both directions at once, and neither end reads before it has written. */
static void test_bulk(void **state) {
        enum { N = 8 * 1024 * 1024 };
        size_t sent[2] = {}, got[2] = {};
        uint8_t *out = malloc(N), *in = malloc(N);
        uint64_t sums[2] = {}, expected = 0;
        Visit v;

        for (size_t i = 0; i < N; i++)
                expected += out[i] = (uint8_t) (i * 7 + (i >> 12));
        begin();
        visit(&v, &(TlsClientSpec){ .sni = "site.example" });
        SSL_set_mode(v.client.ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        for (bool is_full[2] = {}; got[0] < N || got[1] < N;) {
                ssize_t n;
                int k;

                assert_true(sd_event_run(t.stage->service.event, 0) >= 0);
                n = sent[0] < N ? send(v.worker, out + sent[0], N - sent[0], MSG_DONTWAIT | MSG_NOSIGNAL) : -1;
                sent[0] += n > 0 ? (size_t) n : 0;
                is_full[0] = is_full[0] || n < 0;
                k = sent[1] < N ? SSL_write(v.client.ssl, out + sent[1], (int) MIN((size_t) N - sent[1], (size_t) 65536)) : -1;
                sent[1] += k > 0 ? (size_t) k : 0;
                is_full[1] = is_full[1] || k < 0;
                if (!is_full[0] || !is_full[1])
                        continue;

                k = SSL_read(v.client.ssl, in, 65536);
                for (int i = 0; i < k; i++)
                        sums[0] += in[i];
                got[0] += k > 0 ? (size_t) k : 0;
                n = recv(v.worker, in, 65536, MSG_DONTWAIT);
                for (ssize_t i = 0; i < n; i++)
                        sums[1] += in[i];
                got[1] += n > 0 ? (size_t) n : 0;
        }
        assert_true(sums[0] == expected && sums[1] == expected);
        free(in);
        free(out);
        leave(&v);
}

/* A worker that closes without reading all of the request: the response arrives whole, with close_notify. */
static void test_unread_request(void **state) {
        char text[2000];
        Visit v;

        begin();
        visit(&v, &(TlsClientSpec){ .sni = "site.example" });
        worker_say(v.worker, "refused");
        assert_int_equal(shutdown(v.worker, SHUT_WR), 0);
        v.worker = fd_close(v.worker);
        memset(text, 'x', sizeof(text));
        for (unsigned i = 0; i < 20; i++) {
                assert_int_equal(SSL_write(v.client.ssl, text, sizeof(text)), sizeof(text));
                assert_true(sd_event_run(t.stage->service.event, 0) >= 0);
        }
        client_expect(&v.client, "refused");
        client_expect_end(&v.client);
        leave(&v);
}

/* An error at one end is one at the other, and no end that looks complete. */
static void test_resets(void **state) {
        const struct linger reset = { .l_onoff = 1 };
        char byte;
        Visit v;
        int r;

        begin();
        visit(&v, &(TlsClientSpec){ .sni = "site.example" });
        assert_int_equal(setsockopt(v.guest.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        v.guest.fd = fd_close(v.guest.fd);
        RUN_UNTIL(has_event(v.worker, POLLIN));
        assert_int_equal(recv(v.worker, &byte, 1, 0), -1);
        assert_int_equal(errno, ECONNRESET);
        leave(&v);

        visit(&v, &(TlsClientSpec){ .sni = "site.example" });
        assert_int_equal(setsockopt(v.worker, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        v.worker = fd_close(v.worker);
        RUN_UNTIL((r = SSL_read(v.client.ssl, &byte, 1)) != -1 || SSL_get_error(v.client.ssl, r) != SSL_ERROR_WANT_READ);
        assert_int_not_equal(SSL_get_error(v.client.ssl, r), SSL_ERROR_ZERO_RETURN);
        leave(&v);

        visit(&v, &(TlsClientSpec){ .sni = "site.example" });
        assert_int_equal(send(v.guest.fd, "\x17\x03\x03\x00\x14 a record of garbage.", 25, MSG_NOSIGNAL), 25);
        RUN_UNTIL(has_event(v.worker, POLLIN));
        assert_int_equal(recv(v.worker, &byte, 1, 0), -1);
        leave(&v);
}

/* A FIN without close_notify is the end of the request, as it would be without TLS. */
static void test_bare_fin(void **state) {
        Visit v;

        begin();
        visit(&v, &(TlsClientSpec){ .sni = "site.example" });
        client_say(&v.client, "request");
        assert_int_equal(shutdown(v.guest.fd, SHUT_WR), 0);
        worker_expect(v.worker, "request");
        worker_expect_end(v.worker);
        leave(&v);
}

/* A client that changes its keys (RFC 8446 4.6.3) does not notice the stage. */
static void test_key_update(void **state) {
        Visit v;

        begin();
        visit(&v, &(TlsClientSpec){ .sni = "site.example", .version = TLS1_3_VERSION });
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(SSL_key_update(v.client.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
                client_say(&v.client, "a");
                worker_expect(v.worker, "a");
                worker_say(v.worker, "b");
                client_expect(&v.client, "b");
        }
        leave(&v);
}

/* The name of the handshake has to be the one by which the broker chose this instance. */
static void test_other_name(void **state) {
        Guest g;
        TlsClient c;

        begin();
        g = send_client("other.example", 7);
        client_begin(&c, &(TlsClientSpec){ .sni = "site.example" });
        client_use_socket(&c, g.fd);
        (void) SSL_do_handshake(c.ssl);
        RUN_UNTIL(t.stage->service.n_taken == 1);
        RUN_UNTIL((SSL_do_handshake(c.ssl), t.stage->service.n_busy == 0));
        assert_false(has_event(t.broker.fd, POLLIN));
        client_done(&c);
        guest_leave(&g);
}

/* Handshakes that take too long end; while there are as many as there may be, the next clients wait. */
static void test_limits(void **state) {
        Guest slow[3], next;
        TlsClient c;
        Message m;
        int worker;

        t.stage->handshakes_max = 3;
        t.stage->source_max = 2;
        t.stage->limits[TLS_HANDSHAKE] = 300 * USEC_PER_MSEC;
        begin();
        for (uint8_t i = 0; i < 2; i++) {
                slow[i] = send_client("site.example", 1);
                RUN_UNTIL(t.stage->n_handshakes == i + 1U);
        }

        next = send_client("site.example", 1); /* a third one of this source */
        RUN_UNTIL(has_event(next.conn_fd, POLLIN));
        assert_int_equal(guest_answer(&next), FDPASS_ANSWER_ERROR);
        guest_leave(&next);

        slow[2] = send_client("site.example", 2);
        RUN_UNTIL(t.stage->n_handshakes == 3);
        assert_true(t.stage->service.is_paused);
        next = send_client("site.example", 3);
        client_begin(&c, &(TlsClientSpec){ .sni = "site.example" });
        shake(&c, next.fd);
        worker = take_back(&m, FDPASS_ANSWER_TAKEN);
        for (size_t i = 0; i < ELEMENTSOF(slow); i++) {
                char byte;

                RUN_UNTIL(has_event(slow[i].fd, POLLIN));
                assert_int_equal(recv(slow[i].fd, &byte, 1, 0), 0);
                guest_leave(&slow[i]);
        }
        client_done(&c);
        guest_leave(&next);
        fd_close(worker);
        RUN_UNTIL(t.stage->service.n_busy == 0);
}

/* The limit of a handshake is that of the whole: a client that always sends one more byte in time has no more. */
static void test_slow_handshake(void **state) {
        const uint8_t *hello;
        usec_t begin_at;
        TlsClient c;
        Guest g;
        long n;

        t.stage->limits[TLS_HANDSHAKE] = 300 * USEC_PER_MSEC;
        begin();
        client_begin(&c, &(TlsClientSpec){ .sni = "site.example" });
        client_use_memory(&c);
        (void) SSL_do_handshake(c.ssl);
        n = BIO_get_mem_data(SSL_get_wbio(c.ssl), (char **) (uintptr_t) &hello);

        g = send_client("site.example", 1);
        begin_at = usec_now();
        for (long i = 0; i < n && !has_event(g.fd, POLLIN); i++) {
                usec_t next = usec_add(usec_now(), 10 * USEC_PER_MSEC);

                (void) send(g.fd, hello + i, 1, MSG_NOSIGNAL);
                RUN_UNTIL(usec_now() >= next);
        }
        assert_true(usec_now() - begin_at < 2 * USEC_PER_SEC);
        assert_int_equal(t.stage->n_handshakes, 0);
        client_done(&c);
        guest_leave(&g);
}

/* These clients are not for this stage. The broker answers them, and they are untouched. */
static void test_refused_at_once(void **state) {
        Message m = MESSAGE_NULL;
        Guest g;

        begin();
        m.consumed = SLICE_LITERAL("\x16\x03\x01");
        g = guest_send(&t.worker, &m);
        RUN_UNTIL(has_event(g.conn_fd, POLLIN));
        assert_int_equal(guest_answer(&g), FDPASS_ANSWER_ERROR);
        guest_leave(&g);

        certificate_set_done(&t.stage->set);
        g = send_client("site.example", 7);
        RUN_UNTIL(has_event(g.conn_fd, POLLIN));
        assert_int_equal(guest_answer(&g), FDPASS_ANSWER_ERROR);
        guest_leave(&g);
}

/* Bytes that are no TLS, an alert for the client of a wrong version, and a client that leaves. */
static void test_failed_handshakes(void **state) {
        Guest g;
        TlsClient c;

        begin();
        g = send_client("site.example", 7);
        assert_int_equal(send(g.fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
        RUN_UNTIL(t.stage->service.n_taken == 1 && t.stage->service.n_busy == 0);
        guest_leave(&g);

        g = send_client("site.example", 7);
        client_begin(&c, &(TlsClientSpec){ .sni = "site.example", .alpn = "\x02h2" });
        client_use_socket(&c, g.fd);
        ERR_clear_error();
        RUN_UNTIL(SSL_do_handshake(c.ssl) != 1 && SSL_get_error(c.ssl, -1) == SSL_ERROR_SSL);
        assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
        client_done(&c);
        guest_leave(&g);

        g = send_client("site.example", 7);
        assert_int_equal(send(g.fd, "\x16\x03\x01\x02", 4, MSG_NOSIGNAL), 4);
        RUN_UNTIL(t.stage->n_handshakes == 1);
        guest_leave(&g);
        RUN_UNTIL(t.stage->service.n_busy == 0);
}

/* A stop lets clients go on for --drain-time=, and then ends them. */
static void test_stop(void **state) {
        Visit v;

        t.stage->drain_usec = 100 * USEC_PER_MSEC;
        begin();
        visit(&v, &(TlsClientSpec){ .sni = "site.example" });
        t.stage->service.is_stopping = true;
        t.stage->service.stop(&t.stage->service);
        worker_say(v.worker, "still here");
        client_expect(&v.client, "still here");
        leave(&v);
}

/* Sends the directory to the stage from a process of its own. Returns its exit status. */
static int renew(const char *path) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
                _exit(renewal_send(path, t.directory) < 0);

        RUN_UNTIL(waitpid(pid, &status, WNOHANG) == pid);
        return WEXITSTATUS(status);
}

/* New files are in use when their sender is told so, and connections go on. Only root may send them. */
static void test_renewal(void **state) {
        char path[80];
        Pem pem;
        Visit v;

        (void) snprintf(path, sizeof(path), "%s/renewal.sock", t.directory);
        t.stage->renewal_path = path;
        begin();
        visit(&v, &(TlsClientSpec){ .sni = "site.example" });
        assert_int_equal(X509_cmp(SSL_get0_peer_certificate(v.client.ssl), t.pem.certificate), 0);

        make_pem(&pem, &(PemSpec){ .names = "DNS:site.example" });
        write_file(t.directory, "site.pem", pem.certificate_text, pem.key_text);
        if (geteuid() == 0) {
                Visit w;

                assert_int_equal(renew(path), 0);
                visit(&w, &(TlsClientSpec){ .sni = "site.example" });
                assert_int_equal(X509_cmp(SSL_get0_peer_certificate(w.client.ssl), pem.certificate), 0);
                client_say(&v.client, "still here");
                worker_expect(v.worker, "still here");
                client_done(&w.client);
                fd_close(w.worker);
                guest_leave(&w.guest);
        } else
                assert_int_equal(renew(path), 1);
        leave(&v);
        pem_done(&pem);
}

/* New files of the supervisor, in a process of their own, as it sends them. The end of the supervisor is no error. */
static void test_forward(void **state) {
        CertificateReport report = {};
        CertificateFiles files;
        int fds[2], status;
        pid_t pid;
        Pem pem;
        Visit v;

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
        t.stage->control_fd = fds[0];
        t.stage->beat_usec = 10 * USEC_PER_MSEC;
        begin();
        RUN_UNTIL(has_event(fds[1], POLLIN)); /* a sign of life */

        make_pem(&pem, &(PemSpec){ .names = "DNS:site.example" });
        write_file(t.directory, "site.pem", pem.certificate_text, pem.key_text);
        assert_int_equal(certificate_files_read(&files, t.directory, NULL, &report), 0);
        pid = fork();
        if (pid == 0)
                _exit(renewal_forward(fds[1], &files) < 0);
        RUN_UNTIL(waitpid(pid, &status, WNOHANG) == pid);
        assert_int_equal(WEXITSTATUS(status), 0);
        certificate_files_done(&files);

        visit(&v, &(TlsClientSpec){ .sni = "site.example" });
        assert_int_equal(X509_cmp(SSL_get0_peer_certificate(v.client.ssl), pem.certificate), 0);
        fd_close(fds[1]);
        client_say(&v.client, "still here");
        worker_expect(v.worker, "still here");
        leave(&v);
        pem_done(&pem);
}

TEST_MAIN(STAGE_TEST(test_facts),
          STAGE_TEST(test_both_ways),
          STAGE_TEST(test_bulk),
          STAGE_TEST(test_unread_request),
          STAGE_TEST(test_resets),
          STAGE_TEST(test_bare_fin),
          STAGE_TEST(test_key_update),
          STAGE_TEST(test_other_name),
          STAGE_TEST(test_limits),
          STAGE_TEST(test_slow_handshake),
          STAGE_TEST(test_refused_at_once),
          STAGE_TEST(test_failed_handshakes),
          STAGE_TEST(test_stop),
          STAGE_TEST(test_renewal),
          STAGE_TEST(test_forward))
