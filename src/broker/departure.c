/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/departure.h"

#include <sys/socket.h>

#include "broker/admission.h"
#include "broker/live.h"
#include "broker/state/client-context.h"
#include "broker/state/watch.h"

void departure_drop(Broker *b, Client *c) {
        /* Lists first, because their heads may be freed with the generation of routes. */
        list_remove(&c->wait.link);
        list_remove(&c->second.link);
        pool_release_client(c);
        inspect_forget(&b->inspect, c);
        unwatch_client(&b->loop, c);
        if (b->live)
                live_unsend(b, c);
        source_put(&b->sources, c);
        client_free(&b->clients, c);
        if (b->admission.is_paused)
                admission_resume_if_possible(b);
}

void departure_taken(Broker *b, Client *c) {
        RouteStats *stats = c->sent.route->stats;

        b->n.n_taken++;
        c->sent.route->worker->n_taken++;
        stats->n_taken++;
        if (c->is_rerouted) {
                c->sent.route->worker->n_rerouted++;
                stats->n_rerouted++;
        }
        histogram_add(&stats->time, loop_now(&b->loop) - c->begun_at);
        diag_observe(&b->diag, EVENT_TAKEN, c, c->sent.route);
        if (b->diag.log_handoffs >= LOG_HANDOFFS_YES)
                diag_taken(&b->diag, c);
        if (b->live)
                live_note(b, c);
        departure_drop(b, c);
}

/*
 * Ends the client, with close_notify if the kernel has its TLS. A client that lacks a part of its response gets none: so
 * it knows that the part is missing (RFC 8446 6.1). A refusal has sent it already.
 */
static void departure_end(Broker *b, Client *c) {
        bool may_be_ktls = c->is_ktls || (c->was_returned && client_is_of_stage(c)); /* not all are inspected */

        c->ends_tls = may_be_ktls && c->flush.status == 0 && !c->refused.answer_sent;
        departure_drop(b, c);
}

void departure_gone(Broker *b, Client *c) {
        b->n.n_gone++;
        departure_end(b, c);
}

/* Ends the client. Its unread bytes are read before, because close(2) would reset the connection otherwise. */
static void departure_discard(Broker *b, Client *c) {
        if (!c->is_shared)
                (void) linger_discard(&b->head_buffer, c);
        departure_end(b, c);
}

void departure_gone_unread(Broker *b, Client *c) {
        b->n.n_gone++;
        departure_discard(b, c);
}

/*
 * Keeps the client until it has read the answer. Such clients may have a quarter of the places. Others are ended at
 * once.
 */
static void departure_linger(Broker *b, Client *c) {
        if (linger_enter(&b->linger, c, b->admission.max_clients / 4))
                pool_release_client(c);
        else
                departure_discard(b, c);
}

/* False if the client has to go at once: its place is needed, or the broker stops. */
static bool departure_may_linger(Refusal why) {
        return why != REFUSAL_EVICTED && why != REFUSAL_STOPPING;
}

/*
 * Describes the helper's task for a refused client whose socket is shared. departure_refuse(), _answered() and _close()
 * do the same for other sockets.
 */
static void departure_ask(void *userdata, Client *c, SocketTask *t) {
        if (c->flush.status == 0)
                t->steps = SOCKET_STEP_PEEK | SOCKET_STEP_ANSWER | SOCKET_STEP_DRAIN | SOCKET_STEP_SEND | SOCKET_STEP_SHUTDOWN;
        else if (c->refused.answer_sent)
                t->steps = SOCKET_STEP_DRAIN | SOCKET_STEP_SHUTDOWN;
        else
                t->steps = SOCKET_STEP_RESET;
        t->how = SHUT_WR;
        t->head_max = c->listener->config->max_head_size;
        inspect_describe_answer(c, t);
}

static void departure_go_on(void *userdata, Client *c, const SocketTask *t) {
        Broker *b = userdata;

        if (!t || t->failed != 0 || (t->n_text == 0 && !c->refused.answer_sent) || !departure_may_linger(c->refused.why)) {
                departure_drop(b, c);
                return;
        }

        c->refused.answer_sent = true;
        departure_linger(b, c);
}

static const InspectKind departure_kind = { departure_ask, departure_go_on };

void departure_answered(Broker *b, Client *c) {
        b->n.n_flush_whole++;
        c->pool->routes[0].stats->n_answered++;
        diag_answered(&b->diag, c);
        c->refused.answer_sent = true;
        if (c->is_shared) {
                inspect_begin(&b->inspect, c, &departure_kind);
                return;
        }

        (void) linger_discard(&b->head_buffer, c);
        (void) shutdown(c->fd, SHUT_WR);
        departure_linger(b, c);
}

