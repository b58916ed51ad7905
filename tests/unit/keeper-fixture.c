/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "keeper-fixture.h"

#include <netinet/tcp.h>
#include <sys/un.h>

#include "handoff/scope.h"

void keeper_listen(Keeper *k, int backlog) {
        struct sockaddr_un address;
        socklen_t length;

        assert_int_equal(address_from_path(k->return_path, &address, &length), 0);
        (void) unlink(k->return_path);
        k->return_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        assert_true(k->return_fd >= 0);
        assert_int_equal(bind(k->return_fd, (struct sockaddr *) &address, length), 0);
        assert_int_equal(listen(k->return_fd, backlog), 0);
}

static void keeper_exec(Keeper *k, const char *preload, const char *wait, const char *letters, int out) {
        const char *program = PRELOAD_KEEPER;

        (void) dup2(out, STDOUT_FILENO);
        (void) dup2(k->s.f.fd, 100);
        (void) close_range(3, 99, 0);
        (void) dup2(100, 3);
        (void) close(100);
        (void) setenv("LISTEN_FDS", "1", 1);
        (void) setenv("FDPASS_SOCKET", k->s.f.path, 1);
        (void) setenv("FDPASS_RETURN", k->return_path, 1);
        (void) setenv("LD_PRELOAD", preload, 1);
        (void) execl(program, program, wait, letters, (char *) NULL);
        _exit(127);
}

void keeper_start_with(Keeper *k, int type, const char *preload, const char *wait, const char *letters) {
        char line[16];
        int out[2];

        *k = (Keeper){ .back_fd = -EBADF };
        (void) snprintf(k->return_path, sizeof(k->return_path), "/tmp/fdpass-unit-%i-return.sock", (int) getpid());
        keeper_listen(k, 64);
        fixture_open(&k->s.f, type, 0, 64);

        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        k->s.pid = fork();
        assert_true(k->s.pid >= 0);
        if (k->s.pid == 0)
                keeper_exec(k, preload, wait, letters, out[1]);

        fd_close(out[1]);
        k->s.out = out[0];
        k->s.err = -EBADF;
        read_line(k->s.out, line, sizeof(line));
        assert_string_equal(line, "ready\n");
}

void keeper_start(Keeper *k, const char *wait, const char *letters) {
        keeper_start_with(k, SOCK_SEQPACKET, PRELOAD, wait, letters);
}

void keeper_stop(Keeper *k) {
        if (k->back_fd >= 0)
                fd_close(k->back_fd);
        fd_close(k->return_fd);
        (void) unlink(k->return_path);
        server_stop(&k->s);
}

/* Takes the receipt of a client. The server may want to keep the connection. */
static void keeper_settle(Keeper *k, int conn) {
        int answer = end_of(conn);

        if (answer == FDPASS_ANSWER_RETURN && !k->refuses) {
                assert_int_equal(k->back_fd, -EBADF);
                k->back_fd = conn;
                assert_int_equal(handoff_accept_rights(conn), 0);
                assert_int_equal(send(conn, "\x11", 1, MSG_NOSIGNAL), 1);
                return;
        }

        assert_true(answer == 0 || answer == FDPASS_ANSWER_RETURN);
        fd_close(conn);
}

/* Hands @fd over with these items of a scope: pairs of a kind and a text. NULL: without a scope. */
void keeper_give_fd(Keeper *k, int fd, const char *const *items) {
        Message m = MESSAGE_NULL;
        uint8_t bytes[FDPASS_HEADER_MAX];
        size_t n, length;
        ScopeWriter w;
        int conn;

        if (k->s.f.type == SOCK_STREAM) {
                keeper_settle(k, hand_over(&k->s, NULL, fd));
                return;
        }

        m.listener = SLICE_LITERAL("web");
        m.route = SLICE_LITERAL("site.socket");
        m.unique_id = SLICE_LITERAL("0123");
        m.authority = SLICE_LITERAL("a.example");
        m.protocol = SLICE_LITERAL("http");
        m.deadline = usec_now() + WAIT_SEC * USEC_PER_SEC;
        m.ssl = k->is_secure ? SLICE_LITERAL("\x01\x00\x00\x00\x00") : (Slice){};
        m.next = k->is_unseen ? SLICE_LITERAL("\x01") : (Slice){};
        assert_int_equal(message_encode(&m, bytes, sizeof(bytes), &n), 0);

        if (items) {
                scope_begin(&w, 1);
                for (size_t i = 0; items[i]; i++)
                        assert_true(scope_add(&w, (uint8_t) items[i][0], slice_from_string(items[i] + 1)));
                if (k->is_drained)
                        w.bytes[0] |= FDPASS_SCOPE_ASK | FDPASS_SCOPE_DRAINED;
                bytes[n++] = FDPASS_TLV_SCOPE;
                bytes[n++] = (uint8_t) (w.n >> 8);
                bytes[n++] = (uint8_t) w.n;
                memcpy(bytes + n, w.bytes, w.n);
                n += w.n;
                length = n - 16;
                bytes[14] = (uint8_t) (length >> 8);
                bytes[15] = (uint8_t) length;
        }

        conn = fixture_connect(&k->s.f);
        send_raw(conn, bytes, n, fd, 1);
        keeper_settle(k, conn);
}

