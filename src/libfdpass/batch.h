/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One message of a persistent connection: up to FDPASS_PERSISTENT_MAX clients, which are given out one by one. */

#include "handoff/protocol.h"
#include "libfdpass/fdpass.h"
#include "libfdpass/persistent.h"

typedef struct Batch {
        PersistentConn *conn; /* where the message came from; one reference. NULL: no client is left */
        bool is_answered;     /* the receipt of all clients that are left was sent */
        uint16_t first;       /* number of the first client on @conn */
        size_t n_clients;
        size_t n_given;       /* clients that were given out */
        int client_fds[FDPASS_PERSISTENT_MAX];
        struct fdpass *objects[FDPASS_PERSISTENT_MAX];

        uint8_t buffer[FDPASS_HEADER_MAX]; /* the message; the objects have copies */
} Batch;

/* Conditions of batch_receive(). */
enum {
        BATCH_CLOSED = 1, /* the connection has ended */
        BATCH_INVALID,    /* the message breaks the protocol. It was answered, and the caller ends the connection */
};

static inline bool batch_is_empty(const Batch *b) {
        return !b->conn;
}

/*
 * Takes one message off @c. Never waits. @b has to be empty, and stays so unless this returns 0.
 *
 *   -EAGAIN           there is no message
 *   -ECONNABORTED     descriptors were lost on the way; the sender keeps these clients
 *   -ENOMEM …         the worker's fault; the sender keeps these clients
 *
 * or one of the conditions above.
 */
int batch_receive(Batch *b, PersistentConn *c);

/*
 * Gives out the next client, with @flags and @ret as of fdpass_receive(). Without FDPASS_DEFER this sends the receipt
 * of all clients that are left: one message for all is what makes persistent connections cheap. Returns an owned fd, or
 * -errno.
 */
int batch_give(Batch *b, int flags, struct fdpass **ret);

/* Drops all clients that are left. */
void batch_clear(Batch *b);
