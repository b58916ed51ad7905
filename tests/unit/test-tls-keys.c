/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The keys for the kernel: what OpenSSL sends after a handshake is opened with them, without OpenSSL's records. */

#include "tls-open.h"

static struct {
        SSL_CTX *ctx;
        Pem site, alice;
} t;

/* A server without the demands of policy.h, some of which differ here. */
static int setup(void **state) {
        make_pem(&t.site, &(PemSpec){ .names = "DNS:site.example" });
        t.ctx = SSL_CTX_new(TLS_server_method());
        assert_int_equal(SSL_CTX_use_certificate(t.ctx, t.site.certificate), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(t.ctx, t.site.key), 1);
        assert_int_equal(SSL_CTX_set_num_tickets(t.ctx, 1), 1);
        assert_int_equal(SSL_CTX_set_session_id_context(t.ctx, (const uint8_t *) "t", 1), 1);
        return 0;
}

static int teardown(void **state) {
        SSL_CTX_free(TAKE_PTR(t.ctx));
        pem_done(&t.site);
        return 0;
}

#define KEYS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* A client, the server's handshake, and what was seen of it. */
typedef struct Both {
        TlsClient client;
        Handshake handshake;
        KeysSeen seen;
        SSL *ssl; /* the server's, after the handshake */
} Both;

static void both_begin(Both *b, const TlsClientSpec *spec, const char *suites) {
        client_begin(&b->client, spec);
        if (suites)
                assert_int_equal(SSL_set_ciphersuites(b->client.ssl, suites), 1);
        client_use_memory(&b->client);
        assert_int_equal(handshake_begin(&b->handshake, t.ctx), 0);
        assert_int_equal(keys_watch(&b->seen, b->handshake.ssl), 0);
}

static void both_shake(Both *b) {
        assert_int_equal(client_shake(&b->client, &b->handshake, SIZE_MAX), HANDSHAKE_DONE);
        b->ssl = handshake_take(&b->handshake);
        keys_unwatch(b->ssl);
}

static void both_done(Both *b) {
        SSL_set_quiet_shutdown(b->client.ssl, 1);
        (void) SSL_shutdown(b->client.ssl); /* otherwise its session is not resumable */
        SSL_free(b->ssl);
        handshake_done(&b->handshake);
        client_done(&b->client);
}

/* Whatever @from writes can be opened by @o: short, long, and more than one record has. */
static void expect_opens(SSL *from, Opener *o) {
        static const size_t sizes[] = { 1, 100, 16384, 50000 };
        static uint8_t data[50000], got[20000];

        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (uint8_t) (i * 7);

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                size_t n_written, n_got = 0, n = 0;
                BIO *bio = SSL_get_wbio(from);
                uint8_t *p, type;

                for (; n < sizes[i]; n += n_written)
                        assert_int_equal(SSL_write_ex(from, data + n, sizes[i] - n, &n_written), 1);

                for (size_t at = 0, left = (size_t) BIO_get_mem_data(bio, (char **) &p); at < left;) {
                        size_t n_record = 5 + ((size_t) p[at + 3] << 8 | p[at + 4]);
                        int k = opener_open(o, p + at, n_record, got, &type);

                        assert_true(k >= 0);
                        assert_int_equal(type, 23);
                        assert_memory_equal(got, data + n_got, (size_t) k);
                        n_got += (size_t) k;
                        at += n_record;
                }
                assert_int_equal(n_got, sizes[i]);
                assert_int_equal(BIO_reset(bio), 1);
        }
}

/* Both directions are opened with the keys. Returns how many records were sent before, in @ret. */
static void expect_keys(Both *b, int version, uint64_t *ret_tx, uint64_t *ret_rx) {
        Opener tx, rx;
        Keys keys;

        assert_int_equal(keys_derive(&keys, &b->seen, b->ssl), 0);
        assert_int_equal(keys.tx.info.version, version);
        assert_int_equal(keys.rx.info.version, version);
        opener_init(&tx, &keys.tx);
        opener_init(&rx, &keys.rx);
        *ret_tx = tx.sequence;
        *ret_rx = rx.sequence;

        /* The rest in the buffers is of the handshake, and was heard. */
        (void) BIO_reset(SSL_get_wbio(b->ssl));
        (void) BIO_reset(SSL_get_wbio(b->client.ssl));
        expect_opens(b->ssl, &tx);
        expect_opens(b->client.ssl, &rx);

        keys_done(&keys);
        for (size_t i = 0; i < sizeof(keys); i++)
                assert_int_equal(((const uint8_t *) &keys)[i], 0);
}

