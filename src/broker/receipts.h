/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Waits for the receipts of the clients that were sent.
 *
 * The connections are watched by an epoll of their own, whose descriptor is the one event source that
 * sd-event sees: a source of sd-event's for each handoff would cost more than the rest of the handoff's
 * bookkeeping, and an allocation besides.
 */

#include <systemd/sd-event.h>

#include "broker/client.h"

typedef struct Broker Broker;

typedef struct Receipts {
        Broker *broker;
        int epoll_fd;
        sd_event_source *io;
        sd_event_source *timer; /* on while anybody is unclaimed */
        bool timer_on;
        List unclaimed;         /* Client.link, the earliest look_at first */
} Receipts;

int receipts_init(Receipts *receipts, Broker *b);
void receipts_done(Receipts *receipts);

/* Reports what happens on @conn_fd, which is not consumed, as @c's. Ends when @conn_fd is closed. */
int receipts_watch(Receipts *receipts, Client *c, int conn_fd);

/* The client was sent: from now on there may be a receipt. */
void receipts_expect(Receipts *receipts, Client *c);
