/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The broker of broker-fixture.h with a TCP listener on loopback: TCP shows whether a client is untouched. */

#include "broker-fixture.h"

#include <netinet/in.h>

extern struct sockaddr_in tcp; /* the listener's address */

int setup_tcp(void **state);

/* A client that has sent the byte @what. */
int dial_tcp(char what);

#define TCP_TEST(f) cmocka_unit_test_setup_teardown(f, setup_tcp, teardown)
