/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The name that a client asks for. It decides about the certificate here, and before that about the instance in the broker. */

#include <openssl/ssl.h>

#include "probe/name.h"

/* Sets *ret to the name of a host, as the broker's probe reads it: an address is none (RFC 6066 3). @sni may be NULL. */
bool sni_set(ProbeName *ret, const char *sni);

/*
 * A client of @ctx that asks for another name than sni_expect() says gets the alert unrecognized_name. A second ClientHello
 * (RFC 8446 4.1.4) may have another name than the first one, which the broker read. Sessions of other names are not resumed
 * (RFC 6066 3): their clients do a whole handshake.
 */
void sni_check(SSL_CTX *ctx);

/* @name: what the broker read, which has to outlive the handshake, or NULL if there was none. Returns 0 or -ENOMEM. */
int sni_expect(SSL *ssl, const char *name);
