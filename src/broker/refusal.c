/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/refusal.h"

#include <sys/epoll.h>

#include "basic/error.h"
#include "broker/answer.h"
#include "broker/diag.h"
#include "broker/judge.h"
#include "broker/listener.h"
#include "broker/observe.h"
#include "broker/pool.h"
#include "broker/watch.h"
#include "handoff/handoff.h"

/*
 * What a refused client may take from us before it is closed: time to say what it is, where it has not yet, and to
 * read the answer.
 */
#define LINGER_USEC (1 * USEC_PER_SEC)
#define DRAIN_MAX (256 * 1024)

const char *refusal_to_string(Refusal why) {
        static const char *const names[_REFUSAL_MAX] = {
                [REFUSAL_NO_ROUTE] = "no-route",
                [REFUSAL_NO_HOST] = "no-such-host",
                [REFUSAL_MALFORMED] = "malformed",
                [REFUSAL_HEAD_TIMEOUT] = "head-timeout",
                [REFUSAL_EVICTED] = "evicted",
                [REFUSAL_SOURCE_FULL] = "source-full",
                [REFUSAL_QUEUE_FULL] = "queue-full",
                [REFUSAL_TIMEOUT] = "timeout",
                [REFUSAL_WORKER_GONE] = "worker-gone",
                [REFUSAL_BROKER] = "no-resources",
                [REFUSAL_WORKER] = "worker-error",
                [REFUSAL_FLUSHER] = "flusher",
                [REFUSAL_SLOW] = "too-slow",
                [REFUSAL_STOPPING] = "stopping",
        };

        return names[why];
}

/* Reads and throws away what is there. False where the client is done: its FIN, a reset, or too much. */
static bool drain(Broker *b, Client *c) {
        for (;;) {
                ssize_t n = handoff_recv(c->fd, broker_scratch(b), b->scratch_size, MSG_DONTWAIT);

                if (n < 0)
                        return errno_is_transient(-errno);
                if (n == 0)
                        return false;

                c->n_drained += (size_t) n;
                if (c->n_drained > DRAIN_MAX)
                        return false;
        }
}

static void timer_arm(Broker *b) {
        List *l = list_first(&b->refused);

        if (l)
                timer_set(&b->refused_timer, CONTAINER_OF(l, Client, link)->deadline);
}

void refusal_drop(Broker *b, Client *c) {
        if (!c->is_shared)
                (void) drain(b, c);
        broker_drop(b, c);
}

/* Keeps the client until it has read the answer. Those who linger must not take the room of those who come. */
static void linger(Broker *b, Client *c) {
        if (b->n_refused_held >= b->max_clients / 4 || watch_client(&b->watch, c) < 0) {
                refusal_drop(b, c);
                return;
        }

        pool_release(c);
        c->state = CLIENT_REFUSED;
        c->deadline = broker_now(b) + LINGER_USEC;
        list_append(&b->refused, &c->link);
        b->n_refused_held++;
        timer_arm(b);
}

void refusal_count(Broker *b, const Client *c, Refusal why, ProbeReason reason) {
        b->n.n_refused[why]++;
        c->listener->n_refused[why]++;
        if (c->pool)
                c->pool->routes[0].stats->n_refused[why]++;
        observe(b, EVENT_REFUSED, c, c->pool ? &c->pool->routes[0] : NULL);
        if (b->log_handoffs >= LOG_HANDOFFS_FAILURES)
                diag_refused(b, c, why, reason);
}

/*
 * What ends a response whose body is ended by the end of the connection must not look like that end: a reset says that
 * something went wrong, and nobody takes what there is for the whole (RFC 9112 8).
 */
