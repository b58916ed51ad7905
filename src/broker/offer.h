/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Offering one client to one worker. */

#include "broker/broker.h"
#include "broker/routing.h"

/* It did not take the client, and is not ready for the next one for a while. */
enum {
        OFFER_NOT_TAKEN = 1,
};

/*
 * Sends the client to the route's worker. It is pending from then on, or gone where the form has no receipt: the
 * caller must not touch it any more, nor its pool, unless it has pinned that. Returns 0 or
 * OFFER_NOT_TAKEN; what kept the worker from taking it is logged where it changes something.
 */
int offer(Broker *b, Route *route, Client *c);