static const struct {
        int version;
        const char *name;
} ciphers[] = {
        { TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256" },
        { TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384" },
        { TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256" },
        { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256" },
        { TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384" },
        { TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305" },
};

static TlsClientSpec spec_of(size_t i) {
        return (TlsClientSpec){
                .sni = "site.example", .version = ciphers[i].version,
                .ciphers = ciphers[i].version == TLS1_2_VERSION ? ciphers[i].name : NULL,
        };
}

/* Both versions, all ciphers, any number of tickets: a ticket of TLS 1.3 is a record under the new keys. */
static void test_full_handshakes(void **state) {
        static const size_t tickets[] = { 0, 1, 2, 5 };

        for (size_t i = 0; i < ELEMENTSOF(ciphers) * ELEMENTSOF(tickets); i++) {
                size_t k = i % ELEMENTSOF(ciphers), n_tickets = tickets[i / ELEMENTSOF(ciphers)];
                bool is_13 = ciphers[k].version == TLS1_3_VERSION;
                TlsClientSpec spec = spec_of(k);
                uint64_t n_tx, n_rx;
                Both b;

                assert_int_equal(SSL_CTX_set_num_tickets(t.ctx, n_tickets), 1);
                both_begin(&b, &spec, is_13 ? ciphers[k].name : NULL);
                both_shake(&b);
                assert_string_equal(SSL_get_cipher_name(b.ssl), ciphers[k].name);
                expect_keys(&b, ciphers[k].version, &n_tx, &n_rx);
                assert_int_equal(n_tx, is_13 ? n_tickets : 1);
                assert_int_equal(n_rx, is_13 ? 0 : 1);
                both_done(&b);
        }
}

/* The same client again, with its ticket. */
static void test_resumed(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(ciphers); i++) {
                bool is_13 = ciphers[i].version == TLS1_3_VERSION;
                const char *suite = is_13 ? ciphers[i].name : NULL;
                TlsClientSpec spec = spec_of(i);
                uint64_t n_tx, n_rx;
                uint8_t byte;
                Both b;

                both_begin(&b, &spec, suite);
                both_shake(&b);
                assert_int_equal(SSL_read(b.client.ssl, &byte, 1), -1); /* the ticket */
                spec.session = SSL_get1_session(b.client.ssl);
                assert_int_equal(SSL_SESSION_is_resumable(spec.session), 1);
                both_done(&b);

                both_begin(&b, &spec, suite);
                both_shake(&b);
                assert_int_equal(SSL_session_reused(b.ssl), 1);
                expect_keys(&b, ciphers[i].version, &n_tx, &n_rx);
                assert_int_equal(n_tx, 1);
                assert_int_equal(n_rx, is_13 ? 0 : 1);
                both_done(&b);
                SSL_SESSION_free(spec.session);
        }
}

/* A second ClientHello, and a client that shows a certificate: its ticket is long. */
static void test_other_handshakes(void **state) {
        TlsClientSpec spec = { .sni = "site.example", .groups = "P-521:P-384", .version = TLS1_3_VERSION };
        uint64_t n_tx, n_rx;
        Both b;

        both_begin(&b, &spec, NULL);
        both_shake(&b);
        expect_keys(&b, TLS1_3_VERSION, &n_tx, &n_rx);
        both_done(&b);

        make_pem(&t.alice, &(PemSpec){ .cn = "alice", .is_rsa = true });
        SSL_CTX_set_verify(t.ctx, SSL_VERIFY_PEER, NULL);
        assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(t.ctx), t.alice.certificate), 1);
        for (size_t i = 0; i < ELEMENTSOF(ciphers); i++) {
                spec = spec_of(i);
                spec.certificate = &t.alice;
                both_begin(&b, &spec, NULL);
                both_shake(&b);
                assert_non_null(SSL_get0_peer_certificate(b.ssl));
                expect_keys(&b, ciphers[i].version, &n_tx, &n_rx);
                both_done(&b);
        }
        pem_done(&t.alice);
}

/* Two things that the kernel can't do. The result tells it, and OpenSSL can go on. */
static void test_refused(void **state) {
        TlsClientSpec spec = { .sni = "site.example" };
        Keys keys;
        Both b;

        /* Records that are shorter than the kernel's, in both versions. */
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
                spec.version = version;
                both_begin(&b, &spec, NULL);
                assert_int_equal(SSL_set_tlsext_max_fragment_length(b.client.ssl, TLSEXT_max_fragment_length_512), 1);
                both_shake(&b);
                assert_int_equal(keys_derive(&keys, &b.seen, b.ssl), -EOPNOTSUPP);
                both_done(&b);
        }

        assert_int_equal(SSL_CTX_set_ciphersuites(t.ctx, "TLS_AES_128_CCM_SHA256"), 1);
        both_begin(&b, &spec, "TLS_AES_128_CCM_SHA256");
        both_shake(&b);
        assert_int_equal(keys_derive(&keys, &b.seen, b.ssl), -EOPNOTSUPP);
        both_done(&b);
}

/* Secrets are overwritten, and what was not watched has none. */
static void test_secrets(void **state) {
        TlsClientSpec spec = { .sni = "site.example", .version = TLS1_3_VERSION };
        KeysSeen nothing = {};
        Keys keys;
        Both b;

        both_begin(&b, &spec, NULL);
        both_shake(&b);
        assert_true(b.seen.tx.n_secret == 32 || b.seen.tx.n_secret == 48);
        assert_int_equal(b.seen.rx.n_secret, b.seen.tx.n_secret);
        assert_memory_not_equal(b.seen.rx.secret, b.seen.tx.secret, b.seen.tx.n_secret);
        assert_int_equal(keys_derive(&keys, &nothing, b.ssl), -EIO);
        keys_seen_done(&b.seen);
        assert_memory_equal(&b.seen, &nothing, sizeof(nothing));
        both_done(&b);
}

TEST_MAIN(KEYS_TEST(test_full_handshakes), KEYS_TEST(test_resumed), KEYS_TEST(test_other_handshakes), KEYS_TEST(test_refused),
          KEYS_TEST(test_secrets))