static void cut_off(Broker *b, Client *c) {
        const struct linger at_once = { .l_onoff = 1 };

        b->n.n_flush_lost++;
        (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        broker_drop(b, c);
}

/* The room of an evicted client is needed now, and a stopping broker has no time. */
static bool may_linger(Refusal why) {
        return why != REFUSAL_EVICTED && why != REFUSAL_STOPPING;
}

/* The same steps as below for a client that a worker has as well. */
static void refusal_ask(Broker *b, Client *c, SocketTask *t) {
        if (c->status == 0)
                t->steps = SOCKET_STEP_PEEK | SOCKET_STEP_ANSWER | SOCKET_STEP_DRAIN | SOCKET_STEP_SEND | SOCKET_STEP_SHUTDOWN;
        else if (c->answered)
                t->steps = SOCKET_STEP_DRAIN | SOCKET_STEP_SHUTDOWN;
        else
                t->steps = SOCKET_STEP_RESET;
        t->how = SHUT_WR;
        t->head_max = c->listener->config->max_head_size;
        refusal_describe(c, t);
}

static void refusal_go_on(Broker *b, Client *c, const SocketTask *t) {
        if (!t || t->failed != 0 || (t->n_text == 0 && !c->answered) || !may_linger(c->refusal)) {
                broker_drop(b, c);
                return;
        }

        c->answered = true;
        linger(b, c);
}

static const JudgeKind refusal_kind = { refusal_ask, refusal_go_on };

void refusal_close(Broker *b, Client *c, Refusal why) {
        c->refusal = why;
        refusal_count(b, c, why, PROBE_REASON_NONE);
        if (c->status == 0)
                refusal_drop(b, c);
        else if (c->is_shared) {
                b->n.n_flush_lost++;
                judge_begin(b, c, &refusal_kind);
        } else
                cut_off(b, c);
}

void refusal_describe(const Client *c, SocketTask *t) {
        t->refusal = c->refusal;
        t->refusal_reason = c->refusal_reason;
        t->refusal_status = c->refusal_status;
        if (c->baggage) {
                t->n_prefix = MIN(c->baggage->consumed.n, sizeof(t->head));
                memcpy(t->head, c->baggage->consumed.p, t->n_prefix);
        }
}

/* False where the client has to say more before it is clear what it understands. */
static bool compose(Broker *b, Client *c, Answer *ret) {
        /* Its bytes are still unread, whichever stage refuses it. */
        ssize_t n = client_peek(c, broker_scratch(b), b->scratch_size);

        return answer_to_head((Slice){ b->scratch, (size_t) MAX(n, (ssize_t) 0) }, b->scratch_size, c->refusal, c->refusal_reason,
                              c->refusal_status, ret) ||
               n == 0 || (n < 0 && !errno_is_transient((int) n));
}

/* Answers the client and sees it off. */
static void say(Broker *b, Client *c, const Answer *answer) {
        c->answered = true;
        (void) drain(b, c);

        /* An empty send buffer has room for it; where it does not go out at once, it does not go out. */
        (void) !send(c->fd, answer->bytes, answer->n, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void) shutdown(c->fd, SHUT_WR);
}

void refusal_see_off(Broker *b, Client *c) {
        c->answered = true;
        if (c->is_shared) {
                judge_begin(b, c, &refusal_kind);
                return;
        }

        (void) drain(b, c);
        (void) shutdown(c->fd, SHUT_WR);
        linger(b, c);
}

/* Was it refused so early that what it speaks may yet become clear? */
static bool had_no_time(Refusal why) {
        return may_linger(why) && why != REFUSAL_HEAD_TIMEOUT && why != REFUSAL_TIMEOUT;
}

void refusal_send(Broker *b, Client *c, Refusal why, ProbeReason reason) {
        bool is_clear;
        Answer answer;

        if (c->status != 0) {
                refusal_close(b, c, why);
                return;
        }

        c->refusal = why;
        c->refusal_reason = reason;
        refusal_count(b, c, why, reason);
        if (c->is_shared) {
                judge_begin(b, c, &refusal_kind);
                return;
        }

        is_clear = compose(b, c, &answer);
        if (answer.n > 0)
                say(b, c, &answer);

        if (answer.n > 0 ? may_linger(why) : !is_clear && had_no_time(why))
                linger(b, c);
        else
                refusal_drop(b, c);
}

static void finish(Broker *b, Client *c) {
        b->n_refused_held--;
        refusal_drop(b, c);
}

bool refusal_finish_oldest(Broker *b) {
        List *l = list_first(&b->refused);

        if (!l)
                return false;

        finish(b, CONTAINER_OF(l, Client, link));
        return true;
}

void refusal_on_event(Broker *b, Client *c, uint32_t events) {
        Answer answer;

        if (events & EPOLLHUP || (c->is_shared && events & EPOLLRDHUP)) {
                finish(b, c);
                return;
        }
        if (c->is_shared)
                return; /* what it says now goes with the socket */

        if (!c->answered) {
                bool is_clear = compose(b, c, &answer);

                if (answer.n > 0)
                        say(b, c, &answer);
                else if (!is_clear && !(events & EPOLLRDHUP))
                        return;
        }

        if (!drain(b, c) || !c->answered)
                finish(b, c);
}

static void on_timer(void *userdata) {
        Broker *b = userdata;
        usec_t now = broker_now(b);
        List *l;

        while ((l = list_first(&b->refused)) && CONTAINER_OF(l, Client, link)->deadline <= now)
                finish(b, CONTAINER_OF(l, Client, link));

        timer_arm(b);
}

int refusal_timer_add(Broker *b) {
        return timer_init(&b->refused_timer, b, on_timer, b);
}
