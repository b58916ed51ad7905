/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the broker waits for on behalf of single clients: the receipt of a worker, or more bytes of the client.
 *
 * All these descriptors are in one epoll, whose own descriptor is the one event source that sd-event sees: a
 * source of sd-event's for each client would cost more than the rest of its bookkeeping, and an allocation
 * besides. An event carries a token, not a pointer, so one that comes too late finds nobody.
 */

#include <systemd/sd-event.h>

#include "broker/client.h"

typedef struct Broker Broker;

typedef struct Watch {
        Broker *broker;
        int epoll_fd;
        sd_event_source *io;
} Watch;

int watch_init(Watch *w, Broker *b);
void watch_done(Watch *w);

/* Reports on @conn_fd, the connection to a worker, which is not consumed. Ends when @conn_fd is closed. */
int watch_connection(Watch *w, Client *c, int conn_fd);

/* The same connection is from now on the channel's of this number. */
int watch_channel(Watch *w, uint32_t channel, int conn_fd);

/*
 * Reports each arrival of bytes, or of the end, on the client's own socket, edge-triggered: as nothing is
 * consumed, a level-triggered report would never end.
 */
int watch_client(Watch *w, Client *c);

/*
 * Has to come before the client is handed over or closed: epoll knows the open file description, which the
 * worker keeps alive, and would go on reporting it for ever (epoll(7), question 6). Does nothing for a client
 * that is not watched.
 */
/* The same for room in its send buffer, of one that is not watched. */
int watch_client_for_room(Watch *w, Client *c);

void unwatch_client(Watch *w, Client *c);
