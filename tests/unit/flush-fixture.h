/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Clients whose response is begun by a flusher, and workers that go on with it. */

#include "tcp-fixture.h"

#include <arpa/inet.h>

#include "broker/handback.h"
#include "handoff/message.h"

#define HEAD "POST /x HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\n"

int dial_request(const char *text);

int accept_one(int worker);

/* The worker's side of a stream: one byte, and the client. */
int receive_client(int conn);

/* A connection without a client shows that there was a place for it. It is closed if the client has to be flushed first. */
int take(int worker);

/* The same with a message. */
int take_with_message(int worker, Message *ret);

/* All that the client gets until its end (true) or a reset. */
bool read_all(int fd, char ret[static 65536]);

/* A response begins with this line, and ends in this, with one head between. */
void assert_response(const char *got, const char *line, const char *body);

void expect_served(int fd, const char *body);

void expect_waiting(int fd, const char *text);

void serve(int client, const char *waiting, const char *body);

void expect_empty_broker(void);

/* Hands @fd back with these consumed bytes, for the route of this name, if any. */
void hand_back_named(int fd, const char *name, const char *consumed, unsigned status, uint8_t expected);
