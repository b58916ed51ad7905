/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls to the broker. Every function prints its own error to stderr and returns 0 or a negative errno. */

#include <systemd/sd-bus.h>

#include "basic/time.h"
#include "fdpassctl/value.h"

#define BUS_PATH "/org/fdpass/Broker1"
#define BUS_INTERFACE "org.fdpass.Broker1"

/* Connects to the broker's control socket, which --control= names. */
int bus_open(sd_bus **ret);

/*
 * Does the same without a message, and returns -ETIMEDOUT if the broker has not accepted the connection in @timeout µs.
 * A full queue of the socket is -EAGAIN.
 */
int bus_open_within(sd_bus **ret, usec_t timeout);

static inline void bus_closep(sd_bus **bus) {
        sd_bus_close_unref(*bus);
}

#define _cleanup_bus_ _cleanup_(bus_closep)

/* Gets all properties of the broker as a dictionary. */
int bus_properties(sd_bus *bus, Value *ret);

/* Gets all pages of "ListRoutes", "ListWorkers", … as one list of dictionaries, from one generation of the routes. */
int bus_list(sd_bus *bus, const char *method, Value *ret);

/* Limits a list to some of its entries. An empty string stands for all. */
typedef struct BusFilter {
        const char *route, *worker, *source;
} BusFilter;

/* Does the same for a method that takes a filter: "ListConnections". */
int bus_list_filtered(sd_bus *bus, const char *method, const BusFilter *filter, Value *ret);

/* Calls a method; @types as in sd_bus_call_method(3). @ret may be NULL. */
int bus_call(sd_bus *bus, const char *method, sd_bus_message **ret, const char *types, ...);

/* The broker at one moment, as status, top, graph and metrics need it. */
typedef struct Snapshot {
        usec_t at;        /* time of the first question, CLOCK_MONOTONIC; 0: no snapshot */
        Value properties;
        Value listeners;
        Value routes;
        Value workers;
} Snapshot;

/* Fills @ret, which the caller gives to snapshot_done(). */
int snapshot_take(sd_bus *bus, Snapshot *ret);
void snapshot_done(Snapshot *s);
