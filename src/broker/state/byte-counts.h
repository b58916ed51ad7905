/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How far a TCP connection is: the test whether anybody has touched it. All calls take the lock of the socket, so they may
 * wait for a process that holds the same socket: after a handoff only the helper makes them.
 */

#include <stdbool.h>
#include <stdint.h>

/* Bytes that were read and written at this end of a connection. */
typedef struct ByteCounts {
        uint64_t n_read;
        uint64_t n_written;
        uint64_t n_received; /* read, or still unread in the socket. It can't fall, unless this is another connection */
} ByteCounts;

/* No socket is ever this far: the test fails. */
#define BYTE_COUNTS_UNKNOWN ((ByteCounts){ UINT64_MAX, UINT64_MAX, 0 })

/*
 * Only TCP tells (tcp(7), TCP_INFO; tcpi_bytes_sent is there since Linux 4.19). Returns 0, or a negative errno if it can't
 * be known: -EOPNOTSUPP for other sockets, -ENOTCONN for a connection that has ended.
 */
int byte_counts_get(int fd, ByteCounts *ret);

/* Has the client sent its FIN? Takes the lock as well. */
bool byte_counts_has_fin(int fd);
