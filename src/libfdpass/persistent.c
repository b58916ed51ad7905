/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "libfdpass/persistent.h"

#include "basic/fd.h"
#include "handoff/handoff.h"

PersistentConn *persistent_new(int fd, uid_t sender, uint16_t n_credits) {
        PersistentConn *c = malloc(sizeof(*c));

        if (!c)
                return NULL;

        *c = (PersistentConn){ .n_ref = 1, .n_credits = n_credits, .fd = fd, .sender = sender };
        if (pthread_mutex_init(&c->lock, NULL) != 0) {
                free(c);
                return NULL;
        }

        return c;
}

PersistentConn *persistent_ref(PersistentConn *c) {
        (void) pthread_mutex_lock(&c->lock);
        c->n_ref++;
        (void) pthread_mutex_unlock(&c->lock);
        return c;
}

PersistentConn *persistent_unref(PersistentConn *c) {
        bool is_last;

        if (!c)
                return NULL;

        (void) pthread_mutex_lock(&c->lock);
        is_last = --c->n_ref == 0;
        (void) pthread_mutex_unlock(&c->lock);

        if (is_last) {
                (void) pthread_mutex_destroy(&c->lock);
                fd_close(c->fd);
                free(c);
        }

        return NULL;
}

/*
 * The caller holds the lock: answers must leave in the order of their limits, because an older limit would revoke
 * credit.
 */
static void persistent_send_answer(PersistentConn *c, uint8_t answer, uint16_t first, uint16_t n) {
        uint16_t limit;

        c->n_answered = (uint16_t) (c->n_answered + n);
        limit = c->is_ending ? c->n_received : (uint16_t) (c->n_answered + c->n_credits);
        (void) handoff_answer_persistent(c->fd, answer, first, n, limit);
}

void persistent_answer(PersistentConn *c, uint8_t answer, uint16_t first, uint16_t n) {
        (void) pthread_mutex_lock(&c->lock);
        persistent_send_answer(c, answer, first, n);
        (void) pthread_mutex_unlock(&c->lock);
}

PersistentConn *persistent_end(PersistentConn *c) {
        (void) pthread_mutex_lock(&c->lock);
        c->is_ending = true;
        if (c->n_ref > 1) /* answers are still due, so the connection stays open: only the limit is new */
                persistent_send_answer(c, FDPASS_ANSWER_TAKEN, c->n_received, 0);
        (void) pthread_mutex_unlock(&c->lock);

        return persistent_unref(c);
}
