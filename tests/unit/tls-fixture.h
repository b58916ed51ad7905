/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Certificates that are made here, and clients of TLS in memory. */

#include "test.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "workers/tls/certificate.h"
#include "workers/tls/handshake.h"
#include "workers/tls/policy.h"

#define HOUR 3600L
#define DAY (24 * HOUR)

/* A certificate for make_pem(). Zero means the usual. */
typedef struct PemSpec {
        const char *names;   /* subjectAltName: "DNS:a.example,DNS:*.b.example"; NULL: none */
        const char *cn;      /* common name; NULL: "test" */
        bool is_rsa;         /* otherwise P-256 */
        bool is_ca;          /* may sign others */
        long ends_in;        /* seconds; 0: 30 days */
        const struct Pem *issuer; /* NULL: signed by itself */
} PemSpec;

/* A certificate and its key: as objects, and as the texts of two files. */
typedef struct Pem {
        X509 *certificate;
        EVP_PKEY *key;
        char certificate_text[4096];
        char key_text[4096];
} Pem;

static inline void pem_to_text(BIO *bio, char *ret, size_t size) {
        int n = BIO_read(bio, ret, (int) size - 1);

        assert_true(n > 0);
        ret[n] = '\0';
        BIO_free(bio);
}

static inline void pem_add_extension(X509 *x, int nid, const char *value) {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

        assert_non_null(e);
        assert_int_equal(X509_add_ext(x, e, -1), 1);
        X509_EXTENSION_free(e);
}

static inline void make_pem(Pem *ret, const PemSpec *spec) {
        static long serial;
        X509 *x = X509_new();
        X509_NAME *name = X509_get_subject_name(x);
        BIO *bio;

        ret->certificate = x;
        ret->key = spec->is_rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
        assert_non_null(ret->key);
        assert_int_equal(X509_set_version(x, X509_VERSION_3), 1);
        assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial), 1);
        assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), -DAY));
        assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), spec->ends_in != 0 ? spec->ends_in : 30 * DAY));
        assert_int_equal(X509_set_pubkey(x, ret->key), 1);
        assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                                    (const unsigned char *) (spec->cn ?: "test"), -1, -1, 0), 1);
        assert_int_equal(X509_set_issuer_name(x, spec->issuer ? X509_get_subject_name(spec->issuer->certificate) : name), 1);
        if (spec->names)
                pem_add_extension(x, NID_subject_alt_name, spec->names);
        if (spec->is_ca)
                pem_add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
        assert_true(X509_sign(x, spec->issuer ? spec->issuer->key : ret->key, EVP_sha256()) > 0);

        bio = BIO_new(BIO_s_mem());
        assert_int_equal(PEM_write_bio_X509(bio, x), 1);
        pem_to_text(bio, ret->certificate_text, sizeof(ret->certificate_text));
        bio = BIO_new(BIO_s_mem());
        assert_int_equal(PEM_write_bio_PrivateKey(bio, ret->key, NULL, NULL, 0, NULL, NULL), 1);
        pem_to_text(bio, ret->key_text, sizeof(ret->key_text));
}

static inline void pem_done(Pem *p) {
        X509_free(p->certificate);
        EVP_PKEY_free(p->key);
}

/* A directory of certificates. */
static inline void make_directory(char ret[static 64]) {
        (void) snprintf(ret, 64, "/tmp/fdpass-unit-XXXXXX");
        assert_non_null(mkdtemp(ret));
}

static inline void write_file(const char *directory, const char *name, const char *text, const char *more) {
        char path[256];
        FILE *f;

        (void) snprintf(path, sizeof(path), "%s/%s", directory, name);
        f = fopen(path, "we");
        assert_non_null(f);
        assert_true(fprintf(f, "%s%s", text, more ?: "") >= 0);
        assert_int_equal(fclose(f), 0);
}

static inline void remove_directory(const char *path) {
        char command[128];

        (void) snprintf(command, sizeof(command), "rm -r %s", path);
        assert_int_equal(system(command), 0);
}

