/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/offer.h"

#include "basic/error.h"
#include "basic/fd.h"
#include "broker/stage/metadata.h"
#include "broker/state/client-context.h"
#include "handoff/handoff.h"

/* Shortest time between two attempts to reach a worker without a client. */
#define OFFER_TRY_INTERVAL (250 * USEC_PER_MSEC)

/* The stream form has no room for facts. */
static int offer_send_message(Offers *o, const Route *route, Client *c, int conn_fd) {
        static const uint8_t byte = 0x00;
        uint8_t header[FDPASS_HEADER_MAX];
        Slice message = { &byte, 1 }, consumed = {};
        int r;

        if (route->transport != TRANSPORT_STREAM && route->config->metadata) {
                message.p = header;
                r = metadata_encode(o->head_buffer, o->seal_key, route, c, header, sizeof(header), &message.n, &consumed);
                if (r < 0)
                        return r;
        } else if (listener_trusts(c->listener, &c->peer))
                proxied_note(o->proxied, c); /* before it is sent, because the worker may hand it back at once */

        r = handoff_send_message(conn_fd, message, consumed, c->fd);
        if (r < 0)
                return r;

        c->is_shared = true;
        c->last_worker = route->worker->number;
        return 0;
}

/*
 * Connects, has the flusher write if @is_due, watches for the receipt, and sends. The order matters: a response needs a
 * worker, and a receipt needs a watch. Returns 0 if the client was sent, 1 with *ret_flush if the flusher ended the
 * offer, or a negative errno.
 */
static int offer_by_connection(Offers *o, const Route *route, Client *c, bool is_due, FlushResult *ret_flush) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        c->sent.may_reuse = !is_due && persistent_may_begin(o->persistent, route, c);

        fd = reach_connect(o->own_sockets, route->worker, route->transport == TRANSPORT_STREAM ? SOCK_STREAM : SOCK_SEQPACKET);
        if (fd < 0)
                return fd;

        *ret_flush = is_due ? flush_begin(o->flushes, route, c) : FLUSH_DONE;
        if (*ret_flush != FLUSH_DONE)
                return 1;

        r = receipts_prepare(o->receipts, c, fd);
        if (r < 0)
                return r;

        r = offer_send_message(o, route, c, fd);
        c->sent.conn_fd = TAKE_FD(fd);
        if (r < 0) /* ends the watch, too, because no other process holds it */
                client_close_connection(o->clients, c);

        return r;
}

/*
 * Sends in the form of the route. If no unit says which type the worker's socket has, the other type is tried, too. The
 * type that works is kept.
 */
static int offer_in_its_form(Offers *o, Route *route, Client *c, bool is_due, FlushResult *ret_flush) {
        int r;

        r = offer_by_connection(o, route, c, is_due, ret_flush);
        if (r != -EPROTOTYPE || !route->config->transport_is_open)
                return r;

        route->transport = route->transport == TRANSPORT_STREAM ? TRANSPORT_SEQPACKET : TRANSPORT_STREAM;
        return offer_by_connection(o, route, c, is_due, ret_flush);
}

static void offer_mark_unreachable(Offers *o, const Route *route, int error) {
        Worker *w = route->worker;

        if (!w->unreachable) {
                w->unreachable = true;
                w->unreachable_since = loop_now(o->diag->loop);
                w->n_gone++;
                diag_observe(o->diag, EVENT_WORKER_GONE, NULL, route);
        }

        w->unreachable_error = error;
        w->is_private = false; /* its path may lead to another file when it is back */
        diag_worker_gone(o->diag, route, error);
}

static void offer_mark_reachable(Offers *o, const Route *route) {
        Worker *w = route->worker;

        if (!w->unreachable)
                return;

        w->unreachable = false;
        worker_recovered(w);
        diag_worker_back(o->diag, route);
        diag_observe(o->diag, EVENT_WORKER_BACK, NULL, route);
}

static void offer_note_failure(Offers *o, const Route *route, Client *c, int error) {
        if (errno_is_resource(error))
                diag_no_resources(o->diag, error);
        else if (errno_is_transient(error)) /* its backlog is full, so it runs */
                offer_mark_reachable(o, route);
        else if (error == -EPIPE || error == -ECONNRESET) /* it closed the connection before the client was sent */
                diag_worker_reset(o->diag, route, c);
        else
                offer_mark_unreachable(o, route, error);

        worker_back_off(route->worker, loop_now(o->diag->loop));
}

OfferResult offer(Offers *o, Route *route, Client *c, FlushResult *ret_flush) {
        bool is_due = flush_is_due(route, c);
        PersistentConn *pc;
        int r;

        if (client_is_of_stage(c))
                proxied_note(o->proxied, c); /* a worker with metadata may leave them out, too */

        /*
         * A client that is to be flushed needs a connection of its own, because only connecting tells that the worker
         * is there.
         */
        pc = is_due ? NULL : persistent_find(route, c);
        if (pc && persistent_add(pc, route, c))
                return OFFER_SENT;

        r = offer_in_its_form(o, route, c, is_due, ret_flush);
        if (r < 0) {
                offer_note_failure(o, route, c, r);
                return OFFER_BUSY;
        }

        offer_mark_reachable(o, route);
        return r == 0 ? OFFER_SENT : OFFER_FLUSHED;
}

bool offer_try(Offers *o, Route *route) {
        Worker *w = route->worker;
        usec_t now = loop_now(o->diag->loop);
        int fd;

        if (!w->unreachable || now < usec_add(w->failed_at, OFFER_TRY_INTERVAL))
                return false;

        w->failed_at = now;
        fd = reach_connect(o->own_sockets, w, route->transport == TRANSPORT_STREAM ? SOCK_STREAM : SOCK_SEQPACKET);
        if (fd < 0 && !errno_is_transient(fd) && !(fd == -EPROTOTYPE && route->config->transport_is_open)) {
                w->unreachable_error = fd;
                return false;
        }

        fd_close(fd);
        offer_mark_reachable(o, route);
        return true;
}