void departure_count_refusal(Broker *b, const Client *c, Refusal why, ProbeReason reason) {
        usec_t now = loop_now(&b->loop);

        b->n.n_refused[why]++;
        c->listener->n_refused[why]++;
        recent_count_add(&c->listener->recent[why], now);
        if (c->pool)
                c->pool->routes[0].stats->n_refused[why]++;
        if (c->pool && why == REFUSAL_QUEUE_FULL)
                recent_count_add(&c->pool->routes[0].stats->recent_full, now);
        diag_observe(&b->diag, EVENT_REFUSED, c, c->pool ? &c->pool->routes[0] : NULL);
        diag_refused(&b->diag, c, why, reason);
}

/*
 * Ends the client with a reset. Otherwise the client could take the end of the connection for the end of
 * the response, and a part for the whole (RFC 9112 8).
 */
static void departure_reset(Broker *b, Client *c) {
        const struct linger at_once = { .l_onoff = 1 };

        (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        departure_drop(b, c);
}

void departure_close(Broker *b, Client *c, Refusal why) {
        c->refused.why = why;
        departure_count_refusal(b, c, why, PROBE_REASON_NONE);
        if (c->flush.status == 0) {
                departure_discard(b, c);
                return;
        }

        b->n.n_flush_lost++;
        if (c->is_shared)
                inspect_begin(&b->inspect, c, &departure_kind);
        else
                departure_reset(b, c);
}

/* True if the client may still send bytes that tell its protocol. */
static bool departure_may_still_identify(Refusal why) {
        return departure_may_linger(why) && why != REFUSAL_HEAD_TIMEOUT && why != REFUSAL_TIMEOUT;
}

void departure_refuse(Broker *b, Client *c, Refusal why, ProbeReason reason) {
        LingerAnswer answer;

        if (c->flush.status != 0) {
                departure_close(b, c, why);
                return;
        }

        c->refused.why = why;
        c->refused.reason = reason;
        departure_count_refusal(b, c, why, reason);
        if (c->is_shared) {
                inspect_begin(&b->inspect, c, &departure_kind);
                return;
        }

        answer = linger_answer(&b->head_buffer, c);
        if ((answer == LINGER_ANSWERED && departure_may_linger(why)) ||
            (answer == LINGER_UNCLEAR && departure_may_still_identify(why)))
                departure_linger(b, c);
        else
                departure_discard(b, c);
}

static void departure_finish(Broker *b, Client *c) {
        linger_leave(&b->linger, c);
        departure_discard(b, c);
}

bool departure_evict_refused(Broker *b) {
        Client *c = linger_oldest(&b->linger);

        if (!c)
                return false;

        departure_finish(b, c);
        return true;
}

void departure_on_event(Broker *b, Client *c, uint32_t events) {
        if (events & EPOLLHUP || (c->is_shared && events & EPOLLRDHUP)) {
                departure_finish(b, c);
                return;
        }
        if (c->is_shared)
                return; /* the helper has looked already, and later bytes are lost with the socket */

        if (!c->refused.answer_sent && linger_answer(&b->head_buffer, c) == LINGER_UNCLEAR && !(events & EPOLLRDHUP))
                return;

        if (!linger_discard(&b->head_buffer, c) || !c->refused.answer_sent)
                departure_finish(b, c);
}

void departure_evict_parked(Broker *b, Client *c) {
        park_leave(&b->parking, c);
        departure_gone(b, c);
}

static void departure_end_flush(Broker *b, Client *c, Refusal why) {
        flush_leave(&b->flushes, c);
        departure_close(b, c, why);
}

void departure_end_flushes(Broker *b) {
        for (Client *c; (c = flush_first(&b->flushes));)
                departure_end_flush(b, c, REFUSAL_STOPPING);
}

void departure_on_linger_timer(void *userdata) {
        Broker *b = userdata;

        for (Client *c; (c = linger_next_due(&b->linger));)
                departure_finish(b, c);
}

void departure_on_park_timer(void *userdata) {
        Broker *b = userdata;

        for (Client *c; (c = park_next_due(&b->parking));)
                departure_evict_parked(b, c);
}

void departure_on_flush_timer(void *userdata) {
        Broker *b = userdata;

        for (Client *c; (c = flush_next_due(&b->flushes));)
                departure_end_flush(b, c, REFUSAL_SLOW);
}
