/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A policy with certificates in files, as the stage loads it. */

#include "tls-fixture.h"

#include <sys/stat.h>

#include "workers/tls/certificate-report.h"
#include "workers/tls/learned.h"
#include "workers/tls/record.h"
#include "workers/tls/sni.h"

static struct {
        Log *log;
        CertificateReport report;
        CertificateSet set;
        PolicyOptions options;
        TicketKeys tickets;
        SSL_CTX *ctx;
        Pem site, other;
} t;

static inline CertificateFiles files_of(const char *directory) {
        CertificateFiles files;

        assert_int_equal(certificate_files_read(&files, directory, NULL, &t.report), 0);
        return files;
}

static inline void load(const char *directory, const CertificateSet *old, CertificateSet *ret) {
        CertificateFiles files = files_of(directory);

        assert_int_equal(certificate_set_load(ret, &files, old, &t.report), 0);
        certificate_files_done(&files);
}

static inline int setup(void **state) {
        const PolicyOptions null = POLICY_OPTIONS_NULL;
        char directory[64];

        t.log = log_new("test");
        log_set_level(t.log, LOG_EMERG);
        t.report.log = t.log;
        make_pem(&t.site, &(PemSpec){ .names = "DNS:site.example,DNS:www.site.example" });
        make_pem(&t.other, &(PemSpec){ .names = "DNS:*.other.example", .is_rsa = true });

        make_directory(directory);
        write_file(directory, "a.crt", t.site.certificate_text, NULL);
        write_file(directory, "a.key", t.site.key_text, NULL);
        write_file(directory, "b.pem", t.other.certificate_text, t.other.key_text);
        load(directory, NULL, &t.set);
        remove_directory(directory);

        t.options = null;
        assert_int_equal(ticket_seed(&t.tickets, NULL), 0);
        return 0;
}

static inline int teardown(void **state) {
        SSL_CTX_free(TAKE_PTR(t.ctx));
        certificate_set_done(&t.set);
        pem_done(&t.site);
        pem_done(&t.other);
        certificate_report_done(&t.report);
        t.log = log_free(t.log);
        return 0;
}

#define TLS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static inline void use_policy(void) {
        const char *why;

        SSL_CTX_free(t.ctx);
        t.ctx = policy_new(&t.options, &t.set, &t.tickets, &why);
        assert_null(why);
        assert_non_null(t.ctx);
}

static int last_alert;

static inline void on_info(const SSL *ssl, int where, int value) {
        if (where == SSL_CB_READ_ALERT)
                last_alert = value & 0xff;
}

static const char *expected_name; /* that the broker has read; NULL: it is not known */

/* Returns the description of the alert that the client got, or -1 if the handshake was not refused. */
static inline int refused_with(const TlsClientSpec *spec) {
        HandshakeStep step;
        TlsClient c;
        Handshake h;
        char byte;

        last_alert = 0;
        client_begin(&c, spec);
        client_use_memory(&c);
        SSL_set_info_callback(c.ssl, on_info);
        assert_int_equal(handshake_begin(&h, t.ctx), 0);
        if (expected_name)
                assert_int_equal(sni_expect(h.ssl, expected_name), 0);
        step = client_shake(&c, &h, SIZE_MAX);
        (void) SSL_read(c.ssl, &byte, 1); /* a client of TLS 1.3 is done before the server has seen its certificate */
        ERR_clear_error();

        handshake_done(&h);
        client_done(&c);
        return step == HANDSHAKE_FAILED ? last_alert : -1;
}
