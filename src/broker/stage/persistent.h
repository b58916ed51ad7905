/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Persistent connections (handoff/protocol.h): connections to workers that carry many handoffs. The clients of one turn
 * go in one message, as many as the worker's credit allows. Their receipts come in batches. That saves a connection for
 * each client, which is more than half of the cost of a handoff.
 *
 * The kernel's receipt would be about the whole connection. So the worker answers for each client. If the connection
 * ends without an answer, the kernel has to tell whether the client is untouched. Only TCP tells that, so only TCP
 * clients are sent this way.
 */

#include "broker/stage/head-buffer.h"
#include "broker/state/diag.h"
#include "broker/state/routing.h"
#include "broker/state/seal.h"
#include "handoff/handoff.h"

/* Space for headers in one message, in bytes. */
#define PERSISTENT_BATCH_SIZE 4096

/* Largest number of connections. Their descriptors are not taken from those for clients. */
#define PERSISTENT_MAX 64

typedef struct PersistentTable PersistentTable;

struct PersistentConn {
        PersistentTable *table;
        Worker *worker;
        List link;           /* Worker.persistent, or PersistentTable.ended */
        List batch_link;     /* PersistentTable.to_send, while @n_batch is not 0 */
        uint32_t slot;       /* index in PersistentTable.slots */
        int fd;              /* -EBADF: it has ended, and is freed at the end of the turn */
        usec_t used_at;      /* time when the last client was added, CLOCK_MONOTONIC */
        uint16_t n_sent;     /* number of the next client */
        uint16_t limit;      /* first number that the worker's credit does not allow */
        bool is_deaf;        /* answers are no events, because memory to receive one was lacking */
        List clients;        /* Client.second.link: clients without an answer, by number */

        /* The next message. Its clients are the last ones of @clients. */
        size_t n_batch;
        int fds[FDPASS_PERSISTENT_MAX];
        size_t n_headers;
        uint8_t headers[PERSISTENT_BATCH_SIZE];
};

struct PersistentTable {
        Loop *loop;          /* borrowed */
        Diag *diag;
        Helper *helper;
        WorkerTable *workers;
        HeadBuffer *head_buffer;
        const SealKey *seal_key;

        PersistentConn *slots[PERSISTENT_MAX];
        usec_t busy_usec;    /* a process that owes an answer for longer is busy, and gets no client */
        bool is_polled;      /* answers are polled in each turn, and are no events (event/poll-mode.h) */
        bool is_closing;     /* the broker stops: no connection is added */
        List to_send;        /* PersistentConn.batch_link: connections with a next message */
        List settled;        /* Client.second.link: clients with an outcome (Client.sent.receipt) */
        List ended;          /* PersistentConn.link: ended connections, freed at the end of the turn */
};

void persistent_table_init(PersistentTable *table);

/* True if the worker may be told that it may keep the connection on which it gets this client. */
bool persistent_may_begin(const PersistentTable *table, const Route *route, const Client *c);

/*
 * Makes a persistent connection of Client.sent.conn_fd, which is consumed. @limit: the first number that may not be
 * sent on it. On failure the descriptor is closed, and the worker sees its end.
 */
void persistent_begin(PersistentTable *table, Client *c, uint16_t limit);

/* Returns a persistent connection to the worker of @route on which this client may be sent now, or NULL. */
PersistentConn *persistent_find(const Route *route, const Client *c);

/*
 * Adds the client to the next message. Returns false if that is impossible. Then the client needs a connection of its
 * own.
 */
bool persistent_add(PersistentConn *pc, const Route *route, Client *c);

/* Sends the next message if no more clients fit into it. Other messages are sent at the end of the turn. */
void persistent_send_if_full(PersistentConn *pc);

/* Handles an event of the connection in this slot. */
void persistent_on_event(PersistentTable *table, uint32_t slot);

/* Looks for answers on all connections of which one is awaited. */
void persistent_look_all(PersistentTable *table);

/* Sets PersistentTable.is_polled, and watches the connections accordingly. */
void persistent_set_polled(PersistentTable *table, bool is_polled);

/* Sends the next messages of all connections. */
void persistent_send_all(PersistentTable *table);

/* Frees the connections that have ended. */
void persistent_reap(PersistentTable *table);

/* Frees all connections to a worker that no route refers to. */
void persistent_close_all(Worker *w);
