/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The server's side of one handshake, on buffers in memory: it does no I/O. The caller reads what handshake_wanted()
 * allows, and sends what handshake_output() has.
 */

#include <openssl/ssl.h>

#include "workers/tls/record.h"

/* Largest number of bytes of a client before its Finished. Chains of client certificates fit. */
#define HANDSHAKE_BYTES_MAX 65536

typedef struct Handshake {
        SSL *ssl;          /* owned; NULL: handshake_take() was called */
        RecordPlace place;
        size_t n_received; /* bytes */
} Handshake;

/* Begins. @ctx is of policy_new(). Returns 0 or -ENOMEM. */
int handshake_begin(Handshake *h, SSL_CTX *ctx);

/* Results of handshake_step(). The caller sends handshake_output() after each of them. */
typedef enum HandshakeStep {
        HANDSHAKE_WANTS_INPUT,
        HANDSHAKE_DONE,   /* the output may have session tickets */
        HANDSHAKE_FAILED, /* the output may have an alert */
} HandshakeStep;
HandshakeStep handshake_step(Handshake *h);

/* Returns why the handshake failed, for the log. The string is static. */
const char *handshake_error(void);

/* Returns how many bytes of the client may be read now. */
size_t handshake_wanted(const Handshake *h);

/* Conditions of handshake_input(). */
enum {
        HANDSHAKE_INVALID = 1, /* the bytes are no record of TLS */
        HANDSHAKE_TOO_LONG,    /* HANDSHAKE_BYTES_MAX is exceeded */
};

/* Takes @n bytes of the client, at most handshake_wanted(). Returns 0, a condition, or -ENOMEM. */
int handshake_input(Handshake *h, const uint8_t *p, size_t n);

/* Returns the number of bytes to be sent. *ret points to the first, until the next call. */
size_t handshake_output(const Handshake *h, const uint8_t **ret);

/* Removes the first @n bytes of the output, because they were sent. */
void handshake_sent(Handshake *h, size_t n);

/* Returns the session, which the caller owns, after HANDSHAKE_DONE. */
SSL *handshake_take(Handshake *h);

/* Frees the session. Does nothing after handshake_take(). */
void handshake_done(Handshake *h);
