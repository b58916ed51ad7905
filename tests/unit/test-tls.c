/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The parts of fdpass-tls that do no I/O, with OpenSSL as the client in the same process. */

#include "tls-policy-fixture.h"

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

TEST_MAIN(cmocka_unit_test(test_records),
          cmocka_unit_test(test_no_records),
          TLS_TEST(test_handshakes),
          TLS_TEST(test_refusals),
          TLS_TEST(test_alpn),
          TLS_TEST(test_too_much),
          TLS_TEST(test_choice),
          cmocka_unit_test(test_pairs),
          TLS_TEST(test_broken_pairs),
          TLS_TEST(test_names),
          TLS_TEST(test_two_kinds),
          TLS_TEST(test_report))
