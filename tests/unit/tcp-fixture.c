/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tcp-fixture.h"

struct sockaddr_in tcp;

int listen_tcp(void) {
        socklen_t len = sizeof(tcp);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        tcp = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        assert_int_equal(bind(fd, (struct sockaddr *) &tcp, len), 0);
        assert_int_equal(listen(fd, 128), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *) &tcp, &len), 0);
        return fd;
}

void add_tcp(const char *name) {
        assert_int_equal(broker_add_listener(t.broker, name, listen_tcp()), 0);
}

int connect_tcp(void) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(connect(fd, (const struct sockaddr *) &tcp, sizeof(tcp)), 0);
        return fd;
}

int dial_tcp(char what) {
        int fd = connect_tcp();

        assert_int_equal(send(fd, &what, 1, 0), 1);
        return fd;
}

void dial_rest(int *clients, size_t first, size_t n) {
        for (size_t i = first; i < n; i++)
                clients[i] = dial_tcp((char) ('a' + i));
}

void dial_many(int *clients, size_t n) {
        dial_rest(clients, 0, n);
}

char byte_of(int client) {
        char byte = 0;

        assert_int_equal(recv(client, &byte, 1, 0), 1);
        return byte;
}

int setup_tcp(void **state) {
        (void) setup(state);
        add_tcp("tcp");
        return 0;
}
