/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The worker's end of a persistent connection: a connection to a worker that carries many handoffs
 * (fdpass-protocol(7)). The receiver has one reference, and so has each object whose answer is still due. Several
 * threads may answer at once.
 */

#include <pthread.h>

#include "basic/macro.h"

typedef struct PersistentConn {
        pthread_mutex_t lock; /* protects @n_ref, @n_answered and @is_ending */
        unsigned n_ref;
        uint16_t n_answered;  /* clients that have an answer; wraps at 65536 */
        uint16_t n_credits;   /* clients that may be on their way beyond @n_answered */
        bool is_ending;       /* the receiver wants no more clients, so the limit stays at @n_received */

        int fd;               /* owned */
        uid_t sender;         /* as from sender_check() */
        uint16_t n_received;  /* number of the next client; wraps at 65536. Only the receiver changes it */
} PersistentConn;

/* Makes a connection of @fd, with one reference. Consumes @fd on success. Returns NULL if there is no memory. */
PersistentConn *persistent_new(int fd, uid_t sender, uint16_t n_credits);

/* Adds a reference. Returns @c. */
PersistentConn *persistent_ref(PersistentConn *c);

/* Drops a reference; the last one closes the descriptor. NULL is allowed. Returns NULL. */
PersistentConn *persistent_unref(PersistentConn *c);

/* Tells the sender that no more clients are wanted, and drops the receiver's reference. Returns NULL. */
PersistentConn *persistent_end(PersistentConn *c);

/*
 * Sends @answer (FDPASS_ANSWER_…) about the @n clients from number @first on, which gives credit for @n new ones.
 * Errors are ignored, because the receiver notices a sender that has gone.
 */
void persistent_answer(PersistentConn *c, uint8_t answer, uint16_t first, uint16_t n);
