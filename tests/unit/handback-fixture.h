/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* TCP clients that a test hands back to the broker, and the workers that get them. */

#include "broker-fixture.h"

#include <arpa/inet.h>

#include "broker/handback.h"
#include "handoff/message.h"

#define HEAD_A "GET /a HTTP/1.1\r\nHost: example.org\r\n\r\n"

void say(int fd, const char *text);

/* Both ends of a TCP connection: the client's, and the descriptor of it that a worker has. */
void tcp_pair(int *ret_client, int *ret_worker);

int connect_type(const char *name, int type);
/* A connection to the broker's socket for hand-backs. */
int connect_return(void);

/* Hands back @fd, which is closed, on @conn. */
void send_back(int conn, int fd, Message m);
/* The same on a new connection, which is returned. */
int hand_back(int fd, Message m);
/* Waits for the broker's answer on @conn, which is closed. */
void expect_answer(int conn, uint8_t expected);

/*
 * The worker's side: takes a client with its message, finds @text in its socket, which blocks, and closes it. The message
 * points into a buffer that the next call overwrites.
 */
Message take_message(int worker, const char *text);
