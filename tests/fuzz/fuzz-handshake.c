/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A client of fdpass-tls that sends anything. The ends of its records do not depend on how its bytes are split, and the
 * reader never asks for more than the rest of a record.
 */

#include <openssl/err.h>
#include <stdlib.h>

#include "workers/tls/handshake.h"
#include "workers/tls/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_assert(bool is_true) {
        if (!is_true)
                abort();
}

/* A server with one certificate, which is signed by itself. */
static SSL_CTX *fuzz_server(void) {
        static const PolicyOptions options = POLICY_OPTIONS_NULL;
        static Certificate certificate;
        static CertificateSet set;
        static TicketKeys tickets;
        static SSL_CTX *ctx;
        const char *why;

        if (ctx)
                return ctx;

        certificate.leaf = X509_new();
        certificate.key = EVP_EC_gen("P-256");
        certificate.chain = sk_X509_new_null();
        (void) X509_gmtime_adj(X509_getm_notBefore(certificate.leaf), 0);
        (void) X509_gmtime_adj(X509_getm_notAfter(certificate.leaf), 3600);
        fuzz_assert(X509_set_pubkey(certificate.leaf, certificate.key) == 1);
        fuzz_assert(X509_sign(certificate.leaf, certificate.key, EVP_sha256()) > 0);
        set.preset = &certificate;
        fuzz_assert(ticket_seed(&tickets, NULL) == 0);

        ctx = policy_new(&options, &set, &tickets, &why);
        fuzz_assert(ctx);
        return ctx;
}

/* Returns the number of bytes up to the end of the last whole record, or SIZE_MAX if there is an invalid one. */
static size_t fuzz_records(const uint8_t *p, size_t n, size_t step) {
        RecordPlace place = {};
        size_t end = 0;

        for (size_t i = 0, k; i < n; i += k) {
                size_t wanted = record_wanted(&place);

                fuzz_assert(wanted > 0 && wanted <= UINT16_MAX);
                k = MIN(MIN(step, wanted), n - i);
                if (record_advance(&place, p + i, k) != 0)
                        return SIZE_MAX;
                if (place.n_header == 0)
                        end = i + k;
        }

        return end;
}

static void fuzz_handshake(const uint8_t *p, size_t n, size_t step) {
        HandshakeStep r = HANDSHAKE_WANTS_INPUT;
        const uint8_t *out;
        Handshake h;

        fuzz_assert(handshake_begin(&h, fuzz_server()) == 0);
        for (size_t i = 0, k; i < n && r == HANDSHAKE_WANTS_INPUT; i += k) {
                k = MIN(MIN(step, handshake_wanted(&h)), n - i);
                if (handshake_input(&h, p + i, k) != 0)
                        break;
                r = handshake_step(&h);
                handshake_sent(&h, handshake_output(&h, &out));
        }

        fuzz_assert(r != HANDSHAKE_DONE); /* it would have to sign or to encrypt something */
        fuzz_assert(h.n_received <= HANDSHAKE_BYTES_MAX + UINT16_MAX);
        handshake_done(&h);
        ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        size_t end = fuzz_records(data, size, SIZE_MAX);

        for (size_t step = 1; step < 8; step++)
                fuzz_assert(fuzz_records(data, size, step) == end);

        fuzz_handshake(data, size, SIZE_MAX);
        fuzz_handshake(data, size, 1 + size % 61);
        return 0;
}
