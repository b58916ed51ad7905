/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "flush-fixture.h"

static uint8_t bytes[FDPASS_MESSAGE_MAX];

int dial_request(const char *text) {
        int fd = connect_tcp();

        say(fd, text);
        return fd;
}

int accept_one(int worker) {
        int conn;

        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_true(conn >= 0);
        return conn;
}

int receive_client(int conn) {
        int client = -EBADF;

        assert_int_equal(handoff_receive(conn, &client), 0);
        assert_false(fcntl(client, F_GETFL) & O_NONBLOCK);
        return client;
}

int take(int worker) {
        int client = -EBADF, r;

        do {
                int conn = accept_one(worker);

                WAIT_FOR(has_event(conn, POLLIN));
                r = handoff_receive(conn, &client);
                fd_close(conn);
        } while (r == HANDOFF_CLOSED);

        assert_int_equal(r, 0);
        assert_false(fcntl(client, F_GETFL) & O_NONBLOCK);
        return client;
}

int take_with_message(int worker, Message *ret) {
        int conn = accept_one(worker), client = -EBADF;
        size_t n;

        assert_int_equal(handoff_receive_message(conn, 0, bytes, sizeof(bytes), &n, &client), 0);
        assert_int_equal(message_decode(bytes, n, ret), 0);
        fd_close(conn);
        return client;
}

bool read_all(int fd, char ret[static 65536]) {
        size_t n = 0;
        ssize_t k;

        for (;;) {
                WAIT_FOR(has_event(fd, POLLIN));
                k = recv(fd, ret + n, 65535 - n, MSG_DONTWAIT);
                if (k <= 0)
                        break;
                n += (size_t) k;
        }

        ret[n] = '\0';
        return k == 0;
}

void assert_response(const char *got, const char *line, const char *body) {
        const char *end = strstr(got, "\r\n\r\n");

        assert_non_null(startswith(got, line));
        assert_non_null(end);
        assert_string_equal(end + 4, body);
        assert_null(strstr(end, "HTTP/1.1"));
}

void expect_served(int fd, const char *body) {
        char got[65536];

        assert_true(read_all(fd, got));
        assert_response(got, "HTTP/1.1 200 OK\r\nDate: ", body);
        assert_non_null(strstr(got, "\r\nServer: test\r\nConnection: close\r\n\r\n"));
        fd_close(fd);
}

void expect_waiting(int fd, const char *text) {
        char buffer[256] = "";

        (void) !recv(fd, buffer, sizeof(buffer) - 1, MSG_DONTWAIT);
        assert_string_equal(buffer, text);
}

void serve(int client, const char *waiting, const char *body) {
        expect_waiting(client, waiting);
        say(client, body);
        fd_close(client);
}

void expect_empty_broker(void) {
        WAIT_FOR(n_in_broker() == 0);
}

void hand_back_named(int fd, const char *name, const char *consumed, unsigned status, uint8_t expected) {
        uint8_t header[FDPASS_HEADER_MAX], answer = 0;
        struct sockaddr_un sun;
        Message m = MESSAGE_NULL;
        socklen_t len;
        char path[64];
        int conn;
        size_t n;

        path_of("return", path);
        assert_int_equal(address_from_path(path, &sun, &len), 0);
        conn = handoff_connect_type(&sun, len, SOCK_SEQPACKET);
        m.listener = SLICE_LITERAL("public");
        m.name = name ? slice_from_string(name) : (Slice){};
        m.consumed = slice_from_string(consumed);
        m.status = (uint16_t) status;
        m.head_length = status != 0 ? (uint32_t) m.consumed.n : 0;
        assert_int_equal(message_encode(&m, header, sizeof(header), &n), 0);
        assert_int_equal(handoff_send_message(conn, (Slice){ header, n }, m.consumed, fd), 0);
        fd_close(fd);
        WAIT_FOR(has_event(conn, POLLIN));
        assert_int_equal(recv(conn, &answer, 1, MSG_DONTWAIT), 1);
        assert_int_equal(answer, expected);
        fd_close(conn);
}