const char *const own[] = { "ha.example", "p/own", "x/own/but", NULL };

/* Makes a client that does not wait for acknowledgements (Nagle), because it sends parts of requests. */
void quick_pair(int ret[static 2]) {
        int on = 1;

        client_pair(ret);
        assert_int_equal(setsockopt(ret[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
}

/* Hands a new client over, which sends @first. Returns its own end. */
int keeper_give(Keeper *k, const char *const *items, const char *first) {
        int pair[2];

        quick_pair(pair);
        assert_int_equal(send(pair[0], first, strlen(first), MSG_NOSIGNAL), (ssize_t) strlen(first));
        keeper_give_fd(k, pair[1], items);
        fd_close(pair[1]);
        return pair[0];
}

void say(int fd, const char *bytes) {
        assert_int_equal(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL), (ssize_t) strlen(bytes));
}

bool has_bytes(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        return poll(&p, 1, WAIT_SEC * 1000) == 1;
}

/* Reads until the answers end with @end. */
void read_until(int fd, const char *end, char *ret, size_t size) {
        size_t n = 0;

        ret[0] = '\0';
        while (n < strlen(end) || strcmp(ret + n - strlen(end), end) != 0) {
                ssize_t k;

                assert_true(has_bytes(fd));
                k = recv(fd, ret + n, size - 1 - n, 0);
                if (k <= 0)
                        fail_msg("no more than \"%s\"", ret);
                n += (size_t) k;
                ret[n] = '\0';
        }
}

/* Checks that the server answers with this line. */
void expect(int fd, const char *line) {
        char answer[4096];

        read_until(fd, line, answer, sizeof(answer));
}

/* The connection was closed, and nothing came before. */
void expect_end(int fd) {
        char byte;

        assert_true(has_bytes(fd));
        assert_true(recv(fd, &byte, 1, 0) <= 0);
}

bool has_message(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        return poll(&p, 1, 0) == 1;
}

/* Receives the client that the server hands back. */
int receive_back(Keeper *k) {
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof(int))];
        } control = {};
        uint8_t header[FDPASS_HEADER_MAX];
        struct iovec iov = { .iov_base = header, .iov_len = sizeof(header) };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buffer,
                            .msg_controllen = sizeof(control.buffer) };
        struct pollfd p[2] = { { .fd = k->return_fd, .events = POLLIN }, { .fd = k->back_fd, .events = POLLIN } };
        Message message;
        ssize_t n;
        int fd;

        if (k->back_fd < 0) {
                assert_int_equal(poll(p, 1, WAIT_SEC * 1000), 1);
                k->back_fd = accept4(k->return_fd, NULL, NULL, SOCK_CLOEXEC);
                assert_true(k->back_fd >= 0);
        }

        p[1].fd = k->back_fd;
        assert_true(poll(p, 2, WAIT_SEC * 1000) >= 1);
        assert_false(p[0].revents & POLLIN); /* one connection is enough */
        n = recvmsg(k->back_fd, &m, MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == ECONNRESET) /* the server has ended with answers unread */
                n = recvmsg(k->back_fd, &m, MSG_CMSG_CLOEXEC);
        assert_true(n > 0);
        assert_non_null(CMSG_FIRSTHDR(&m));
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
        if (message_decode(header, (size_t) n, &message) != 0 || message.next.n == 0)
                (void) send(k->back_fd, "\x01", 1, MSG_NOSIGNAL); /* the server may have ended */

        /* It tells what is true of the connection, and no more. */
        assert_int_equal(message_decode(header, (size_t) n, &message), 0);
        assert_true(slice_equal(message.listener, SLICE_LITERAL("web")));
        assert_true(slice_equal(message.unique_id, SLICE_LITERAL("0123")));
        assert_int_equal(message.route.n + message.name.n + message.authority.n + message.protocol.n, 0);
        assert_int_equal(message.consumed.n, 0);
        assert_true(message.persistent_max == 0 && message.hops == 0 && message.deadline == MESSAGE_NO_DEADLINE);

        k->n_told = message.next.n;
        memcpy(k->told, message.next.p ?: header, k->n_told);
        return fd;
}

/* The next bytes of the client that is handed back are @bytes, and nothing else. */
int expect_back(Keeper *k, const char *bytes) {
        int fd = receive_back(k);
        const char *end;
        char got[4096];
        ssize_t n;

        assert_true(has_bytes(fd));
        n = recv(fd, got, sizeof(got) - 1, MSG_PEEK);
        assert_int_equal(n, (ssize_t) strlen(bytes));
        assert_memory_equal(got, bytes, (size_t) n);

        /* The whole head is told. A server that stops does not look, and tells nothing. */
        end = strstr(bytes, "\r\n\r\n");
        assert_true(k->n_told == 0 || (end && k->n_told == (size_t) (end + 4 - bytes)));
        assert_memory_equal(k->told, bytes, k->n_told);
        return fd;
}
