/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* TCP clients that a test hands back to the broker, and the workers that get them. */

#include "tcp-fixture.h"

#include <arpa/inet.h>

#include "broker/handback.h"
#include "handoff/message.h"

#define HEAD_A "GET /a HTTP/1.1\r\nHost: example.org\r\n\r\n"

/* The broker takes hand-backs at @return_fd, and routes GET /a to "a", and what is for "stream" to "b". */
void start_handback(int return_fd);

/* Both ends of a TCP connection: the client's, and the descriptor of it that a worker has. */
void tcp_pair(int *ret_client, int *ret_worker);

int connect_type(const char *name, int type);
/* A connection to the broker's socket for hand-backs. */
int connect_return(void);

/* Hands back @fd, which is closed, on @conn. The second function leaves the listener in @m as it is. */
void send_back(int conn, int fd, Message m);
void send_message(int conn, int fd, Message m);
/* The same on a new connection, which is returned. */
int hand_back(int fd, Message m);
/* Waits for the broker's answer on @conn, which is closed. */
void expect_answer(int conn, uint8_t expected);

/*
 * The worker's side: takes a client with its message, finds @text in its socket, which blocks, and closes it. The message
 * points into a buffer that the next call overwrites.
 */
Message take_message(int worker, const char *text);

static inline void expect_slice(Slice s, Slice expected) {
        assert_int_equal(s.n, expected.n);
        if (s.n > 0)
                assert_memory_equal(s.p, expected.p, expected.n);
}