/* A client of TLS on buffers in memory. */
typedef struct TlsClient {
        SSL_CTX *ctx;
        SSL *ssl;
} TlsClient;

/* The wishes of a client. Zero means the usual. */
typedef struct TlsClientSpec {
        const char *sni;
        const char *alpn;        /* with the length of each name before it */
        int version;             /* the only one, TLS1_2_VERSION or TLS1_3_VERSION; 0: any */
        const char *ciphers;     /* of TLS 1.2 */
        const char *groups;
        const Pem *certificate;
        SSL_SESSION *session;    /* to be resumed; borrowed */
} TlsClientSpec;

static inline void client_begin(TlsClient *c, const TlsClientSpec *spec) {
        c->ctx = SSL_CTX_new(TLS_client_method());
        if (spec->version != 0) {
                assert_int_equal(SSL_CTX_set_min_proto_version(c->ctx, spec->version), 1);
                assert_int_equal(SSL_CTX_set_max_proto_version(c->ctx, spec->version), 1);
        }
        if (spec->version != 0 && spec->version < TLS1_2_VERSION)
                SSL_CTX_set_security_level(c->ctx, 0);
        if (spec->ciphers)
                assert_int_equal(SSL_CTX_set_cipher_list(c->ctx, spec->ciphers), 1);
        if (spec->groups)
                assert_int_equal(SSL_CTX_set1_groups_list(c->ctx, (char *) (uintptr_t) spec->groups), 1);
        if (spec->certificate) {
                assert_int_equal(SSL_CTX_use_certificate(c->ctx, spec->certificate->certificate), 1);
                assert_int_equal(SSL_CTX_use_PrivateKey(c->ctx, spec->certificate->key), 1);
        }

        c->ssl = SSL_new(c->ctx);
        if (spec->sni)
                assert_int_equal(SSL_set_tlsext_host_name(c->ssl, (char *) (uintptr_t) spec->sni), 1);
        if (spec->alpn)
                assert_int_equal(SSL_set_alpn_protos(c->ssl, (const unsigned char *) spec->alpn, (unsigned) strlen(spec->alpn)), 0);
        if (spec->session)
                assert_int_equal(SSL_set_session(c->ssl, spec->session), 1);
        SSL_set_connect_state(c->ssl);
}

/* Its bytes go to buffers, instead of to a socket. */
static inline void client_use_memory(TlsClient *c) {
        BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

        BIO_set_mem_eof_return(in, -1);
        SSL_set_bio(c->ssl, in, out);
}

static inline void client_done(TlsClient *c) {
        SSL_free(c->ssl);
        SSL_CTX_free(c->ctx);
}

/* Moves at most @n bytes of the client's output to the server, as far as it wants them. Returns whether it took any. */
static inline int client_feed(TlsClient *c, Handshake *h, size_t n) {
        uint8_t bytes[4096];
        int k = BIO_read(SSL_get_wbio(c->ssl), bytes, (int) MIN(MIN(n, sizeof(bytes)), handshake_wanted(h)));

        return k > 0 ? handshake_input(h, bytes, (size_t) k) : -EAGAIN;
}

/* Gives the client what the server has to say. */
static inline void client_hear(TlsClient *c, Handshake *h) {
        const uint8_t *p;
        size_t n;

        while ((n = handshake_output(h, &p)) > 0) {
                n = MIN(n, (size_t) 1000);
                assert_int_equal(BIO_write(SSL_get_rbio(c->ssl), p, (int) n), (int) n);
                handshake_sent(h, n);
        }
}

/* Speaks with the server in pieces of at most @n bytes, until its handshake is done or has failed. */
static inline HandshakeStep client_shake(TlsClient *c, Handshake *h, size_t n) {
        HandshakeStep step = HANDSHAKE_WANTS_INPUT;

        while (step == HANDSHAKE_WANTS_INPUT) {
                (void) SSL_do_handshake(c->ssl);
                if (client_feed(c, h, n) != 0)
                        return HANDSHAKE_FAILED;
                step = handshake_step(h);
                client_hear(c, h);
        }

        (void) SSL_do_handshake(c->ssl);
        return step;
}
