/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/receipts.h"

#include "broker/state/watch.h"

/*
 * First interval between two looks into the queue of a connection to a worker. The kernel's receipt comes when the
 * worker closes the connection. But a worker may serve the client before that, as workers for mod_proxy_fdpass often
 * do. Until a look finds the message received, the client counts as pending, and a FIN that the worker sends by
 * close(2) is withheld.
 *
 * The interval grows up to half of the time that the client has waited. Otherwise looks at thousands of clients in
 * backlogs would take a good part of a CPU.
 */
#define LOOK_INTERVAL_USEC (100 * USEC_PER_MSEC)

int receipts_init(Receipts *rs, Loop *loop, TimerHandler on_timer, void *userdata) {
        rs->loop = loop;
        for (size_t i = 0; i < RECEIPTS_LEVELS; i++)
                waiting_init(&rs->pending[i], &rs->timer);
        waiting_init(&rs->last_looks, &rs->timer);
        list_init(&rs->unwatched);
        return timer_init(&rs->timer, loop, on_timer, userdata);
}

void receipts_done(Receipts *rs) {
        timer_done(&rs->timer);
}

bool receipts_any(const Receipts *rs) {
        for (size_t i = 0; i < RECEIPTS_LEVELS; i++)
                if (!waiting_is_empty(&rs->pending[i]))
                        return true;

        return !waiting_is_empty(&rs->last_looks);
}

int receipts_prepare(Receipts *rs, const Client *c, int conn_fd) {
        return rs->is_polled ? 0 : watch_connection(rs->loop, c, conn_fd);
}

void receipts_look_later(Receipts *rs, Client *c) {
        usec_t now = loop_now(rs->loop), interval = LOOK_INTERVAL_USEC, at;
        size_t level = 0;

        waiting_remove(&c->wait);
        while (level < RECEIPTS_LEVELS - 1 && now - c->sent.at >= 4 * interval) {
                interval *= 2;
                level++;
        }

        at = now + interval;
        if (at >= c->queue.expires_at && !c->sent.is_expired) {
                waiting_add(&rs->last_looks, &c->wait, c->queue.expires_at);
                return;
        }

        if (level > 0)
                at -= at % LOOK_INTERVAL_USEC; /* looks of one level share a wake-up */
        waiting_add(&rs->pending[level], &c->wait, at);
}

void receipts_enter(Receipts *rs, Client *c) {
        c->sent.at = loop_now(rs->loop);
        c->sent.was_received = false; /* a look at another worker does not count */
        receipts_look_later(rs, c);
        if (rs->is_polled && !c->sent.persistent)
                list_append(&rs->unwatched, &c->second.link);
}

void receipts_leave(Client *c) {
        waiting_remove(&c->wait);
        waiting_remove(&c->second);
}

Client *receipts_next_due(Receipts *rs) {
        usec_t now = loop_now(rs->loop);
        Wait *w = NULL;

        for (size_t i = 0; !w && i < RECEIPTS_LEVELS; i++)
                w = waiting_next_due(&rs->pending[i], now);
        if (!w)
                w = waiting_next_due(&rs->last_looks, now);

        return w ? CONTAINER_OF(w, Client, wait) : NULL;
}

void receipts_watch(Receipts *rs, Client *c) {
        list_remove(&c->second.link);
        (void) watch_connection(rs->loop, c, c->sent.conn_fd);
}

void receipts_set_polled(Receipts *rs, bool is_polled) {
        rs->is_polled = is_polled;
        LIST_FOREACH(i, &rs->unwatched)
                receipts_watch(rs, CONTAINER_OF(i, Client, second.link));
}
