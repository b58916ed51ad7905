/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/offer.h"

#include "basic/error.h"
#include "basic/fd.h"
#include "broker/channel.h"
#include "broker/diag.h"
#include "broker/flush.h"
#include "broker/metadata.h"
#include "broker/observe.h"
#include "broker/reach.h"
#include "broker/watch.h"
#include "handoff/handoff.h"

/* The message itself. Streams have no room for metadata, and others may do without (Metadata=none). */
static int send_message(Broker *b, const Route *route, Client *c, int fd) {
        static const uint8_t byte = 0x00;
        uint8_t header[FDPASS_HEADER_MAX];
        Slice message = { &byte, 1 }, consumed = {};
        int r;

        if (route->form != WORKER_STREAM && route->config->metadata) {
                message.p = header;
                r = metadata_encode(b, route, c, header, sizeof(header), &message.n, &consumed);
                if (r < 0)
                        return r;
        }

        r = handoff_send_message(fd, message, consumed, c->fd);
        if (r < 0)
                return r;

        c->is_shared = true;
        c->last_worker = route->worker->number;
        return 0;
}

/* What the functions below return where a flusher was called, and the client is not ours to offer any more. */
#define OFFER_ENDED 2

/* Connects, flushes, watches for the receipt, sends: in this order, so that nothing is sent that can't be watched. */
static int send_by_connection(Broker *b, Route *route, Client *c) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        c->may_keep = !flush_is_due(route, c) && channel_may_begin(b, route, c);

        fd = reach_connect(b, route->worker, route->form == WORKER_STREAM ? SOCK_STREAM : SOCK_SEQPACKET);
        if (fd < 0)
                return fd;

        if (flush_is_due(route, c) && flush(b, route, c) != 0)
                return OFFER_ENDED;

        r = receipts_prepare(&b->receipts, c, fd);
        if (r < 0)
                return r;

        /* Closing @fd ends the watch, because no other process has it. */
        r = send_message(b, route, c, fd);
        if (r < 0) {
                c->conn_fd = TAKE_FD(fd);
                client_close_connection(&b->clients, c);
                return r;
        }

        c->conn_fd = TAKE_FD(fd);
        return 0;
}

static void mark_gone(Broker *b, Route *route, int error) {
        Worker *w = route->worker;

        if (!w->gone) {
                w->gone = true;
                w->gone_since = broker_now(b);
                w->n_gone++;
                observe(b, EVENT_WORKER_GONE, NULL, route);
        }

        w->gone_error = error;
        w->is_private = false; /* another directory may be there when it is back */
        diag_worker_gone(b, route, error);
}

static void mark_back(Broker *b, Route *route) {
        Worker *w = route->worker;

        if (!w->gone)
                return;

        w->gone = false;
        worker_recovered(w);
        diag_worker_back(b, route);
        observe(b, EVENT_WORKER_BACK, NULL, route);
}

static void not_taken(Broker *b, Route *route, int error) {
        if (errno_is_resource(error))
                diag_no_resources(b, error);
        else if (errno_is_transient(error)) /* EAGAIN: its backlog is full, so it is there */
                mark_back(b, route);
        else if (error == -EPIPE || error == -ECONNRESET) /* it closed the connection before it was sent the client */
                diag_worker_reset(b, route);
        else
                mark_gone(b, route, error);

        worker_back_off(route->worker, broker_now(b));
}

/* Where no unit of ours says what kind the worker's socket is of, connecting to it does. What fits is kept. */
static int send_in_its_form(Broker *b, Route *route, Client *c) {
        int r;

        r = send_by_connection(b, route, c);
        if (r != -EPROTOTYPE || !route->config->form_is_open)
                return r;

        route->form = route->form == WORKER_STREAM ? WORKER_SEQPACKET : WORKER_STREAM;
        return send_by_connection(b, route, c);
}

int offer(Broker *b, Route *route, Client *c) {
        bool was_due = flush_is_due(route, c);
        Channel *channel;
        int r;

        /* Only a connection of its own says that there is a place for it, and its head goes there. */
        channel = was_due ? NULL : channel_find(route, c);
        if (channel && channel_offer(channel, route, c) == 0)
                return 0;

        r = send_in_its_form(b, route, c);
        if (r == OFFER_ENDED) {
                mark_back(b, route);
                return 0;
        }
        if (r < 0) {
                b->n.n_flush_again += was_due && c->status != 0;
                not_taken(b, route, r);
                return OFFER_NOT_TAKEN;
        }

        mark_back(b, route);
        c->route = route;

        c->state = CLIENT_PENDING;
        route->worker->n_pending++;
        receipts_expect(&b->receipts, c);
        return 0;
}
