/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The facts about a client that its handshake tells, for the message that hands it back. */

#include <openssl/ssl.h>

#include "handoff/message.h"
#include "libfdpass/fdpass.h"
#include "probe/name.h"

typedef struct Learned {
        ProbeName host; /* the name that the client asked for (SNI); n is 0: none */
        size_t n_ssl;
        uint8_t ssl[FDPASS_SSL_MAX]; /* value of the SSL TLV (PROXY protocol 2.2.6) */
} Learned;

/*
 * Reads the facts of @ssl, whose handshake is done. Returns false if the client asked the broker for another name than
 * OpenSSL, which sni_expect() has refused before. @told: the name that the broker read, or NULL.
 */
bool learned_read(Learned *ret, const SSL *ssl, const char *told);

/*
 * Makes the message: @info as it came, and the facts of @learned. Borrows from all three. HOPS is passed on, because
 * the client is a new one and not to be parked.
 */
Message learned_message(const Learned *learned, const SSL *ssl, const struct fdpass *info);
