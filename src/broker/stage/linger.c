/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/linger.h"

#include <sys/socket.h>

#include "basic/error.h"
#include "broker/stage/answer.h"
#include "broker/state/client-context.h"
#include "broker/state/watch.h"

#define LINGER_USEC (1 * USEC_PER_SEC)
#define DISCARD_MAX (256 * 1024)

static Client *linger_client_of(Wait *w) {
        return w ? CONTAINER_OF(w, Client, wait) : NULL;
}

int linger_init(Linger *l, Loop *loop, TimerHandler on_timer, void *userdata) {
        l->loop = loop;
        waiting_init(&l->clients, &l->timer);
        return timer_init(&l->timer, loop, on_timer, userdata);
}

void linger_done(Linger *l) {
        timer_done(&l->timer);
}

bool linger_enter(Linger *l, Client *c, size_t max) {
        if (l->n >= max || watch_client(l->loop, c) < 0)
                return false;

        c->state = CLIENT_REFUSED;
        waiting_add(&l->clients, &c->wait, loop_now(l->loop) + LINGER_USEC);
        l->n++;
        return true;
}

void linger_leave(Linger *l, Client *c) {
        waiting_remove(&c->wait);
        c->state = CLIENT_NEW;
        l->n--;
}

Client *linger_oldest(const Linger *l) {
        return linger_client_of(waiting_first(&l->clients));
}

Client *linger_next_due(Linger *l) {
        return linger_client_of(waiting_next_due(&l->clients, loop_now(l->loop)));
}

bool linger_discard(HeadBuffer *hb, Client *c) {
        for (;;) {
                ssize_t n = handoff_recv(c->fd, head_buffer_take(hb), hb->size, MSG_DONTWAIT);

                if (n < 0)
                        return errno_is_transient(-errno);
                if (n == 0)
                        return false;

                c->refused.n_discarded += (size_t) n;
                if (c->refused.n_discarded > DISCARD_MAX)
                        return false;
        }
}

/* Peeks at the client's first bytes, which are still in the socket in each stage that refuses a client. */
static LingerAnswer linger_compose(HeadBuffer *hb, const Client *c, Answer *ret) {
        ssize_t n = client_peek(c, head_buffer_take(hb), hb->size);
        bool is_clear = answer_to_head((Slice){ hb->bytes, (size_t) MAX(n, (ssize_t) 0) }, hb->size, c->refused.why,
                                       c->refused.reason, c->refused.status, ret);

        if (ret->n > 0)
                return LINGER_ANSWERED;
        if (is_clear || n == 0 || (n < 0 && !errno_is_transient((int) n)))
                return LINGER_NOTHING;

        return LINGER_UNCLEAR;
}

LingerAnswer linger_answer(HeadBuffer *hb, Client *c) {
        Answer answer;
        LingerAnswer r = linger_compose(hb, c, &answer);

        if (r != LINGER_ANSWERED)
                return r;

        c->refused.answer_sent = true;
        (void) linger_discard(hb, c);

        /* The answer fits if the send buffer is empty. An answer that does not fit is not sent again. */
        (void) !send(c->fd, answer.bytes, answer.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void) shutdown(c->fd, SHUT_WR);
        return LINGER_ANSWERED;
}
