/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For the files of this folder. */

#include "control/peer.h"

/* Timers and clients that come back are at SD_EVENT_PRIORITY_NORMAL. (Handoffs are no sources: broker/loop.c.) */
#define CONTROL_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

#define CONTROL_PATH "/org/fdpass/Broker1"
#define CONTROL_INTERFACE "org.fdpass.Broker1"

/* Entries in one reply: it costs the broker some 100 µs, and everybody else has to wait for it. */
#define PAGE_MAX 8

struct Control {
        Broker *broker;
        ControlHost host;
        usec_t started_at;      /* CLOCK_REALTIME */
        uint64_t n_ids;         /* of peers so far */

        int fd;
        sd_event_source *io;
        sd_event_source *timer; /* while there are peers */

        List peers;             /* Peer.link */
        size_t n_peers;
        size_t n_subscribed;

        usec_t events_at;       /* the second that events are counted in, */
        unsigned n_events;      /* and how many it had */
};

/* interface.c: makes the object of CONTROL_PATH known to the peer's bus. */
int interface_add(Peer *p);

/* lists.c: methods whose replies are pages of entries. */
int method_list_listeners(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_list_routes(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_list_workers(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_list_clients(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* test.c */
int method_test(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* events.c: whoever subscribed is told. */
void events_subscribe(Peer *p, bool subscribe);
void events_reloaded(Control *c);
void events_drained(Control *c, const Worker *w);

/* "stream", …, as the programs show them. */
const char *worker_state(const Broker *b, const Worker *w);
