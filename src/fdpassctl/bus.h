/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The broker, as it can be asked. Every function says on stderr what fails, and returns a negative errno. */

#include <systemd/sd-bus.h>

#include "basic/time.h"
#include "fdpassctl/value.h"

#define BUS_PATH "/org/fdpass/Broker1"
#define BUS_INTERFACE "org.fdpass.Broker1"

int bus_open(sd_bus **ret);

static inline void bus_closep(sd_bus **bus) {
        sd_bus_close_unref(*bus);
}

#define _cleanup_bus_ _cleanup_(bus_closep)

/* All properties, as a dictionary. */
int bus_properties(sd_bus *bus, Value *ret);

/* All entries of "ListRoutes", …: a list of dictionaries of one configuration. */
int bus_list(sd_bus *bus, const char *method, Value *ret);

/* Calls a method; @types as in sd_bus_call_method(). @ret may be NULL. */
int bus_call(sd_bus *bus, const char *method, sd_bus_message **ret, const char *types, ...);

/* What the program asks for most: all in one. */
typedef struct Snapshot {
        usec_t at; /* usec_now() */
        Value properties;
        Value listeners;
        Value routes;
        Value workers;
} Snapshot;

int snapshot_take(sd_bus *bus, Snapshot *ret);
void snapshot_done(Snapshot *s);
