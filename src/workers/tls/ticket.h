/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The keys of session tickets (RFC 8446 4.6.1, RFC 5077). A ticket has all that the server needs to know of a session, so
 * nothing is stored. The key of each hour follows from a seed. It does not follow from the private keys of certificates,
 * because sessions of TLS 1.2 that were recorded could be read with a key that is stolen later.
 */

#include <openssl/ssl.h>

#include "basic/macro.h"

/* Size of a seed in bytes. */
#define TICKET_SEED_SIZE 48

/* Size of what tells policies apart, in bytes (SHA-256). */
#define TICKET_POLICY_SIZE 32

/* Hours for which a key is accepted after its own. A session is resumed for so long. */
#define TICKET_HOURS 12

typedef struct TicketKey {
        uint8_t name[16];   /* is in the ticket */
        uint8_t cipher[32]; /* AES-256-CBC */
        uint8_t mac[32];    /* HMAC with SHA-256 */
} TicketKey;

typedef struct TicketKeys {
        uint8_t seed[TICKET_SEED_SIZE];
        uint8_t policy[TICKET_POLICY_SIZE]; /* a part of each key: a ticket of another policy is unknown */
        uint64_t hour;                      /* of keys[0]; keys[i] are i hours older. 0: there are no keys yet */
        TicketKey keys[1 + TICKET_HOURS];
} TicketKeys;

/*
 * Reads the seed in the file @path, or makes the file. With @path NULL it makes a seed for this process only. Returns 0
 * or a negative errno. Then @keys has a seed for this process, unless the error is -ENOTRECOVERABLE: OpenSSL has no random
 * bytes.
 */
int ticket_seed(TicketKeys *keys, const char *path);

/* Makes the keys for @hour, of any clock that does not go back. Returns false if OpenSSL can't. */
bool ticket_set_hour(TicketKeys *keys, uint64_t hour);

/* Uses the keys for the tickets of @ctx. Borrows @keys, which has to outlive @ctx. Returns false if OpenSSL can't. */
bool ticket_use(TicketKeys *keys, SSL_CTX *ctx);

/* Overwrites the keys. */
void ticket_done(TicketKeys *keys);
