/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/tls/policy.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "workers/tls/sni.h"

/*
 * Ciphers of TLS 1.2: the intermediate configuration of Mozilla (wiki.mozilla.org/Security/Server_Side_TLS, version
 * 5.7) without those with DHE. All are AEAD and have forward secrecy, as all of TLS 1.3.
 */
static const char policy_ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                     "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                     "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/* The first list has a group that OpenSSL knows from 3.5 on. Not const, because OpenSSL's macro takes no such string. */
static char policy_groups[][40] = { "X25519MLKEM768:X25519:P-256:P-384", "X25519:P-256:P-384" };

/* The client learns of a session once. One ticket is enough, because a second one only costs 20 µs and 255 bytes. */
#define POLICY_TICKETS 1

int policy_parse_alpn(PolicyOptions *ret, const char *list) {
        size_t n = 0;

        for (const char *p = list;; p++) {
                size_t k = strcspn(p, ",");

                if (k == 0 || k > UINT8_MAX || n + 1 + k > sizeof(ret->alpn))
                        return -EINVAL;

                ret->alpn[n] = (uint8_t) k;
                memcpy(ret->alpn + n + 1, p, k);
                n += 1 + k;
                p += k;
                if (!*p)
                        break;
        }

        ret->n_alpn = n;
        return 0;
}

/* A client whose list has none of ours gets the alert no_application_protocol (RFC 7301 3.2). */
static int policy_on_alpn(SSL *ssl, const uint8_t **ret, uint8_t *ret_n, const uint8_t *offered, unsigned n_offered,
                          void *userdata) {
        const PolicyOptions *options = userdata;
        uint8_t *chosen;
        int r;

        r = SSL_select_next_proto(&chosen, ret_n, options->alpn, (unsigned) options->n_alpn, offered, n_offered);
        *ret = chosen;
        return r == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int policy_on_certificate(SSL *ssl, void *userdata) {
        ProbeName host;
        bool has_host;

        has_host = sni_set(&host, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
        return certificate_set_use(userdata, ssl, has_host ? host.text : NULL);
}

static bool policy_set_groups(SSL_CTX *ctx) {
        for (size_t i = 0; i < ELEMENTSOF(policy_groups); i++)
                if (SSL_CTX_set1_groups_list(ctx, policy_groups[i]) == 1)
                        return true;

        return false;
}

/* Adds all bytes of a file. */
static bool policy_digest_file(EVP_MD_CTX *digest, const char *path) {
        BIO *in = BIO_new_file(path, "r");
        char bytes[4096];
        bool is_done = in;
        int n;

        while (is_done && (n = BIO_read(in, bytes, sizeof(bytes))) > 0)
                is_done = EVP_DigestUpdate(digest, bytes, (size_t) n) == 1;

        BIO_free(in);
        return is_done;
}

/* Computes a digest of all that an instance demands of its clients. */
static bool policy_digest(const PolicyOptions *options, uint8_t ret[static TICKET_POLICY_SIZE]) {
        const int32_t numbers[] = { options->version_min, options->client_ca ? (int32_t) options->client_certificate : -1 };
        EVP_MD_CTX *digest = EVP_MD_CTX_new();
        bool is_done;

        is_done = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
                  EVP_DigestUpdate(digest, numbers, sizeof(numbers)) == 1 &&
                  EVP_DigestUpdate(digest, options->alpn, options->n_alpn) == 1 &&
                  (!options->client_ca || policy_digest_file(digest, options->client_ca)) &&
                  EVP_DigestFinal_ex(digest, ret, NULL) == 1;

        EVP_MD_CTX_free(digest);
        return is_done;
}

/*
 * A session of another policy must not be resumed here, because the client would not be asked for its certificate. So the
 * policy is a part of the keys of tickets, and of the context, which OpenSSL compares (SSL_CTX_set_session_id_context(3)).
 */
static bool policy_set_sessions(SSL_CTX *ctx, TicketKeys *tickets) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        return ticket_use(tickets, ctx) && SSL_CTX_set_num_tickets(ctx, POLICY_TICKETS) == 1 &&
               SSL_CTX_set_session_id_context(ctx, tickets->policy, sizeof(tickets->policy)) == 1;
}

static bool policy_set_client_ca(SSL_CTX *ctx, const PolicyOptions *options) {
        STACK_OF(X509_NAME) *names;

        if (SSL_CTX_load_verify_file(ctx, options->client_ca) != 1)
                return false;

        names = SSL_load_client_CA_file(options->client_ca);
        if (!names)
                return false;

        SSL_CTX_set_client_CA_list(ctx, names);
        SSL_CTX_set_verify(ctx, options->client_certificate == CLIENT_CERTIFICATE_REQUIRE
                                ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER, NULL);
        return true;
}

static void policy_set_callbacks(SSL_CTX *ctx, const PolicyOptions *options, const CertificateSet *set) {
        union { const void *in; void *out; } alpn = { options }, certificates = { set }; /* both are only read */

        SSL_CTX_set_alpn_select_cb(ctx, policy_on_alpn, alpn.out);
        SSL_CTX_set_cert_cb(ctx, policy_on_certificate, certificates.out);
        sni_check(ctx);
}

static const char *policy_set(SSL_CTX *ctx, const PolicyOptions *options, const CertificateSet *set, TicketKeys *tickets) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
        SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
        policy_set_callbacks(ctx, options, set);

        if (SSL_CTX_set_min_proto_version(ctx, options->version_min) != 1 ||
            SSL_CTX_set_cipher_list(ctx, policy_ciphers) != 1 || !policy_set_groups(ctx) ||
            !policy_set_sessions(ctx, tickets))
                return "OpenSSL of this system has not the versions, ciphers and groups that are needed";
        if (options->client_ca && !policy_set_client_ca(ctx, options))
                return "the file of --client-ca= has no certificates, or can't be read";

        return NULL;
}

SSL_CTX *policy_new(const PolicyOptions *options, const CertificateSet *set, TicketKeys *tickets, const char **ret_why) {
        SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

        if (!ctx)
                *ret_why = "there is not enough memory";
        else if (!policy_digest(options, tickets->policy))
                *ret_why = "the file of --client-ca= can't be read";
        else
                *ret_why = policy_set(ctx, options, set, tickets);
        ERR_clear_error();
        if (*ret_why) {
                SSL_CTX_free(ctx);
                return NULL;
        }

        return ctx;
}
