/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A live connection, as it lies in the memfd of the table (table.h, store.h). */

#include <stddef.h>
#include <stdint.h>

/* Longest name of a client from another sender (client_id()), in bytes, without NUL at the end if it is this long. */
#define CONNECTION_ID_MAX 128

/* Largest number of connections in a table. */
#define CONNECTION_TABLE_MAX ((size_t) 1 << 20)

typedef enum ConnectionFlag {
        CONNECTION_IN_BROKER = 1 << 0, /* the broker has it, so it is not counted for its route */
        CONNECTION_HAS_ID = 1 << 1,    /* its name is of another sender: connection_id() */
        CONNECTION_MISSING = 1 << 2,   /* the last list of the kernel's sockets did not have it (sweep.h) */
        CONNECTION_NO_SOURCE = 1 << 3, /* there was no memory to count it for its source */
        CONNECTION_SENT = 1 << 4,      /* with CONNECTION_IN_BROKER: it was sent to a worker, and there is no receipt yet */
} ConnectionFlag;

typedef struct Connection {
        uint64_t cookie;        /* 0: the slot is free */
        uint64_t origin_id;     /* with @origin the client's name, as in Client; in a free slot: number of the next one */
        uint64_t begun_at : 48; /* time when the client arrived, µs, CLOCK_MONOTONIC */
        uint64_t port : 16;     /* the client's port, in host byte order */
        uint8_t address[16];    /* the client's address, as a PROXY header says; IPv4: ::ffff:192.0.2.1 */
        uint32_t scope_id;      /* of an IPv6 address */
        uint32_t origin;
        uint16_t route;         /* index in ConnectionRoutes.routes */
        uint16_t listener;      /* index for connection_listener_name() */
        uint16_t n_handoffs;    /* times that a worker took it; 65535: or more; 0: it was sent for the first time */
        uint8_t flags;          /* ConnectionFlag */
        uint8_t pass;           /* number of the last list that had it */
} Connection;

_Static_assert(sizeof(Connection) == 56, "a connection and its part of the index have 64 bytes");

/* A connection that had a handoff before. Its bytes up to the last one count for the routes before. */
typedef struct ConnectionPast {
        uint64_t n_in, n_out;
        uint16_t sent_to; /* with CONNECTION_SENT: index of the route by which it was sent */
} ConnectionPast;
