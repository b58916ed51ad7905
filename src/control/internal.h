/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Declarations for the files of this folder, and for its test. */

#include "control/conn.h"

/* Timers and handed back clients have SD_EVENT_PRIORITY_NORMAL. Handoffs are no sources of sd-event (broker/loop.c). */
#define CONTROL_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

#define CONTROL_PATH "/org/fdpass/Broker1"
#define CONTROL_INTERFACE "org.fdpass.Broker1"

/* Entries in one reply. Such a reply takes the loop about 100 µs, and all clients wait for it. */
#define PAGE_MAX 8

struct Control {
        Broker *broker;
        ControlHost host;
        usec_t started_at;      /* CLOCK_REALTIME */

        int fd;
        sd_event_source *io;
        sd_event_source *timer; /* on while there are connections */

        List conns;             /* ControlConn.link */
        size_t n_conns;
        size_t n_subscribed;    /* number of connections with a subscription */

        usec_t events_at;       /* CLOCK_MONOTONIC, begin of the second that @n_events counts */
        unsigned n_events;
};

/* interface.c: adds the object CONTROL_PATH to the connection. Returns 0 or more, or a negative errno. */
int interface_add(ControlConn *conn);

/* lists.c: methods that return a page of entries. */
int method_list_listeners(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_list_routes(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_list_workers(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_list_clients(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* test.c */
int method_test(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* events.c: signals to the connections with a subscription. */
void events_subscribe(ControlConn *conn, bool subscribe);
void events_reloaded(Control *c);
void events_drained(Control *c, const Worker *w);

/* lists.c: a worker's state as programs show it, for instance "ready". */
const char *worker_state(const Broker *b, const Worker *w);
