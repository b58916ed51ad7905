/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The parts of fdpass-tls that do no I/O, with OpenSSL as the client in the same process. */

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

static CertificateFiles files_of(const char *directory) {
        CertificateFiles files;

        assert_int_equal(certificate_files_read(&files, directory, NULL, &t.report), 0);
        return files;
}

static void load(const char *directory, const CertificateSet *old, CertificateSet *ret) {
        CertificateFiles files = files_of(directory);

        assert_int_equal(certificate_set_load(ret, &files, old, &t.report), 0);
        certificate_files_done(&files);
}

static int setup(void **state) {
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

static int teardown(void **state) {
        SSL_CTX_free(TAKE_PTR(t.ctx));
        certificate_set_done(&t.set);
        pem_done(&t.site);
        pem_done(&t.other);
        certificate_report_done(&t.report);
        t.log = log_free(t.log);
        return 0;
}

#define TLS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void use_policy(void) {
        const char *why;

        SSL_CTX_free(t.ctx);
        t.ctx = policy_new(&t.options, &t.set, &t.tickets, &why);
        assert_null(why);
        assert_non_null(t.ctx);
}

/* The ends of records, whatever the pieces are. The place before a record wants its header and not a byte more. */
static void test_records(void **state) {
        static const uint8_t bytes[] = { 22, 3, 1, 0, 3, 'a', 'b', 'c', 20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 0, 21, 3, 3, 0, 2, 1, 0 };
        static const size_t ends[] = { 8, 14, 19, 26 };

        for (size_t step = 1; step <= sizeof(bytes); step++) {
                RecordPlace place = {};
                size_t end = 0;

                for (size_t i = 0, n; i < sizeof(bytes); i += n) {
                        n = MIN(step, record_wanted(&place));
                        assert_true(n > 0);
                        assert_int_equal(record_advance(&place, bytes + i, n), 0);
                        if (i + n == ends[end]) {
                                assert_int_equal(record_wanted(&place), RECORD_HEADER_SIZE);
                                end++;
                        }
                        assert_true(end == ELEMENTSOF(ends) || i + n < ends[end]);
                }
                assert_int_equal(end, ELEMENTSOF(ends));
        }
}

static void test_no_records(void **state) {
        static const char *const texts[] = { "GET / HTTP/1.1", "\x80\x2e\x01\x03\x01", "\x16\x02\x00\x00\x01", "\x13\x03\x03", "\x18\x03\x03" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                RecordPlace place = {};

                assert_int_equal(record_advance(&place, (const uint8_t *) texts[i], MIN(strlen(texts[i]), (size_t) 5)), RECORD_INVALID);
        }
}

