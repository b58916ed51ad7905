/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The system calls of a server under fdpass-preload.so for one client, from one epoll_pwait(2) to the next one. Eight of them
 * preload-server makes itself: getpeername, getsockname, two times getsockopt and fcntl, sendto, close. Three more ask
 * whether a descriptor is still the client, because the message has other addresses than the socket. One or two set what
 * the client would inherit from the listener. The numbers are limits: fewer are fine.
 */

#include "call-count.h"
#include "preload-fixture.h"

/* As the broker tells a client: with its addresses. */
static Message tcp_message(unsigned persistent_max) {
        Message m = MESSAGE_NULL;

        m.source.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = 7, .sin_addr.s_addr = htonl(0xc0000207) };
        m.destination.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = 80, .sin_addr.s_addr = htonl(0xc6336401) };
        m.persistent_max = (uint8_t) persistent_max;
        return m;
}

/* Serves one client, with the server not traced. Returns its connection. */
static int serve_one(const Server *s, const Message *m) {
        int client[2], conn;
        char line[256];

        client_pair(client);
        conn = hand_over(s, m, client[1]);
        fd_close(client[1]);
        read_answer(client[0], line, sizeof(line));
        fd_close(client[0]);
        return conn;
}

static void send_kept(int conn_fd, const Message *m, int client_fd) {
        uint8_t header[FDPASS_HEADER_MAX];
        size_t n;

        assert_int_equal(message_encode(m, header, sizeof(header), &n), 0);
        assert_int_equal(handoff_send_batch(conn_fd, (Slice){ header, n }, &client_fd, 1), 0);
}

static void count_client(bool is_kept, const char *listen, unsigned max, const char *what) {
        const Message first = tcp_message(is_kept ? FDPASS_PERSISTENT_MAX : 0), m = tcp_message(0);
        CallCount count = {};
        int client[2], conn;
        Server s;

        server_start(&s, SOCK_SEQPACKET, listen, "epoll", "n", "8080");
        conn = serve_one(&s, &first);

        call_count_seize(s.pid, SYS_epoll_pwait);
        client_pair(client);
        if (is_kept)
                send_kept(conn, &m, client[1]);
        else {
                fd_close(conn);
                conn = hand_over(&s, &m, client[1]);
        }
        call_count_run(s.pid, SYS_epoll_pwait, &count);
        assert_int_equal(ptrace(PTRACE_DETACH, s.pid, NULL, NULL), 0);
        assert_calls(&count, max, what);

        fd_close(conn);
        pair_close(client);
        server_stop(&s);
}

static void test_connection(void **state) {
        count_client(false, "4", 22, "a connection for each client, the program's own listener");
        count_client(false, "fd", 21, "a connection for each client, descriptor 3");
}

static void test_kept(void **state) {
        count_client(true, "4", 17, "persistent connection, the program's own listener");
        count_client(true, "fd", 16, "persistent connection, descriptor 3");
}

TEST_MAIN(TEST(test_connection), TEST(test_kept))
