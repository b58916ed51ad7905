/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The memory of the table: a memfd that systemd keeps for the next process (sd_pid_notify_with_fds(3), FDSTORE=1). It is
 * mapped, so the next process finds the connections also after a crash of this one.
 *
 * Only touched pages use memory (memfd_create(2)).
 */

#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"
#include "connections/connection.h"

/* Largest number of listeners with connections. */
#define STORE_LISTENERS_MAX 1024

/* Sizes of texts with their NUL: systemd.unit(5) allows 255 bytes of a unit's name, unix(7) 108 of a path. */
#define STORE_UNIT_SIZE 256
#define STORE_PATH_SIZE 112
#define STORE_LISTENER_SIZE 256

/* A route in the memfd. */
typedef struct StoreRoute {
        char unit[STORE_UNIT_SIZE]; /* empty: the number is free */
        char path[STORE_PATH_SIZE];
} StoreRoute;

typedef struct StoreHeader {
        char magic[8];
        uint32_t version;      /* STORE_VERSION */
        uint32_t n_touched;    /* slots from this number on were never used */
        uint32_t n_listeners;  /* number of names in ConnectionStore.listeners */
} StoreHeader;

typedef struct ConnectionStore {
        int fd;                /* -EBADF: there is no memfd, and nothing outlives the process */
        size_t size;
        StoreHeader *header;   /* the mapping; the other members point into it */
        char (*listeners)[STORE_LISTENER_SIZE];
        StoreRoute *routes;    /* CONNECTION_ROUTES_MAX */
        Connection *slots;     /* CONNECTION_TABLE_MAX, as of the next two */
        ConnectionPast *past;
        char (*ids)[CONNECTION_ID_MAX]; /* not terminated if all bytes are used */
} ConnectionStore;

/* Makes an empty store. Returns 0 or a negative errno. */
int connection_store_new(ConnectionStore **ret);

/*
 * Maps the store of another process. @fd is consumed on success. Returns 0, a negative errno, or STORE_FOREIGN if the
 * memfd has another form or is broken.
 */
int connection_store_open(int fd, ConnectionStore **ret);

/* Condition of connection_store_open() */
enum {
        STORE_FOREIGN = 1,
};

ConnectionStore *connection_store_free(ConnectionStore *s);
DEFINE_CLEANUP(ConnectionStore *, connection_store_free);