/* Both versions, all ciphers and groups, every size of the pieces; no byte behind the Finished is taken. */
static void test_handshakes(void **state) {
        static const struct {
                int version;
                const char *ciphers, *groups, *sni;
        } cases[] = {
                { TLS1_3_VERSION, NULL, NULL, "site.example" },
                { TLS1_3_VERSION, NULL, "P-256", "a.other.example" },
                { TLS1_3_VERSION, NULL, "P-521:P-384", "site.example" }, /* needs a second ClientHello */
                { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", NULL, "site.example" },
                { TLS1_2_VERSION, "ECDHE-RSA-AES256-GCM-SHA384", NULL, "a.other.example" },
                { TLS1_2_VERSION, "ECDHE-RSA-CHACHA20-POLY1305", NULL, "b.other.example" },
                { 0, NULL, NULL, NULL },
        };
        static const size_t pieces[] = { 1, 7, 300, SIZE_MAX };

        use_policy();
        for (size_t i = 0; i < ELEMENTSOF(cases) * ELEMENTSOF(pieces); i++) {
                const TlsClientSpec spec = {
                        .version = cases[i % ELEMENTSOF(cases)].version, .ciphers = cases[i % ELEMENTSOF(cases)].ciphers,
                        .groups = cases[i % ELEMENTSOF(cases)].groups, .sni = cases[i % ELEMENTSOF(cases)].sni,
                        .alpn = "\x02h2\x08http/1.1",
                };
                const unsigned char *alpn;
                unsigned n_alpn;
                TlsClient c;
                Handshake h;

                client_begin(&c, &spec);
                client_use_memory(&c);
                assert_int_equal(handshake_begin(&h, t.ctx), 0);
                assert_int_equal(client_shake(&c, &h, pieces[i / ELEMENTSOF(cases)]), HANDSHAKE_DONE);
                assert_int_equal(SSL_is_init_finished(c.ssl), 1);
                SSL_get0_alpn_selected(c.ssl, &alpn, &n_alpn);
                assert_int_equal(n_alpn, 8);
                assert_memory_equal(alpn, "http/1.1", 8);
                assert_int_equal(h.place.n_header, 0);
                assert_int_equal(BIO_pending(SSL_get_rbio(h.ssl)), 0);

                handshake_done(&h);
                client_done(&c);
        }
}

static int last_alert;

static void on_info(const SSL *ssl, int where, int value) {
        if (where == SSL_CB_READ_ALERT)
                last_alert = value & 0xff;
}

static const char *expected_name; /* that the broker has read; NULL: it is not known */

/* Returns the description of the alert that the client got, or -1 if the handshake was not refused. */
static int refused_with(const TlsClientSpec *spec) {
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

/* A refusal is an alert that the client understands. */
static void test_refusals(void **state) {
        use_policy();
        assert_int_equal(refused_with(&(TlsClientSpec){ .alpn = "\x02h2" }), SSL_AD_NO_APPLICATION_PROTOCOL);
        assert_int_equal(refused_with(&(TlsClientSpec){ .version = TLS1_1_VERSION, .ciphers = "ALL:@SECLEVEL=0" }), SSL_AD_PROTOCOL_VERSION);
        assert_int_equal(refused_with(&(TlsClientSpec){ .version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-SHA256" }),
                         SSL_AD_HANDSHAKE_FAILURE);
        assert_int_equal(refused_with(&(TlsClientSpec){ .version = TLS1_2_VERSION, .ciphers = "AES128-GCM-SHA256" }),
                         SSL_AD_HANDSHAKE_FAILURE);
        assert_int_equal(refused_with(&(TlsClientSpec){ .version = TLS1_2_VERSION }), -1);

        t.options.version_min = TLS1_3_VERSION;
        use_policy();
        assert_int_equal(refused_with(&(TlsClientSpec){ .version = TLS1_2_VERSION }), SSL_AD_PROTOCOL_VERSION);
        assert_int_equal(refused_with(&(TlsClientSpec){ .version = TLS1_3_VERSION }), -1);
}

static void test_alpn(void **state) {
        static const char *const wrong[] = { "", ",", "h2,", ",h2", "h2,,http/1.1" };
        char longest[300];

        assert_int_equal(policy_parse_alpn(&t.options, "h2,http/1.1"), 0);
        assert_int_equal(t.options.n_alpn, 12);
        assert_memory_equal(t.options.alpn, "\x02h2\x08http/1.1", 12);
        use_policy();
        assert_int_equal(refused_with(&(TlsClientSpec){ .alpn = "\x02h2" }), -1);
        assert_int_equal(refused_with(&(TlsClientSpec){}), -1);

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_int_equal(policy_parse_alpn(&t.options, wrong[i]), -EINVAL);
        memset(longest, 'x', sizeof(longest));
        longest[256] = '\0';
        assert_int_equal(policy_parse_alpn(&t.options, longest), -EINVAL);
        longest[255] = '\0';
        assert_int_equal(policy_parse_alpn(&t.options, longest), 0);
}

/* The client sends records without end, none of which is a handshake that can be done. */
static void test_too_much(void **state) {
        static const uint8_t warning[] = { 22, 3, 3, 0, 4, 1, 0xff, 0xff, 0xff };
        uint8_t more[4096] = {};
        Handshake h;
        size_t n = 0;
        int r = 0;

        use_policy();
        assert_int_equal(handshake_begin(&h, t.ctx), 0);
        for (size_t i = 0; i < sizeof(warning); i += n) {
                n = MIN(handshake_wanted(&h), sizeof(warning) - i);
                assert_int_equal(handshake_input(&h, warning + i, n), 0);
        }
        for (size_t sum = 0; r == 0; sum += n) {
                static const uint8_t header[] = { 22, 3, 3, 64, 0 };

                assert_true(sum <= HANDSHAKE_BYTES_MAX);
                n = MIN(handshake_wanted(&h), sizeof(more));
                r = handshake_input(&h, n == sizeof(header) ? header : more, n);
        }
        assert_int_equal(r, HANDSHAKE_TOO_LONG);
        handshake_done(&h);
}

/* The subject of the certificate that a client of this name gets. */
static void expect_certificate(const char *sni, const Pem *pem) {
        TlsClient c;
        Handshake h;
        X509 *got;

        client_begin(&c, &(TlsClientSpec){ .sni = sni });
        client_use_memory(&c);
        assert_int_equal(handshake_begin(&h, t.ctx), 0);
        assert_int_equal(client_shake(&c, &h, SIZE_MAX), HANDSHAKE_DONE);
        got = SSL_get0_peer_certificate(c.ssl);
        assert_int_equal(X509_cmp(got, pem->certificate), 0);
        handshake_done(&h);
        client_done(&c);
}

/* Exact, then one label of a wildcard, then the preset one. */
static void test_choice(void **state) {
        use_policy();
        expect_certificate("site.example", &t.site);
        expect_certificate("WWW.Site.Example", &t.site);
        expect_certificate("a.other.example", &t.other);
        expect_certificate("A.Other.Example", &t.other);
        expect_certificate("a.b.other.example", &t.site);
        expect_certificate("other.example", &t.site);
        expect_certificate("unknown.example", &t.site);
        expect_certificate("example", &t.site);
        expect_certificate(NULL, &t.site);
        assert_string_equal(t.set.preset->pair, "a");
        assert_int_equal(t.set.n_names, 3);
}

/* The names of files: what belongs together, and the names of pairs in messages. */
static void test_pairs(void **state) {
        static const struct {
                const char *name, *pair, *key;
        } cases[] = {
                { "www.crt", "www", "www.key" }, { "www.example.org.pem", "www.example.org", "www.example.org.pem" },
                { "www_fullchain.pem", "www", "www_privkey.pem" }, { "fullchain.pem", "fullchain.pem", "privkey.pem" },
                { "www_privkey.pem", NULL, NULL }, { "privkey.pem", NULL, NULL }, { "www.key", NULL, NULL }, { ".crt", NULL, NULL },
                { ".pem", NULL, NULL }, { "README", NULL, NULL }, { "www.crt.bak", NULL, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *key = NULL;
                size_t n = certificate_pair_of(cases[i].name, &key);

                assert_int_equal(n, cases[i].pair ? strlen(cases[i].pair) : 0);
                if (cases[i].pair) {
                        assert_memory_equal(cases[i].name, cases[i].pair, n);
                        assert_string_equal(key, cases[i].key);
                } else
                        assert_null(key);
        }
}

/* A broken pair is left out, and the others work. In a later load the pair that was read before stays. */
static void test_broken_pairs(void **state) {
        CertificateSet set, again;
        char directory[64], path[128];

        make_directory(directory);
        write_file(directory, "good.crt", t.site.certificate_text, NULL);
        write_file(directory, "good.key", t.site.key_text, NULL);
        write_file(directory, "mismatch.crt", t.site.certificate_text, NULL);
        write_file(directory, "mismatch.key", t.other.key_text, NULL);
        write_file(directory, "alone.crt", t.site.certificate_text, NULL);
        write_file(directory, "empty.pem", "", NULL);
        write_file(directory, "no-key.pem", t.site.certificate_text, NULL);
        write_file(directory, "damaged.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", t.site.key_text);
        write_file(directory, "damaged-chain.crt", t.site.certificate_text, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        write_file(directory, "damaged-chain.key", t.site.key_text, NULL);
        (void) snprintf(path, sizeof(path), "%s/link.pem", directory);
        assert_int_equal(symlink("/dev/zero", path), 0);
        load(directory, NULL, &set);
        assert_int_equal(set.n_items, 1);
        assert_string_equal(set.preset->pair, "good");

        write_file(directory, "good.key", t.other.key_text, NULL); /* its certificate is still to be written */
        load(directory, &set, &again);
        assert_int_equal(again.n_items, 1);
        assert_int_equal(X509_cmp(again.preset->leaf, t.site.certificate), 0);
        certificate_set_done(&set);

        write_file(directory, "good.crt", t.other.certificate_text, NULL);
        load(directory, &again, &set);
        assert_int_equal(X509_cmp(set.preset->leaf, t.other.certificate), 0);
        assert_string_equal(set.names[0].text, "*.other.example");
        certificate_set_done(&set);
        certificate_set_done(&again);
        remove_directory(directory);
}

/* Certificates without dNSName have the common name; names that no client can ask for are left out. */
static void test_names(void **state) {
        Pem pems[3];
        char directory[64];
        CertificateSet set;

        make_pem(&pems[0], &(PemSpec){ .cn = "Old.Example" });
        make_pem(&pems[1], &(PemSpec){ .cn = "not.this.example", .names = "DNS:New.Example.,IP:192.0.2.1,email:x@new.example,DNS:*" });
        make_pem(&pems[2], &(PemSpec){ .cn = "A Company Ltd" });
        make_directory(directory);
        for (size_t i = 0; i < ELEMENTSOF(pems); i++)
                write_file(directory, (const char *[]){ "c.pem", "default.pem", "b.pem" }[i], pems[i].certificate_text, pems[i].key_text);
        load(directory, NULL, &set);
        assert_int_equal(set.n_items, 3);
        assert_int_equal(set.n_names, 2);
        assert_string_equal(set.names[0].text, "new.example");
        assert_string_equal(set.names[1].text, "old.example");
        assert_string_equal(set.preset->pair, "default");
        certificate_set_done(&set);
        remove_directory(directory);
        for (size_t i = 0; i < ELEMENTSOF(pems); i++)
                pem_done(&pems[i]);
}

/* Of two certificates for one name, the client gets the one that its ciphers allow, and of one kind the one that ends last. */
static void test_two_kinds(void **state) {
        Pem pems[3];
        char directory[64];

        make_pem(&pems[0], &(PemSpec){ .names = "DNS:site.example", .is_rsa = true });
        make_pem(&pems[1], &(PemSpec){ .names = "DNS:site.example", .ends_in = 90 * DAY });
        make_pem(&pems[2], &(PemSpec){ .names = "DNS:site.example", .ends_in = 60 * DAY });
        make_directory(directory);
        for (size_t i = 0; i < ELEMENTSOF(pems); i++)
                write_file(directory, (const char *[]){ "a.pem", "b.pem", "c.pem" }[i], pems[i].certificate_text, pems[i].key_text);
        certificate_set_done(&t.set);
        load(directory, NULL, &t.set);
        remove_directory(directory);
        use_policy();

        expect_certificate("site.example", &pems[1]);
        for (int i = 0; i < 2; i++) {
                const char *ciphers = i == 0 ? "ECDHE-RSA-AES128-GCM-SHA256" : "ECDHE-ECDSA-AES128-GCM-SHA256";
                TlsClient c;
                Handshake h;

                client_begin(&c, &(TlsClientSpec){ .sni = "site.example", .version = TLS1_2_VERSION, .ciphers = ciphers });
                client_use_memory(&c);
                assert_int_equal(handshake_begin(&h, t.ctx), 0);
                assert_int_equal(client_shake(&c, &h, SIZE_MAX), HANDSHAKE_DONE);
                assert_int_equal(X509_cmp(SSL_get0_peer_certificate(c.ssl), pems[i].certificate), 0);
                handshake_done(&h);
                client_done(&c);
        }
        for (size_t i = 0; i < ELEMENTSOF(pems); i++)
                pem_done(&pems[i]);
}

/* Does a handshake and reads what it tells. Returns as learned_read(). */
static bool learn(const TlsClientSpec *spec, const char *told, Learned *ret, SSL_SESSION **ret_session) {
        TlsClient c;
        Handshake h;
        char byte;
        bool r;

        client_begin(&c, spec);
        client_use_memory(&c);
        assert_int_equal(handshake_begin(&h, t.ctx), 0);
        assert_int_equal(client_shake(&c, &h, SIZE_MAX), HANDSHAKE_DONE);
        r = learned_read(ret, h.ssl, told);
        if (ret_session) {
                assert_int_equal(SSL_read(c.ssl, &byte, 1), -1); /* takes the ticket */
                *ret_session = SSL_get1_session(c.ssl);
        }
        SSL_set_quiet_shutdown(c.ssl, 1);
        (void) SSL_shutdown(c.ssl);
        handshake_done(&h);
        client_done(&c);
        return r;
}

static Slice find_ssl(const Learned *l, uint8_t type) {
        return slice_find_tlv(slice_skip((Slice){ l->ssl, l->n_ssl }, 5), type);
}

static void expect_ssl(const Learned *l, uint8_t type, const char *text) {
        Slice value = find_ssl(l, type);

        assert_int_equal(value.n, strlen(text));
        assert_memory_equal(value.p, text, value.n);
}

static void test_learned(void **state) {
        Learned l;

        use_policy();
        assert_true(learn(&(TlsClientSpec){ .sni = "Site.Example", .version = TLS1_3_VERSION }, "site.example", &l, NULL));
        assert_string_equal(l.host.text, "site.example");
        assert_true(message_ssl_is_valid((Slice){ l.ssl, l.n_ssl }));
        assert_memory_equal(l.ssl, "\1\0\0\0\1", 5);
        expect_ssl(&l, 0x21, "TLSv1.3");
        expect_ssl(&l, 0x23, "TLS_AES_256_GCM_SHA384");
        expect_ssl(&l, 0x24, "ecdsa-with-SHA256");
        expect_ssl(&l, 0x25, "id-ecPublicKey");

        assert_true(learn(&(TlsClientSpec){ .version = TLS1_2_VERSION }, NULL, &l, NULL));
        assert_int_equal(l.host.n, 0);
        expect_ssl(&l, 0x21, "TLSv1.2");

        /* The broker may have told the name of a PROXY header. It is none of the handshake. */
        assert_true(learn(&(TlsClientSpec){}, "proxied.example", &l, NULL));
        assert_int_equal(l.host.n, 0);
        assert_false(learn(&(TlsClientSpec){ .sni = "site.example" }, "other.example", &l, NULL));
        assert_false(learn(&(TlsClientSpec){ .sni = "site.example" }, NULL, &l, NULL));
}

/* Does a handshake, for which the broker has read the name @told. Returns true if it resumed the session. */
static bool resumes_told(const TlsClientSpec *spec, const char *told) {
        bool is_resumed;
        TlsClient c;
        Handshake h;

        client_begin(&c, spec);
        client_use_memory(&c);
        assert_int_equal(handshake_begin(&h, t.ctx), 0);
        assert_int_equal(sni_expect(h.ssl, told), 0);
        assert_int_equal(client_shake(&c, &h, SIZE_MAX), HANDSHAKE_DONE);
        is_resumed = SSL_session_reused(h.ssl);
        SSL_set_quiet_shutdown(c.ssl, 1);
        (void) SSL_shutdown(c.ssl);
        handshake_done(&h);
        client_done(&c);
        return is_resumed;
}

/* A session belongs to the name that it was made for. With another name, an address or none it is not resumed. */
static void test_session_of_other_name(void **state) {
        static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
        SSL_SESSION *session;
        Learned l;

        use_policy();
        for (size_t i = 0; i < ELEMENTSOF(versions); i++) {
                int v = versions[i];

                assert_true(learn(&(TlsClientSpec){ .sni = "site.example", .version = v }, "site.example", &l, &session));
                assert_true(resumes_told(&(TlsClientSpec){ .sni = "SITE.example.", .version = v, .session = session }, "site.example"));
                assert_false(resumes_told(&(TlsClientSpec){ .sni = "www.site.example", .version = v, .session = session },
                                     "www.site.example"));
                assert_false(resumes_told(&(TlsClientSpec){ .sni = "192.0.2.1", .version = v, .session = session }, NULL));
                assert_false(resumes_told(&(TlsClientSpec){ .version = v, .session = session }, NULL));
                SSL_SESSION_free(session);
        }
}

/* The hello that the broker read had another name than that of OpenSSL, for example one of a second ClientHello. */
static void test_expected_name(void **state) {
        use_policy();
        expected_name = "site.example";
        assert_int_equal(refused_with(&(TlsClientSpec){ .sni = "other.example" }), SSL_AD_UNRECOGNIZED_NAME);
        assert_int_equal(refused_with(&(TlsClientSpec){ .sni = "site.example" }), -1);
        assert_int_equal(refused_with(&(TlsClientSpec){}), -1);
        expected_name = "";
        assert_int_equal(refused_with(&(TlsClientSpec){ .sni = "site.example" }), SSL_AD_UNRECOGNIZED_NAME);
        assert_int_equal(refused_with(&(TlsClientSpec){ .sni = "192.0.2.1" }), -1);
        expected_name = NULL;
}

/* Client certificates: none, a good one, one of another issuer. A session of one policy is not resumed in another. */
static void test_client_certificates(void **state) {
        static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
        Pem ca, client, stranger;
        char directory[64], path[128];
        SSL_SESSION *session;
        Learned l;

        make_pem(&ca, &(PemSpec){ .cn = "Test CA", .is_ca = true });
        make_pem(&client, &(PemSpec){ .cn = "alice", .issuer = &ca });
        make_pem(&stranger, &(PemSpec){ .cn = "mallory" });
        make_directory(directory);
        write_file(directory, "ca.pem", ca.certificate_text, NULL);
        (void) snprintf(path, sizeof(path), "%s/ca.pem", directory);

        for (size_t i = 0; i < ELEMENTSOF(versions); i++) {
                t.options.client_ca = NULL;
                use_policy();
                assert_true(learn(&(TlsClientSpec){ .version = versions[i], .certificate = &client }, NULL, &l, &session));
                assert_int_equal(l.ssl[0], 1);

                t.options.client_ca = path;
                t.options.client_certificate = CLIENT_CERTIFICATE_REQUIRE;
                use_policy();
                assert_true(refused_with(&(TlsClientSpec){ .version = versions[i] }) > 0);
                assert_true(refused_with(&(TlsClientSpec){ .version = versions[i], .session = session }) > 0);
                assert_true(refused_with(&(TlsClientSpec){ .version = versions[i], .certificate = &stranger }) > 0);
                SSL_SESSION_free(session);
                assert_true(learn(&(TlsClientSpec){ .version = versions[i], .certificate = &client }, NULL, &l, &session));
                assert_memory_equal(l.ssl, "\7\0\0\0\0", 5);
                expect_ssl(&l, 0x22, "alice");
                assert_true(learn(&(TlsClientSpec){ .version = versions[i], .session = session }, NULL, &l, NULL));
                assert_memory_equal(l.ssl, "\5\0\0\0\0", 5);
                expect_ssl(&l, 0x22, "alice");
                SSL_SESSION_free(session);

                t.options.client_certificate = CLIENT_CERTIFICATE_OPTIONAL;
                use_policy();
                assert_true(learn(&(TlsClientSpec){ .version = versions[i] }, NULL, &l, NULL));
                assert_memory_equal(l.ssl, "\1\0\0\0\1", 5);
                assert_true(refused_with(&(TlsClientSpec){ .version = versions[i], .certificate = &stranger }) > 0);
        }

        remove_directory(directory);
        pem_done(&ca);
        pem_done(&client);
        pem_done(&stranger);
}

static void test_wrong_client_ca(void **state) {
        const char *why;

        t.options.client_ca = "/nonexistent/ca.pem";
        assert_null(policy_new(&t.options, &t.set, &t.tickets, &why));
        assert_non_null(strstr(why, "--client-ca="));
}

/* The report has all pairs of a directory and of directories in it, and the problems. It replaces a file. */
static void test_report(void **state) {
        char directory[64], path[96], bytes[4096];
        CertificateReport report = {};
        CertificateFiles files;
        CertificateSet set;
        struct stat st;
        Pem soon;
        int fd;

        make_pem(&soon, &(PemSpec){ .names = "DNS:soon.example", .ends_in = DAY });
        make_directory(directory);
        (void) snprintf(path, sizeof(path), "%s/live", directory);
        assert_int_equal(mkdir(path, 0700), 0);
        write_file(path, "fullchain.pem", t.site.certificate_text, NULL);
        write_file(path, "privkey.pem", t.site.key_text, NULL);
        write_file(directory, "with space.pem", soon.certificate_text, soon.key_text);
        write_file(directory, "x\n.crt", "nonsense", NULL);
        (void) snprintf(path, sizeof(path), "%s/link.pem", directory);
        assert_int_equal(symlink("live/fullchain.pem", path), 0);

        assert_int_equal(certificate_report_begin(&report), 0);
        assert_int_equal(certificate_files_read(&files, directory, NULL, &report), 0);
        assert_int_equal(certificate_set_load(&set, &files, NULL, &report), 0);
        assert_int_equal(certificate_report_end(&report), 0);
        certificate_files_done(&files);
        certificate_set_done(&set);

        assert_non_null(strstr(report.text, "problem link.pem: it is a symbolic link"));
        assert_non_null(strstr(report.text, "problem x\\x0a.crt: there is no file x\\x0a.key with its private key. "));
        assert_non_null(strstr(report.text, "certificate live expires 20"));
        assert_non_null(strstr(report.text, "Z default names site.example www.site.example\n"));
        assert_non_null(strstr(report.text, "certificate with\\x20space expires 20"));

        (void) snprintf(path, sizeof(path), "%s/status", directory);
        fd = certificate_report_write(&report, path);
        assert_true(fd >= 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0644);
        assert_int_equal(st.st_size, report.n_text);
        assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), report.n_text);
        assert_memory_equal(bytes, report.text, report.n_text);
        close(fd);
        assert_int_equal(certificate_report_write(&report, "/nonexistent/status"), -ENOENT);

        certificate_report_done(&report);
        remove_directory(directory);
        pem_done(&soon);
}

/* Makes a session, resumes it, and reports what the client was told. */
static bool resumes(SSL_SESSION *session, int version, bool *ret_is_renewed) {
        SSL_SESSION *next = NULL;
        bool is_resumed;
        TlsClient c;
        Handshake h;

        client_begin(&c, &(TlsClientSpec){ .sni = "site.example", .version = version, .session = session });
        client_use_memory(&c);
        assert_int_equal(handshake_begin(&h, t.ctx), 0);
        assert_int_equal(client_shake(&c, &h, SIZE_MAX), HANDSHAKE_DONE);
        is_resumed = SSL_session_reused(c.ssl);
        (void) SSL_read(c.ssl, &(char){ 0 }, 1); /* the tickets of TLS 1.3 */
        next = SSL_get0_session(c.ssl);
        *ret_is_renewed = SSL_SESSION_has_ticket(next) && session != next;
        handshake_done(&h);
        client_done(&c);
        return is_resumed;
}

static SSL_SESSION *make_session(int version) {
        SSL_SESSION *session;
        Learned l;

        assert_true(learn(&(TlsClientSpec){ .sni = "site.example", .version = version }, "site.example", &l, &session));
        assert_int_equal(SSL_SESSION_has_ticket(session), 1);
        return session;
}

/* Keys of the last 12 hours are accepted, older ones and those of another seed or policy are not. */
static void test_tickets(void **state) {
        static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
        bool is_renewed;

        for (size_t i = 0; i < ELEMENTSOF(versions); i++)
                for (uint64_t age = 0; age <= TICKET_HOURS + 2; age++) {
                        SSL_SESSION *session;
                        TicketKeys present;

                        use_policy();
                        session = make_session(versions[i]);
                        present = t.tickets;

                        /* The keys that this hour would have if it were @age hours later. */
                        assert_true(ticket_set_hour(&t.tickets, present.hour + age));
                        t.tickets.hour = present.hour;
                        assert_int_equal(resumes(session, versions[i], &is_renewed), age <= TICKET_HOURS);
                        if (age > 0)
                                assert_true(is_renewed);
                        SSL_SESSION_free(session);
                        t.tickets.hour = 0;
                }
}

/* Another process with the same file resumes; without it, or with other demands, none does. */
static void test_seed(void **state) {
        char directory[64], path[80];
        SSL_SESSION *session;
        struct stat st;
        bool is_renewed;

        make_directory(directory);
        (void) snprintf(path, sizeof(path), "%s/seed", directory);
        assert_int_equal(ticket_seed(&t.tickets, path), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0600);
        assert_int_equal(st.st_size, TICKET_SEED_SIZE);

        use_policy();
        session = make_session(TLS1_3_VERSION);
        assert_int_equal(ticket_seed(&t.tickets, path), 0);
        use_policy();
        assert_true(resumes(session, TLS1_3_VERSION, &is_renewed));

        t.options.version_min = TLS1_3_VERSION;
        use_policy();
        assert_false(resumes(session, TLS1_3_VERSION, &is_renewed));
        t.options.version_min = TLS1_2_VERSION;

        assert_int_equal(unlink(path), 0);
        assert_int_equal(ticket_seed(&t.tickets, path), 0);
        use_policy();
        assert_false(resumes(session, TLS1_3_VERSION, &is_renewed));
        SSL_SESSION_free(session);
        remove_directory(directory);
}

/* A file that is no seed is replaced, and one that others can read. A directory stays, and the seed is of this process. */
static void test_broken_seed(void **state) {
        char directory[64], path[80];
        struct stat st;

        make_directory(directory);
        (void) snprintf(path, sizeof(path), "%s/seed", directory);
        for (unsigned i = 0; i < 4; i++) {
                TicketKeys other;

                if (i == 0)
                        write_file(directory, "seed", "short", NULL);
                else if (i == 1)
                        assert_int_equal(chmod(path, 0644), 0);
                else if (i == 2) {
                        assert_int_equal(unlink(path), 0);
                        assert_int_equal(symlink("/etc/hostname", path), 0);
                }
                assert_int_equal(ticket_seed(&t.tickets, path), 0);
                assert_int_equal(lstat(path, &st), 0);
                assert_int_equal(st.st_mode, S_IFREG | 0600);
                assert_int_equal(ticket_seed(&other, path), 0);
                assert_memory_equal(other.seed, t.tickets.seed, TICKET_SEED_SIZE);
        }

        assert_true(ticket_seed(&t.tickets, directory) < 0);
        assert_memory_not_equal(t.tickets.seed, (uint8_t[TICKET_SEED_SIZE]){ 0 }, TICKET_SEED_SIZE);
        assert_true(ticket_seed(&t.tickets, "/nonexistent/seed") < 0);
        remove_directory(directory);
}

TEST_MAIN(cmocka_unit_test(test_records),
          cmocka_unit_test(test_no_records),
          TLS_TEST(test_handshakes),
          TLS_TEST(test_report),
          TLS_TEST(test_tickets),
          TLS_TEST(test_seed),
          TLS_TEST(test_broken_seed),
          TLS_TEST(test_refusals),
          TLS_TEST(test_alpn),
          TLS_TEST(test_too_much),
          TLS_TEST(test_choice),
          cmocka_unit_test(test_pairs),
          TLS_TEST(test_broken_pairs),
          TLS_TEST(test_names),
          TLS_TEST(test_two_kinds),
          TLS_TEST(test_learned),
          TLS_TEST(test_session_of_other_name),
          TLS_TEST(test_expected_name),
          TLS_TEST(test_client_certificates),
          TLS_TEST(test_wrong_client_ca))
