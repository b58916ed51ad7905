/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asks the kernel for the TCP sockets of this network namespace (sock_diag(7)). Any user may ask. */

#include <linux/inet_diag.h>
#include <stddef.h>
#include <stdint.h>

/* States in which a connection has not ended (include/net/tcp_states.h). linux/tcp.h does not have them. */
enum {
        SOCKET_ESTABLISHED = 1,
        SOCKET_SYN_RECV = 3,
        SOCKET_FIN_WAIT1 = 4,
        SOCKET_FIN_WAIT2 = 5,
        SOCKET_CLOSE_WAIT = 8,
        SOCKET_LAST_ACK = 9,
        SOCKET_CLOSING = 11,
        SOCKET_NEW_SYN_RECV = 12, /* reported as SOCKET_SYN_RECV */
};

#define SOCKET_STATES                                                                                              \
        (1U << SOCKET_ESTABLISHED | 1U << SOCKET_FIN_WAIT1 | 1U << SOCKET_FIN_WAIT2 | 1U << SOCKET_CLOSE_WAIT |     \
         1U << SOCKET_LAST_ACK | 1U << SOCKET_CLOSING)

/*
 * Called for each socket. @info are @n bytes of struct tcp_info, or NULL. A negative errno ends the list.
 */
typedef int SocketDumpHandler(void *userdata, const struct inet_diag_msg *m, const void *info, size_t n);

/* Calls @handler for each socket in one of @states (SOCKET_STATES). Returns 0 or a negative errno. */
int socket_dump(uint32_t states, SocketDumpHandler *handler, void *userdata);
