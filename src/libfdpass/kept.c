/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "libfdpass/kept.h"

#include "basic/fd.h"
#include "handoff/handoff.h"

Kept *kept_new(int fd, uid_t sender, uint16_t n_credits) {
        Kept *k = malloc(sizeof(*k));

        if (!k)
                return NULL;

        *k = (Kept){ .n_ref = 1, .n_credits = n_credits, .fd = fd, .sender = sender };
        if (pthread_mutex_init(&k->lock, NULL) != 0) {
                free(k);
                return NULL;
        }

        return k;
}

Kept *kept_ref(Kept *k) {
        (void) pthread_mutex_lock(&k->lock);
        k->n_ref++;
        (void) pthread_mutex_unlock(&k->lock);
        return k;
}

Kept *kept_unref(Kept *k) {
        bool is_last;

        if (!k)
                return NULL;

        (void) pthread_mutex_lock(&k->lock);
        is_last = --k->n_ref == 0;
        (void) pthread_mutex_unlock(&k->lock);

        if (is_last) {
                (void) pthread_mutex_destroy(&k->lock);
                fd_close(k->fd);
                free(k);
        }

        return NULL;
}

/* Under the lock: an answer that is overtaken by a later one would take its credit back. */
static void send_answer(Kept *k, uint8_t answer, uint16_t first, uint16_t n) {
        uint16_t limit;

        k->n_answered = (uint16_t) (k->n_answered + n);
        limit = k->is_ending ? k->n_received : (uint16_t) (k->n_answered + k->n_credits);
        (void) handoff_answer_kept(k->fd, answer, first, n, limit);
}

void kept_answer(Kept *k, uint8_t answer, uint16_t first, uint16_t n) {
        (void) pthread_mutex_lock(&k->lock);
        send_answer(k, answer, first, n);
        (void) pthread_mutex_unlock(&k->lock);
}

Kept *kept_end(Kept *k) {
        (void) pthread_mutex_lock(&k->lock);
        k->is_ending = true;
        if (k->n_ref > 1)
                send_answer(k, FDPASS_ANSWER_TAKEN, k->n_received, 0);
        (void) pthread_mutex_unlock(&k->lock);

        return kept_unref(k);
}
