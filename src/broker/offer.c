/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/offer.h"

#include "basic/error.h"
#include "basic/fd.h"
#include "broker/diag.h"
#include "broker/watch.h"
#include "handoff/handoff.h"

/* Connects, watches for the receipt, sends: in this order, so that nothing is sent that can't be watched. */
static int send_client(Broker *b, Route *route, Client *c) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        fd = handoff_connect(&route->worker->address, route->worker->address_len);
        if (fd < 0)
                return fd;

        r = watch_connection(&b->watch, c, fd);
        if (r < 0)
                return r;

        r = handoff_send(fd, c->fd);
        if (r < 0)
                return r; /* closing @fd ends the watch: no other process has it */

        c->conn_fd = TAKE_FD(fd);
        return 0;
}

static void mark_gone(Broker *b, Route *route, int error) {
        Worker *w = route->worker;

        if (w->gone)
                return;

        w->gone = true;
        w->gone_since = broker_now(b);
        diag_worker_gone(b, route, error);
}

static void mark_back(Broker *b, Route *route) {
        Worker *w = route->worker;

        if (!w->gone)
                return;

        w->gone = false;
        worker_recovered(w);
        diag_worker_back(b, route);
}

int offer(Broker *b, Route *route, Client *c) {
        int r = send_client(b, route, c);

        if (r < 0) {
                if (errno_is_resource(r))
                        diag_no_resources(b, r);
                else if (!errno_is_transient(r)) /* EAGAIN: its backlog is full, which is no fault */
                        mark_gone(b, route, r);

                worker_back_off(route->worker, broker_now(b));
                return OFFER_NOT_TAKEN;
        }

        mark_back(b, route);

        c->state = CLIENT_UNCLAIMED;
        c->route = route;
        route->worker->n_unclaimed++;
        receipts_expect(&b->receipts, c);
        return 0;
}
