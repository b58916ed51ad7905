/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/tls/handshake.h"

#include <openssl/err.h>

#include "basic/macro.h"

int handshake_begin(Handshake *h, SSL_CTX *ctx) {
        BIO *in, *out;

        *h = (Handshake){ .ssl = SSL_new(ctx) };
        in = BIO_new(BIO_s_mem());
        out = BIO_new(BIO_s_mem());
        if (!h->ssl || !in || !out) {
                BIO_free(in);
                BIO_free(out);
                handshake_done(h);
                return -ENOMEM;
        }

        BIO_set_mem_eof_return(in, -1); /* an empty buffer is no end: more bytes will come */
        SSL_set_bio(h->ssl, in, out);
        SSL_set_accept_state(h->ssl);
        return 0;
}

HandshakeStep handshake_step(Handshake *h) {
        int r;

        ERR_clear_error();
        r = SSL_do_handshake(h->ssl);
        if (r == 1)
                return HANDSHAKE_DONE;

        return SSL_get_error(h->ssl, r) == SSL_ERROR_WANT_READ ? HANDSHAKE_WANTS_INPUT : HANDSHAKE_FAILED;
}

const char *handshake_error(void) {
        return ERR_reason_error_string(ERR_peek_error()) ?: "unknown error";
}

size_t handshake_wanted(const Handshake *h) {
        return record_wanted(&h->place);
}

int handshake_input(Handshake *h, const uint8_t *p, size_t n) {
        if (record_advance(&h->place, p, n) != 0)
                return HANDSHAKE_INVALID;

        h->n_received += n;
        if (h->n_received > HANDSHAKE_BYTES_MAX)
                return HANDSHAKE_TOO_LONG;

        return BIO_write(SSL_get_rbio(h->ssl), p, (int) n) == (int) n ? 0 : -ENOMEM;
}

size_t handshake_output(const Handshake *h, const uint8_t **ret) {
        char *p = NULL;
        long n = BIO_get_mem_data(SSL_get_wbio(h->ssl), &p);

        *ret = (const uint8_t *) p;
        return n > 0 ? (size_t) n : 0;
}

void handshake_sent(Handshake *h, size_t n) {
        BIO *out = SSL_get_wbio(h->ssl);
        char dropped[4096];
        int k;

        while (n > 0 && (k = BIO_read(out, dropped, (int) MIN(n, sizeof(dropped)))) > 0)
                n -= (size_t) k;
}

SSL *handshake_take(Handshake *h) {
        return TAKE_PTR(h->ssl);
}

void handshake_done(Handshake *h) {
        SSL_free(TAKE_PTR(h->ssl));
}
