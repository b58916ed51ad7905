/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sessions of TLS: what is learned in a handshake, clients that it lets in, and tickets. */

#include "tls-policy-fixture.h"

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

TEST_MAIN(TLS_TEST(test_learned),
          TLS_TEST(test_session_of_other_name),
          TLS_TEST(test_expected_name),
          TLS_TEST(test_client_certificates),
          TLS_TEST(test_wrong_client_ca),
          TLS_TEST(test_tickets),
          TLS_TEST(test_seed),
          TLS_TEST(test_broken_seed))
