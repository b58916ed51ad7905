/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connection that brings one client to fdpass_accept(). */

#include <stdbool.h>

#include "libfdpass/listener.h"
#include "libfdpass/object.h"

typedef struct AcceptConn {
        int type;           /* SOCK_STREAM or SOCK_SEQPACKET */
        int fd;             /* -EBADF: none */
        int callers_fd;     /* the caller's socket; not owned */
        Listener *listener; /* what is known of it; NULL: nothing */
        bool is_callers;    /* the caller owns @fd (Accept=yes) */
        bool is_received;   /* the message was taken out of @fd */
        uint8_t answer;     /* FDPASS_ANSWER_… for the sender; 0: only the end of the connection */
} AcceptConn;

#define ACCEPT_CONN_NULL ((AcceptConn){ .fd = -EBADF })

/*
 * Takes the next connection from @fd, or @fd itself if it is a connection (Accept=yes). Waits for it if @fd blocks. *c
 * has to be ACCEPT_CONN_NULL. Returns 0, or a negative errno as of fdpass_accept().
 */
int accept_conn_open(AcceptConn *c, int fd);

/*
 * Receives the message into the bytes of @f, at most @size of them. *ret_client_fd is an owned fd then. Returns 0, or a
 * negative errno for the caller of fdpass_accept(); AcceptConn.answer is the answer for the sender.
 */
int accept_conn_receive(AcceptConn *c, struct fdpass *f, size_t size, size_t *ret_n, int *ret_client_fd);

/*
 * Gives the answer and ends the connection. A connection that ends with its message unread tells the sender that the
 * client is still its own.
 */
void accept_conn_done(AcceptConn *c);
