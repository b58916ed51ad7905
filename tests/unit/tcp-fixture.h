/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The broker of broker-fixture.h with a listener for TCP on loopback, of whose clients it is known who is untouched. */

#include "broker-fixture.h"

#include <netinet/in.h>

static struct sockaddr_in tcp;

static int setup_tcp(void **state) {
        socklen_t len = sizeof(tcp);
        int fd;

        (void) setup(state);
        tcp = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &tcp, len), 0);
        assert_int_equal(listen(fd, 128), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *) &tcp, &len), 0);
        assert_int_equal(broker_add_listener(t.broker, "tcp", fd), 0);
        return 0;
}

static int dial_tcp(char what) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(connect(fd, (const struct sockaddr *) &tcp, sizeof(tcp)), 0);
        assert_int_equal(send(fd, &what, 1, 0), 1);
        return fd;
}

#define TCP_TEST(f) cmocka_unit_test_setup_teardown(f, setup_tcp, teardown)
