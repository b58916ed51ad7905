/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Declarations for the files of this folder, and for its test. */

#include "broker/broker.h"
#include "broker/live.h"
#include "config/stamp.h"
#include "control/dbus-append.h"
#include "control/host.h"

/* Timers and handed back clients have SD_EVENT_PRIORITY_NORMAL. Handoffs are no sources of sd-event. */
#define CONTROL_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

#define CONTROL_PATH "/org/fdpass/Broker1"
#define CONTROL_INTERFACE "org.fdpass.Broker1"

/* Entries in one reply. Such a reply takes the loop about 100 µs, and all clients wait for it. */
#define CONTROL_PAGE_MAX 8

typedef struct ControlConn ControlConn; /* conn.h */

typedef struct Control {
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
} Control;

/* properties.c: the properties of CONTROL_INTERFACE. */
extern const sd_bus_vtable properties_vtable[];

/* interface.c: adds the object CONTROL_PATH to the connection. Returns 0 or more, or a negative errno. */
int interface_add(ControlConn *conn);

/*
 * lists.c: a page of a list while it is written. A caller of a list method begins with 0 and goes on with the last
 * number of each reply, until that is 0. The first number of a reply counts the reloads: pages with different numbers
 * do not belong together.
 */
typedef struct ControlPage {
        const Broker *broker;
        DBusWriter writer;
        uint32_t first; /* index of the item to begin with */
        unsigned n;     /* entries written; at most CONTROL_PAGE_MAX */
} ControlPage;

typedef void (*ControlWriteEntry)(DBusWriter *w, const Broker *b, const void *item);

/* Begins the reply to @m with item @first. */
void control_page_start(ControlPage *page, sd_bus_message *m, const Broker *b, uint32_t first);

/* Does the same for a method whose only argument is the number of the first item. Returns 0 or a negative errno. */
int control_page_begin(ControlPage *page, sd_bus_message *m, void *userdata);
void control_page_add(ControlPage *page, ControlWriteEntry write, const void *item);

/* Sends the page. The next one begins with item @i of @n. Returns 1 or a negative errno. */
int control_page_end(ControlPage *page, size_t i, size_t n);

/* lists.c: the entries Id, Client and Listener of a client. */
void control_entry_client(DBusWriter *w, const Client *c);

/* lists.c: the entry Stamp of a unit. fdpassctl compares it with that of the unit's files as they are now. */
void control_entry_stamp(DBusWriter *w, uint64_t stamp);

/* lists.c: the name of a Refusal. */
const char *control_refusal_name(unsigned i);

/* lists.c, list-routes.c, list-connections.c: methods that return a page of entries. */
int method_list_listeners(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_list_routes(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_list_workers(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_list_clients(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_list_connections(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* lists.c: one worker, as in the list. */
int method_get_worker(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* lists.c: finds a worker by its path, or by a unit with a route to it. NULL: there is none. */
Worker *control_find_worker(const Broker *b, const char *name);

/* lists.c: sets the error that there is no such worker. Returns a negative errno. */
int control_no_such_worker(sd_bus_error *error, const char *name);

/* health.c */
int method_health(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_read_host_drain(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* test.c */
int method_test(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* events.c: signals to the connections with a subscription. control_conn_unsubscribe() ends one. */
void events_subscribe(ControlConn *conn);
void events_reloaded(Control *c);
void events_drained(Control *c, const Worker *w);
void events_host_drained(Control *c);

/* Returns the live connections. NULL: they are not tracked, because the broker has no socket with the kernel's reports. */
static inline const ConnectionTable *control_connections(const Broker *b) {
        return b->live ? b->live->table : NULL;
}

/* lists.c: a worker's state as programs show it, for instance "ready". */
const char *control_worker_state(const Broker *b, const Worker *w);
