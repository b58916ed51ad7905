/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One handoff: one client's socket passed to one worker over one AF_UNIX connection.
 *
 * Stream form, as mod_proxy_fdpass, OpenSSH's mm_send_fd() and `nc -F` send it: exactly one byte 0x00 with
 * exactly one file descriptor, cmsg_len = CMSG_LEN(sizeof(int)), and nothing before or behind it.
 *
 * The receipt is the kernel's: once the worker has closed the connection, or died, the sender reads
 *
 *   EOF           the message was received: the client is the worker's;
 *   ECONNRESET    it was still unread (unix_release_sock() in the kernel sets it in just that case, and
 *                 before it throws the message away): the client is still ours;
 *   anything else is data of the worker's, which it can only have sent after it accepted.
 */

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "basic/macro.h"

/* What a worker's connection tells of the message that was sent on it. */
typedef enum Receipt {
        RECEIPT_NONE,  /* it is still in the worker's backlog, or in its connection */
        RECEIPT_TAKEN, /* the worker received it */
        RECEIPT_RESET, /* the worker went away without it */
} Receipt;

/*
 * Connects to a worker. Never blocks: where the worker's backlog is full this returns -EAGAIN at once
 * (connect(2) on AF_UNIX knows no EINPROGRESS, and no poll event tells of a free place). Other errors are
 * connect(2)'s: -ENOENT and -ECONNREFUSED (nobody listens), -EACCES, -EPROTOTYPE (another socket type) ….
 * Returns an owned, non-blocking fd.
 */
int handoff_connect(const struct sockaddr_un *worker, socklen_t len);

/*
 * Sends @client_fd on @conn_fd. The descriptor is *not* consumed: the worker gets a duplicate, and the
 * sender keeps its copy for as long as it has no receipt. Returns 0 or a negative errno; then nothing was sent.
 */
int handoff_send(int conn_fd, int client_fd);

/*
 * Looks for the receipt without waiting. Where the worker keeps the connection open this tells by the
 * amount of unread bytes (SIOCOUTQ) that the message was received, if @look_into_queue asks for that
 * second system call; without it, such a worker's receipt only comes with its close().
 */
Receipt handoff_receipt(int conn_fd, bool look_into_queue);

/* Conditions of handoff_receive(). */
enum {
        HANDOFF_CLOSED = 1, /* the sender went away without a message */
        HANDOFF_INVALID,    /* not the one byte and the one descriptor; all that came was closed */
        HANDOFF_NO_FD,      /* the descriptor was dropped on the way: this process is at its RLIMIT_NOFILE,
                             * or a security module objected (recvmsg(2), MSG_CTRUNC) */
};

/*
 * The worker's end: receives one message from @conn_fd, blocking or not as the descriptor is set, and puts
 * the client, an owned fd with FD_CLOEXEC, into *ret_client_fd. Returns 0, one of the conditions above, or
 * a negative errno (-EAGAIN: nothing there yet).
 */
int handoff_receive(int conn_fd, int *ret_client_fd);
