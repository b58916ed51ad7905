/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The table of live connections: clients that a worker has, from the receipt until the kernel says that the socket is
 * gone. A client is noted when it is sent, because its worker may have it although the broker is killed before the receipt.
 * The next process takes such a client as live. Before that it counts for nothing. The table has a fixed size, and each connection is found by the cookie of its socket (socket(7), SO_COOKIE). The
 * kernel gives no cookie twice before the next boot.
 *
 * The connections, their routes and their names lie in a memfd (store.h). So they outlive the process. The index of
 * cookies and the counts are in ordinary memory, and are made again from the memfd.
 *
 * A connection costs 56 bytes, and 8 bytes of the index. Members beside @cookie may be torn after a crash of the
 * process. connection_table_new() drops a connection whose route or listener does not exist.
 */

#include "connections/connection.h"
#include "connections/routes.h"
#include "connections/source-counts.h"

typedef struct ConnectionStore ConnectionStore;

typedef struct ConnectionTable {
        ConnectionStore *store;     /* owned */
        Connection *slots;          /* in @store */
        ConnectionPast *past;       /* in @store, one for each slot; valid if the connection was sent a second time */
        size_t n_max;               /* MaxTrackedConnections= */
        uint32_t *index;            /* number of the slot and 1 by cookie, open addressing; 0: none */
        size_t n_index;             /* a power of two, at least twice @n_max */
        uint32_t first_free;        /* number of a free slot and 1; 0: none but those that were never used */

        uint8_t pass;               /* number of the list that is read, or of the last one (sweep.h) */
        size_t n_tracked;           /* connections in the table, without those of @n_sent */
        size_t n_in_broker;         /* those of @n_tracked with CONNECTION_IN_BROKER; the others are live at a worker */
        size_t n_sent;              /* clients that were sent for the first time, and no worker has taken yet */
        uint64_t n_untracked;       /* connections without a place in the table, since the start */
        uint64_t n_other;           /* clients that are not TCP over IP, since the start */
        uint64_t n_lost;            /* times that the kernel dropped messages, since the start */
        uint64_t n_restored;        /* connections that were in @store at the start */

        ConnectionRoutes routes;
        SourceCounts sources;       /* connections that workers have, by source */
        SourceOf *source_of;        /* returns the source of a connection */
} ConnectionTable;

/*
 * Makes a table of at most @max connections, with those of @store, which is consumed on success. Returns 0 or a negative
 * errno.
 */
int connection_table_new(ConnectionStore *store, size_t max, SourceOf *source_of, ConnectionTable **ret);

/* Changes the largest number of connections. Those above it stay. Returns 0 or -ENOMEM. */
int connection_table_set_max(ConnectionTable *t, size_t max);

ConnectionTable *connection_table_free(ConnectionTable *t);
DEFINE_CLEANUP(ConnectionTable *, connection_table_free);

/* Returns the connection of this cookie, or NULL. The pointer is valid until the connection is removed. */
Connection *connection_find(const ConnectionTable *t, uint64_t cookie);

/*
 * Returns the connection with the lowest number from *i on, or NULL. *i is 0 at the beginning, and is set for the next
 * call. Connections may be added and removed between two calls.
 */
Connection *connection_next(const ConnectionTable *t, size_t *i);

/*
 * Adds a connection, of which @model says cookie, address, listener and name. Its cookie must not be in the table. It
 * counts for @route from now on. Returns the connection, or NULL if there is no place or no memory.
 */
Connection *connection_add(ConnectionTable *t, const Connection *model, ConnectionRoute *route);

/* Does the same for a client that was sent by @route. It counts for no route until connection_move(). */
Connection *connection_add_sent(ConnectionTable *t, const Connection *model, ConnectionRoute *route);

/* Notes that a connection was sent by @route after it was handed back. Its own route stays until connection_move(). */
void connection_mark_sent(ConnectionTable *t, Connection *c, ConnectionRoute *route);

/* The worker to which it was sent did not take it. A connection that no worker took before is removed. */
void connection_unsend(ConnectionTable *t, Connection *c);

/* Has a worker's route count the connection from now on. It counts for one route at a time. */
void connection_move(ConnectionTable *t, Connection *c, ConnectionRoute *route);

/* The connection was handed back: no route counts it until connection_move(). */
void connection_take_back(ConnectionTable *t, Connection *c);

/* Removes the connection. Its route and its source count it no longer. */
void connection_remove(ConnectionTable *t, Connection *c);

/* Sets the name of a client of another sender. Longer names are cut to CONNECTION_ID_MAX bytes. */
void connection_set_id(ConnectionTable *t, Connection *c, const void *p, size_t n);

/* Returns the name that was set so, and its length; NULL: it has none. It has no NUL at its end. */
const char *connection_id(const ConnectionTable *t, const Connection *c, size_t *ret_n);

/* Returns the number of a connection in ConnectionTable.slots and .past. */
static inline size_t connection_number(const ConnectionTable *t, const Connection *c) {
        return (size_t) (c - t->slots);
}

static inline ConnectionRoute *connection_route(const ConnectionTable *t, const Connection *c) {
        return t->routes.routes[c->route];
}

/* Returns the index of a listener's name for Connection.listener, or -ENOSPC if there are too many. */
int connection_listener(ConnectionTable *t, const char *name);

/* Returns the name of the listener. The string is in ConnectionTable.store. */
const char *connection_listener_name(const ConnectionTable *t, const Connection *c);

/* Returns how many connections of @source workers have. Clients in the broker are not counted. */
static inline unsigned connection_count_source(const ConnectionTable *t, uint64_t source) {
        return source_counts_get(&t->sources, source);
}
