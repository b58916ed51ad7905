/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The broker of broker-fixture.h with a TCP listener on loopback: TCP shows whether a client is untouched. */

#include "broker-fixture.h"

#include <netinet/in.h>

extern struct sockaddr_in tcp; /* the last address of listen_tcp() */

/* A socket that listens on loopback. */
int listen_tcp(void);
/* It becomes a listener of the broker. */
void add_tcp(const char *name);

/* A client, and one that has sent a byte. */
int connect_tcp(void);
int dial_tcp(char what);
/* Clients that send 'a', 'b', ... The first function leaves out the first @first ones. */
void dial_rest(int *clients, size_t first, size_t n);
void dial_many(int *clients, size_t n);

/* The byte that a client has sent, which waits for it. */
char byte_of(int client);

/* setup(), with a listener "tcp". */
int setup_tcp(void **state);

#define TCP_TEST(f) cmocka_unit_test_setup_teardown(f, setup_tcp, teardown)
