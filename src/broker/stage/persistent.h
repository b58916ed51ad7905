/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Persistent connections (handoff/protocol.h): connections to workers that carry many handoffs. Clients of one turn go in one
 * message, within the worker's credit, and their receipts come in batches. That saves the connection for each client, which is
 * more than half of a handoff.
 *
 * The kernel's own receipt is about the connection as a whole here. So only clients of TCP are sent this way, because the kernel
 * tells whether a worker has touched them.
 */

#include "broker/stage/head-buffer.h"
#include "broker/state/diag.h"
#include "broker/state/routing.h"
#include "handoff/handoff.h"

/* Bytes of the headers in one message. */
#define PERSISTENT_BATCH_SIZE 4096

/* Connections at once. They use descriptors that are reserved for other things than clients. */
#define PERSISTENT_MAX 64

typedef struct PersistentTable PersistentTable;

struct PersistentConn {
        PersistentTable *table;
        Worker *worker;
        List link;           /* Worker.persistent, or PersistentTable.ended */
        List batch_link;     /* PersistentTable.to_send */
        uint32_t slot;       /* in PersistentTable.slots */
        int fd;              /* -EBADF: it has ended, and is freed at the end of the turn */
        usec_t used_at;      /* when the last client was sent */
        uint16_t n_sent;     /* the number of the next client */
        uint16_t limit;      /* the first number that may not be sent */
        bool is_deaf;        /* its answers are no event, because receiving one failed for lack of memory */
        List clients;        /* Client.second.link: clients without an answer, by their numbers */

        /* The last clients of @clients, which are sent together. */
        size_t n_batch;
        int fds[FDPASS_PERSISTENT_MAX];
        size_t n_headers;
        uint8_t headers[PERSISTENT_BATCH_SIZE];
};

struct PersistentTable {
        Loop *loop;          /* these are borrowed */
        Diag *diag;
        Helper *helper;
        WorkerTable *workers;
        HeadBuffer *head_buffer;

        PersistentConn *slots[PERSISTENT_MAX];
        bool is_polled;      /* answers are looked for in each turn, and are no events (event/poll-mode.h) */
        bool is_closing;     /* the broker stops: no new connection */
        List to_send;        /* PersistentConn.batch_link: connections with clients to send */
        List settled;        /* Client.second.link: clients whose handoff has an outcome, in Client.sent.receipt */
        List ended;          /* PersistentConn.link: closed connections, freed at the end of the turn */
};

void persistent_table_init(PersistentTable *table);

/* True if the worker may keep the connection on which it gets this client. */
bool persistent_may_begin(const PersistentTable *table, const Route *route, const Client *c);

/*
 * Makes the connection on which the client was sent persistent. It is taken from the client. If that fails it is closed, and so
 * the worker knows. @limit: the first number that may not be sent on it.
 */
void persistent_begin(PersistentTable *table, Client *c, uint16_t limit);

/* A persistent connection to the route's worker on which this client may be sent now, or NULL. */
PersistentConn *persistent_find(const Route *route, const Client *c);

/* Puts the client into the next message. Returns false if that is impossible: then another way is to be tried. */
bool persistent_add(PersistentConn *pc, const Route *route, Client *c);

/* Sends the message if no more clients fit into it. The others are sent at the end of the turn. */
void persistent_send_if_full(PersistentConn *pc);

/* Something happened on the connection in this slot. */
void persistent_on_event(PersistentTable *table, uint32_t slot);

/* Looks for answers on all connections that owe some. */
void persistent_look_all(PersistentTable *table);

/* Sets PersistentTable.is_polled. */
void persistent_set_polled(PersistentTable *table, bool is_polled);

/* Sends all messages. */
void persistent_send_all(PersistentTable *table);

/* Frees the connections that have ended. */
void persistent_reap(PersistentTable *table);

/* Frees all connections to a worker that no route refers to. */
void persistent_close_all(Worker *w);
