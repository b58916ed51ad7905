/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Counts the bytes of a TCP connection, to find out whether a worker has touched it. All calls take the lock of the
 * socket. So they may wait for another process that holds the socket. After a handoff only the helper calls them.
 */

#include <stdbool.h>
#include <stdint.h>

/* Bytes that this end of a connection has read, written and received. */
typedef struct ByteCounts {
        uint64_t n_read;
        uint64_t n_written;
        uint64_t n_received; /* read and unread bytes; falls only if the socket gets another connection */
} ByteCounts;

/* Counts that no socket reaches, for a socket that must never count as untouched. */
#define BYTE_COUNTS_UNKNOWN ((ByteCounts){ UINT64_MAX, UINT64_MAX, 0 })

/*
 * Reads the counts of @fd. Only sockets of TCP have them (tcp(7), TCP_INFO; tcpi_bytes_sent is there since Linux 4.19).
 * Returns 0 or a negative errno: -EOPNOTSUPP for other sockets, -ENOTCONN if the connection has ended, -EAGAIN if they
 * changed all the time.
 */
int byte_counts_get(int fd, ByteCounts *ret);

/* True if @fd is a TCP socket whose client has sent its FIN. */
bool byte_counts_has_fin(int fd);
