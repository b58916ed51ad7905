/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tcp-fixture.h"

struct sockaddr_in tcp;

int setup_tcp(void **state) {
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

int dial_tcp(char what) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(connect(fd, (const struct sockaddr *) &tcp, sizeof(tcp)), 0);
        assert_int_equal(send(fd, &what, 1, 0), 1);
        return fd;
}
