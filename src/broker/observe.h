/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tells whoever watches, if anybody does, what happens to single clients and to workers. */

#include "broker/broker.h"

/* @c is NULL where it is about the worker alone; @route is NULL for a client that has none. */
static inline void observe(const Broker *b, EventKind kind, const Client *c, const Route *route) {
        if (b->observer)
                b->observer(b->observer_userdata, kind, c, route);
}
