/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Seals: a worker may hand back only clients that it was given, with the facts that it was given.
 *
 * Its seal goes with each client that has a scope. The broker keeps nothing of such a client. The seal covers the
 * kernel's number of the client's socket (SO_COOKIE), its addresses, its listener, and the facts of a TLS stage and of a
 * PROXY header.
 *
 * The key outlives the process (fdpassd/seal-store.h), because clients that have workers do. It does not change: the
 * kernel uses no number of a socket twice, so a seal is good for one connection, and 2^64 seals are too many to guess.
 */

#include "basic/siphash.h"
#include "handoff/message.h"

typedef struct Seal {
        uint8_t bytes[FDPASS_SEAL_SIZE];
} Seal;

typedef struct SealKey {
        uint8_t bytes[SIPHASH_KEY_SIZE];
} SealKey;

/* Makes a random key. Returns 0 or a negative errno. */
int seal_key_init(SealKey *key);

/* Returns the kernel's number of a socket, which is the same for all its descriptors. 0: @fd is no socket. */
uint64_t seal_cookie(int fd);

/* Makes the seal of the socket with this number and of the facts of @m. Returns false if @cookie is 0. */
bool seal_make(const SealKey *key, uint64_t cookie, const Message *m, Seal *ret);

/* True if @m has the seal of the socket and of its own facts. */
bool seal_is_valid(const SealKey *key, uint64_t cookie, const Message *m);
