/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sends a client to the worker of a route. */

#include "broker/stage/flush.h"
#include "broker/stage/persistent.h"
#include "broker/stage/reach.h"
#include "broker/stage/receipts.h"

/* What it takes to send a client. All members are borrowed. */
typedef struct Offers {
        Diag *diag;
        ClientTable *clients;
        HeadBuffer *head_buffer;
        const OwnSockets *own_sockets;
        Receipts *receipts;
        PersistentTable *persistent;
        Flushes *flushes;
} Offers;

typedef enum OfferResult {
        OFFER_SENT,     /* the worker has it in its backlog; a receipt is to be awaited */
        OFFER_BUSY,     /* the worker did not take it, and is left alone for a while: another one may */
        OFFER_FLUSHING, /* the client waits for room in its send buffer (FLUSH_WAIT) */
        OFFER_INSPECT,  /* FLUSH_INSPECT */
        OFFER_ANSWERED, /* FLUSH_ANSWERED */
        OFFER_REFUSED,  /* FLUSH_REFUSED */
        OFFER_GONE,     /* FLUSH_GONE */
} OfferResult;

/* Offers the client, which is in no list, to the worker. It is flushed first if that is due. */
OfferResult offer(Offers *o, Route *route, Client *c);
