/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Asks the kernel about live connections (sock_diag(7)). Any user may ask. The broker does not do it for fdpassctl. Such
 * a question walks through all TCP sockets of the host, and clients would wait for that.
 */

#include "fdpassctl/value.h"

/*
 * Adds what the kernel knows to each dictionary of the list @rows that has an entry Cookie:
 *
 * - BytesIn: bytes from the client
 * - BytesOut: bytes that the client has acknowledged
 * - IdleUSec: time since the last byte in either direction, in µs
 * - RTTUSec: smoothed round-trip time, in µs
 *
 * A connection that has ended meanwhile gets none of them. Prints an error. Returns 0 or a negative errno.
 */
int socket_facts_add(Value *rows);
