/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sends a client to the worker of a route. */

#include "broker/stage/flush.h"
#include "broker/stage/persistent.h"
#include "broker/stage/reach.h"
#include "broker/stage/receipts.h"
#include "broker/state/proxied.h"

/* The objects that sending needs. All members are borrowed. */
typedef struct Offers {
        Diag *diag;
        ClientTable *clients;
        HeadBuffer *head_buffer;
        const OwnSockets *own_sockets;
        Receipts *receipts;
        PersistentTable *persistent;
        Flushes *flushes;
        const SealKey *seal_key;
        ProxiedTable *proxied;
} Offers;

typedef enum OfferResult {
        OFFER_SENT,    /* the client is in the worker's backlog, and its receipt is to be awaited */
        OFFER_BUSY,    /* the worker did not get the client, and gets none for a while: another worker may */
        OFFER_FLUSHED, /* the flusher ended the offer: *ret_flush says how */
} OfferResult;

/*
 * Sends the client, which is in no list, to the worker of @route. A flusher writes to the client first if that is due.
 * With another result than OFFER_SENT the worker has not got it. With OFFER_FLUSHED *ret_flush is not FLUSH_DONE.
 */
OfferResult offer(Offers *o, Route *route, Client *c, FlushResult *ret_flush);

/*
 * Connects to the worker of @route without a client, and closes the connection at once, if the worker can't be reached
 * and was not tried for 250 ms. A receiver allows for a connection without a message. Otherwise a worker that is back
 * would count as gone until a client comes, and a load balancer that asks for its state sends none. Returns true if the
 * worker is back.
 */
bool offer_try(Offers *o, Route *route);
