/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A connection that is kept for further clients. The receiver and each object whose answer is still to be given have
 * a reference; answers may come from several threads.
 */

#include <pthread.h>

#include "basic/macro.h"

typedef struct Kept {
        pthread_mutex_t lock; /* of what follows */
        unsigned n_ref;
        uint16_t n_answered;  /* clients that have one; numbers wrap */
        uint16_t n_credits;   /* so many more may be sent meanwhile, */
        bool is_ending;       /* or none but those that were received */

        int fd;
        uid_t sender;
        uint16_t n_received;  /* the number of the next client. The receiver's alone, while there is one */
} Kept;

/* @fd is consumed on success. NULL where there is no memory. */
Kept *kept_new(int fd, uid_t sender, uint16_t n_credits);

Kept *kept_ref(Kept *k);
Kept *kept_unref(Kept *k);

/* The receiver's end: no more clients are wanted, and its reference goes. The last answer closes the connection. */
Kept *kept_end(Kept *k);

/* Answers for @n clients, with credit for so many new ones. That the sender has gone is seen by who receives. */
void kept_answer(Kept *k, uint8_t answer, uint16_t first, uint16_t n);
