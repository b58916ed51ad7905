/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Counts the bytes of a TCP connection, to find out whether a worker has touched it. All calls take the lock of the
 * socket. So they may wait for another process that holds the socket. After a handoff only the helper calls them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that this end of a connection has read, written and received. */
typedef struct ByteCounts {
        uint64_t n_read;
        uint64_t n_written;
        uint64_t n_received; /* read and unread bytes; falls only if the socket gets another connection */
        size_t n_peeked;     /* kTLS only: bytes that were peeked at and are unread; see byte_counts_mark() */
} ByteCounts;

/* Counts that no socket reaches, for a socket that must never count as untouched. */
#define BYTE_COUNTS_UNKNOWN ((ByteCounts){ UINT64_MAX, UINT64_MAX, 0, 0 })

/*
 * Reads the counts of @fd. Only sockets of TCP have them (tcp(7), TCP_INFO; tcpi_bytes_sent is there since Linux 4.19).
 * Returns 0 or a negative errno: -EOPNOTSUPP for other sockets, -ENOTCONN if the connection has ended, -EAGAIN if they
 * changed all the time.
 */
int byte_counts_get(int fd, ByteCounts *ret);

/*
 * The same for a socket with the kernel's TLS (handoff/ktls.h), of which all but @n_received count encrypted bytes. A
 * peek moves encrypted bytes out of TCP's queue, so it counts as a read there. A worker that then reads the peeked bytes
 * changes no count. So the mark also has their number: @n_peeked, what a peek with room for @size bytes has just
 * returned. If that is all the room, more bytes may be peeked at, and the mark is BYTE_COUNTS_UNKNOWN.
 */
ByteCounts byte_counts_mark(int fd, size_t n_peeked, size_t size);

/*
 * True if no byte was read from @fd or written to it since @mark was taken. Peeks at the bytes of the mark again, with
 * @buffer of @size bytes. Bytes that came later do not matter. A worker that only peeked may count as one that read.
 */
bool byte_counts_keep_mark(int fd, const ByteCounts *mark, void *buffer, size_t size);

/* True if @fd is a TCP socket whose client has sent its FIN. */
bool byte_counts_has_fin(int fd);
