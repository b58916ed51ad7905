/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handback-fixture.h"

#include <string.h>
#include <unistd.h>

static uint8_t bytes[FDPASS_MESSAGE_MAX]; /* of the last message */

void tcp_pair(int *ret_client, int *ret_worker) {
        struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof(sin);
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(bind(listener, (struct sockaddr *) &sin, sizeof(sin)), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *) &sin, &len), 0);
        *ret_client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(*ret_client, (struct sockaddr *) &sin, sizeof(sin)), 0);
        *ret_worker = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        assert_true(*ret_worker >= 0);
        fd_close(listener);
}

int connect_type(const char *name, int type) {
        struct sockaddr_un sun;
        socklen_t len;
        char path[64];
        int fd;

        path_of(name, path);
        assert_int_equal(address_from_path(path, &sun, &len), 0);
        fd = handoff_connect_type(&sun, len, type);
        assert_true(fd >= 0);
        return fd;
}

int connect_return(void) {
        return connect_type("return", SOCK_SEQPACKET);
}

void send_back(int conn, int fd, Message m) {
        m.listener = SLICE_LITERAL("public");
        send_message(conn, fd, m);
}

void send_message(int conn, int fd, Message m) {
        uint8_t header[FDPASS_HEADER_MAX];
        size_t n;

        assert_int_equal(message_encode(&m, header, sizeof(header), &n), 0);
        assert_int_equal(handoff_send_message(conn, (Slice){ header, n }, m.consumed, fd), 0);
        fd_close(fd);
}

int hand_back(int fd, Message m) {
        int conn = connect_return();

        send_back(conn, fd, m);
        return conn;
}

void expect_answer(int conn, uint8_t expected) {
        uint8_t answer = 0;

        WAIT_FOR(has_event(conn, POLLIN));
        assert_int_equal(recv(conn, &answer, 1, MSG_DONTWAIT), 1);
        assert_int_equal(answer, expected);
        fd_close(conn);
}

Message take_message(int worker, const char *text) {
        char buffer[256] = "";
        int conn, client = -EBADF;
        Message m;
        size_t n;

        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive_message(conn, 0, bytes, sizeof(bytes), &n, &client), 0);
        assert_int_equal(message_decode(bytes, n, &m), 0);
        fd_close(conn);

        assert_false(fcntl(client, F_GETFL) & O_NONBLOCK);
        (void) !recv(client, buffer, sizeof(buffer) - 1, MSG_DONTWAIT);
        assert_string_equal(buffer, text);
        fd_close(client);
        return m;
}

void start_handback(int return_fd) {
        assert_int_equal(handback_listen(t.broker, "return", return_fd), 0);
        t.max_per_source = t.max_per_source ?: 1000;
        USE({ .unit = "a.socket", .worker = "a", .host = "example.org", .path = "/a", .transport = TRANSPORT_SEQPACKET },
            { .unit = "b.socket", .worker = "b", .transport = TRANSPORT_SEQPACKET, .name = "stream" });
}
