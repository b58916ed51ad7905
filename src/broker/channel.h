/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Connections that a worker keeps (handoff/protocol.h): further clients go on them, within the worker's limit,
 * several in a message where several are ready, and their receipts come in batches. What a connection for each
 * client costs, which is more than half of a handoff, is saved.
 *
 * The kernel's receipt is worth less here: it only says what became of the connection as a whole. So only clients
 * of which it can be told whether somebody touched them (client_is_untouched()) are sent this way.
 */

#include "broker/broker.h"
#include "broker/routing.h"
#include "handoff/handoff.h"

#define CHANNEL_BATCH_SIZE 4096

struct Channel {
        Broker *broker;
        Worker *worker;
        List link;           /* Worker.channels, or ChannelTable.ended */
        List batch_link;     /* ChannelTable.full */
        uint32_t slot;       /* in ChannelTable.slots */
        int fd;              /* -EBADF: it has ended, and is freed at the end of the turn */
        usec_t used_at;      /* when the last client was sent */
        uint16_t n_sent;     /* the number of the next client */
        uint16_t limit;      /* the first one that may not be sent */
        bool is_deaf;        /* its answers are no event, because receiving one failed for want of memory */
        List clients;        /* Client.second_link: those without an answer, by their numbers */

        /* Clients that are sent together, the last ones of that list. */
        size_t n_batch;
        int fds[FDPASS_PERSISTENT_MAX];
        size_t n_headers;
        uint8_t headers[CHANNEL_BATCH_SIZE];
};

void channels_init(ChannelTable *table);

/* True where a worker that gets this client on a connection of its own may keep that. */
bool channel_may_begin(const Broker *b, const Route *route, const Client *c);

/*
 * Goes on with the connection that the client was sent on, which is taken from it. Where that is impossible it is
 * closed, and the worker knows.
 */
void channel_begin(Broker *b, Client *c, uint16_t limit);

/* A kept connection to the route's worker on which this client may be sent now, or NULL. */
Channel *channel_find(const Route *route, const Client *c);

/* OFFER_… */
int channel_offer(Channel *ch, Route *route, Client *c);

/* Something happened on it. */
void channel_on_event(Broker *b, uint32_t slot);

/* Looks for answers on all that owe some. */
void channels_look(Broker *b);

/* Answers are an event, or are looked for. */
void channels_watch(Broker *b, bool answers);

/* Sends all that was put together. */
void channels_flush(Broker *b);

/* Settles the clients whose handoff has an outcome. */
void channels_settle(Broker *b);

/* Frees the connections that have ended. */
void channels_reap(Broker *b);

/* The worker is not needed any more, nor are the connections to it. */
void channels_close(Worker *w);
