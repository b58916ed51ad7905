/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An unmodified server of HTTP/1.1 runs under fdpass-preload.so, with this program as its broker. It serves the requests
 * in the scope of a client. The client goes back before the server reads any other request.
 */

#include "preload-fixture.h"

#include <dirent.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "handoff/scope.h"

#define OWN "GET /own/%i HTTP/1.1\r\nHost: a.example\r\n\r\n"
#define FOREIGN "GET /other HTTP/1.1\r\nHost: a.example\r\n\r\n"

typedef struct Keeper {
        Server s;
        char return_path[64];
        int return_fd; /* the broker's return socket */
        int back_fd;   /* the connection on which it hands back */
        bool is_unseen; /* the broker says that it has not looked at the next client (NEXT) */
        char told[FDPASS_NEXT_MAX]; /* head of the next request, as the server has told it */
        size_t n_told;
        bool refuses;  /* the broker keeps no connection: the server connects to the return socket */
} Keeper;

static void keeper_listen(Keeper *k, int backlog) {
        struct sockaddr_un address;
        socklen_t length;

        assert_int_equal(address_from_path(k->return_path, &address, &length), 0);
        (void) unlink(k->return_path);
        k->return_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        assert_true(k->return_fd >= 0);
        assert_int_equal(bind(k->return_fd, (struct sockaddr *) &address, length), 0);
        assert_int_equal(listen(k->return_fd, backlog), 0);
}

static void keeper_exec(Keeper *k, const char *wait, const char *letters, int out) {
        const char *preload = PRELOAD, *program = PRELOAD_KEEPER;

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

static void keeper_start(Keeper *k, const char *wait, const char *letters) {
        char line[16];
        int out[2];

        *k = (Keeper){ .back_fd = -EBADF };
        (void) snprintf(k->return_path, sizeof(k->return_path), "/tmp/fdpass-unit-%i-return.sock", (int) getpid());
        keeper_listen(k, 64);
        fixture_open(&k->s.f, SOCK_SEQPACKET, 0, 64);

        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        k->s.pid = fork();
        assert_true(k->s.pid >= 0);
        if (k->s.pid == 0)
                keeper_exec(k, wait, letters, out[1]);

        fd_close(out[1]);
        k->s.out = out[0];
        k->s.err = -EBADF;
        read_line(k->s.out, line, sizeof(line));
        assert_string_equal(line, "ready\n");
}

static void keeper_stop(Keeper *k) {
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
static void keeper_give_fd(Keeper *k, int fd, const char *const *items) {
        Message m = MESSAGE_NULL;
        uint8_t bytes[FDPASS_HEADER_MAX];
        size_t n, length;
        ScopeWriter w;
        int conn;

        m.listener = SLICE_LITERAL("web");
        m.route = SLICE_LITERAL("site.socket");
        m.unique_id = SLICE_LITERAL("0123");
        m.authority = SLICE_LITERAL("a.example");
        m.protocol = SLICE_LITERAL("http");
        m.deadline = usec_now() + WAIT_SEC * USEC_PER_SEC;
        m.next = k->is_unseen ? SLICE_LITERAL("\x01") : (Slice){};
        assert_int_equal(message_encode(&m, bytes, sizeof(bytes), &n), 0);

        if (items) {
                scope_begin(&w, 1);
                for (size_t i = 0; items[i]; i++)
                        assert_true(scope_add(&w, (uint8_t) items[i][0], slice_from_string(items[i] + 1)));
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

static const char *const own[] = { "ha.example", "p/own", "x/own/but", NULL };

/* Makes a client that does not wait for acknowledgements (Nagle), because it sends parts of requests. */
static void quick_pair(int ret[static 2]) {
        int on = 1;

        client_pair(ret);
        assert_int_equal(setsockopt(ret[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
}

/* Hands a new client over, which sends @first. Returns its own end. */
static int keeper_give(Keeper *k, const char *const *items, const char *first) {
        int pair[2];

        quick_pair(pair);
        assert_int_equal(send(pair[0], first, strlen(first), MSG_NOSIGNAL), (ssize_t) strlen(first));
        keeper_give_fd(k, pair[1], items);
        fd_close(pair[1]);
        return pair[0];
}

static void say(int fd, const char *bytes) {
        assert_int_equal(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL), (ssize_t) strlen(bytes));
}

static bool has_bytes(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        return poll(&p, 1, WAIT_SEC * 1000) == 1;
}

/* Reads until the answers end with @end. */
static void read_until(int fd, const char *end, char *ret, size_t size) {
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
static void expect(int fd, const char *line) {
        char answer[4096];

        read_until(fd, line, answer, sizeof(answer));
}

/* The connection was closed, and nothing came before. */
static void expect_end(int fd) {
        char byte;

        assert_true(has_bytes(fd));
        assert_true(recv(fd, &byte, 1, 0) <= 0);
}

static bool has_message(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        return poll(&p, 1, 0) == 1;
}

/* Receives the client that the server hands back. */
static int receive_back(Keeper *k) {
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
static int expect_back(Keeper *k, const char *bytes) {
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

static const struct {
        const char *wait, *letters;
} ways[] = {
        { "epoll", "" },  { "epoll", "r" }, { "epoll", "m" },   { "epoll", "s" },    { "epoll", "c" },
        { "epoll", "me" }, { "edge", "e" }, { "epoll", "e" }, { "edge", "" },   { "edge", "rc" },   { "poll", "" },      { "poll", "m" },
        { "poll", "re" }, { "threads", "" }, { "threads", "rs" }, { "threads", "mc" }, { "threads", "e" },
};

/* Own requests are answered, with bodies of all kinds; the first foreign one goes back, and the next worker answers. */
static void test_ways(void **state) {
        static const struct {
                const char *bytes, *answer;
                int length;
        } requests[] = {
                { "GET /own HTTP/1.1\r\nHost: A.example\r\n\r\n", "GET /own", 0 },
                { "GET /own/a?b=/other HTTP/1.1\r\nHost: a.example:80\r\n\r\n", "GET /own/a?b=/other", 0 },
                { "PUT /own HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello", "PUT /own", 5 },
                { "PUT /own HTTP/1.1\r\nHost: a.example\r\nContent-Length: 40\r\n\r\n" FOREIGN, "PUT /own", 40 },
                { "PUT /own HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n28\r\n" FOREIGN
                  "\r\n0\r\n\r\n", "PUT /own", 46 },
                { "PUT /own HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n", "PUT /own", 0 },
        };

        assert_int_equal(strlen(FOREIGN), 40);
        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                Keeper k;
                size_t before;
                int client, back;

                keeper_start(&k, ways[i].wait, ways[i].letters);
                before = count_fds(k.s.pid);
                client = keeper_give(&k, own, requests[0].bytes);
                for (size_t r = 0; r < ELEMENTSOF(requests); r++) {
                        char answer[64];

                        if (r > 0)
                                say(client, requests[r].bytes);
                        (void) snprintf(answer, sizeof(answer), "%s %i\n", requests[r].answer,
                                        strchr(ways[i].letters, 'e') ? 0 : requests[r].length);
                        expect(client, strchr(ways[i].letters, 'c') ? "0\r\n\r\n" : answer);
                }

                say(client, FOREIGN);
                back = expect_back(&k, FOREIGN);
                say(back, "served by the next worker\n");
                expect(client, "served by the next worker\n");
                assert_fds(&k.s, before + 1); /* the connection to the return socket */

                /* The server no longer gets its events. */
                fd_close(back);
                fd_close(client);
                keeper_stop(&k);
        }
}

/* A client at which the broker has not looked: its first request is compared, too. */
static void test_unseen(void **state) {
        static const char own_request[] = "GET /own HTTP/1.1\r\nHost: a.example\r\n\r\n";

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                Keeper k;
                int client;

                keeper_start(&k, ways[i].wait, ways[i].letters);
                client = keeper_give(&k, own, own_request);
                expect(client, strchr(ways[i].letters, 'c') ? "0\r\n\r\n" : "GET /own 0\n");
                fd_close(client);

                k.is_unseen = true;
                client = keeper_give(&k, own, own_request);
                expect(client, strchr(ways[i].letters, 'c') ? "0\r\n\r\n" : "GET /own 0\n");
                fd_close(client);

                client = keeper_give(&k, own, FOREIGN);
                fd_close(expect_back(&k, FOREIGN));
                fd_close(client);

                /* A scope that is not understood covers nothing. Without one the server does not get the client. */
                client = keeper_give(&k, NULL, own_request);
                expect_end(client);
                fd_close(client);
                keeper_stop(&k);
        }
}

/* The head is told only if the next worker gets the socket's options as they came. */
static void test_options(void **state) {
        static const struct {
                const char *letters;
                bool is_changed;
        } servers[] = { { "n", false }, { "l", true }, { "k", true } };

        for (size_t i = 0; i < ELEMENTSOF(servers); i++) {
                Keeper k;
                int client;

                keeper_start(&k, "epoll", servers[i].letters);
                client = keeper_give(&k, own, "GET /own HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(client, "GET /own 0\n");
                say(client, FOREIGN);
                fd_close(expect_back(&k, FOREIGN));
                assert_int_equal(k.n_told, servers[i].is_changed ? 0 : strlen(FOREIGN));
                fd_close(client);
                keeper_stop(&k);
        }
}

/* HEAD has no body, whatever its response says. */
static void test_head(void **state) {
        Keeper k;
        int client;

        keeper_start(&k, "epoll", "");
        client = keeper_give(&k, own, "HEAD /own HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "Content-Length: 12\r\n\r\n");
        say(client, FOREIGN);
        fd_close(expect_back(&k, FOREIGN));
        fd_close(client);
        keeper_stop(&k);
}

/* Requests and responses of each kind, one after the other on one connection, in each way of reading and writing. */
static void test_kinds(void **state) {
        static const struct {
                const char *request, *answer;
        } kinds[] = {
                { "HEAD /own HTTP/1.1\r\nHost: a.example\r\n\r\n", "\r\n\r\n" },
                { "GET /own/empty HTTP/1.1\r\nHost: a.example\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n" },
                { "GET /own/same HTTP/1.1\r\nHost: a.example\r\n\r\n", "Content-Length: 700\r\n\r\n" },
                { "GET /own/events HTTP/1.1\r\nHost: a.example\r\n\r\n", "\r\n0\r\n\r\n" },
                { "PUT /own HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 40\r\n\r\n",
                  "HTTP/1.1 100 Continue\r\n\r\n" },
                { FOREIGN, "PUT /own 40\n" }, /* the body */
        };

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                int client, n = 0;
                Keeper k;

                if (strpbrk(ways[i].letters, "ce"))
                        continue;
                keeper_start(&k, ways[i].wait, ways[i].letters);
                client = keeper_give(&k, own, kinds[0].request);
                expect(client, kinds[0].answer);
                for (size_t r = 1; r < ELEMENTSOF(kinds); r++) {
                        say(client, kinds[r].request);
                        expect(client, kinds[r].answer);
                        n++;
                }
                assert_int_equal(n, ELEMENTSOF(kinds) - 1);
                say(client, FOREIGN);
                fd_close(expect_back(&k, FOREIGN));
                fd_close(client);
                keeper_stop(&k);
        }
}

/* Bytes behind an upgrade are the server's, whatever they look like. Before it, requests were followed. */
static void test_websocket(void **state) {
        Keeper k;
        int client;

        keeper_start(&k, "epoll", "");
        client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "GET /own/1 0\n");
        say(client, "GET /own/upgrade HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        expect(client, "GET /own/upgrade 0\n");
        say(client, FOREIGN);
        expect(client, "GET /other 0\n");
        fd_close(client);
        keeper_stop(&k);
}

/* A client closes between two requests. The server sees that, and no client goes back. */
static void test_client_closes(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                struct pollfd p;
                size_t before;
                Keeper k;
                int client;

                if (strchr(ways[i].letters, 'c'))
                        continue;
                keeper_start(&k, ways[i].wait, ways[i].letters);
                before = count_fds(k.s.pid);
                client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(client, "GET /own/1 0\n");
                assert_int_equal(shutdown(client, SHUT_WR), 0);
                expect_end(client);
                fd_close(client);
                assert_fds(&k.s, before + 1);
                p = (struct pollfd){ .fd = k.back_fd, .events = POLLIN };
                assert_int_equal(poll(&p, 1, 0), 0);
                keeper_stop(&k);
        }
}

/* The server is killed before it looks at the next request, and after it has handed the client back. */
static void test_killed(void **state) {
        Keeper k;
        int client, back;

        keeper_start(&k, "epoll", "");
        client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "GET /own/1 0\n");
        assert_int_equal(kill(k.s.pid, SIGSTOP), 0);
        say(client, FOREIGN);
        keeper_stop(&k);
        expect_end(client);
        fd_close(client);

        keeper_start(&k, "epoll", "");
        client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "GET /own/1 0\n");
        say(client, FOREIGN);
        assert_true(has_bytes(k.back_fd)); /* it is on its way */
        assert_int_equal(kill(k.s.pid, SIGKILL), 0);
        back = expect_back(&k, FOREIGN);
        say(back, "served by the next worker\n");
        expect(client, "served by the next worker\n");
        fd_close(back);
        fd_close(client);
        keeper_stop(&k);
}

/* Each of these is not certainly the server's, and goes back as it is. */
static void test_foreign(void **state) {
        static const char *const requests[] = {
                FOREIGN,
                "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
                "GET /own/but/this HTTP/1.1\r\nHost: a.example\r\n\r\n",
                "GET /ownother HTTP/1.1\r\nHost: a.example\r\n\r\n",
                "GET /own HTTP/1.1\r\nHost: b.example\r\n\r\n",
                "GET /own HTTP/1.0\r\nHost: a.example\r\n\r\n",
                "GET /own HTTP/1.1\r\n\r\n",
                "GET /own/../other HTTP/1.1\r\nHost: a.example\r\n\r\n",
                "GET http://a.example/own HTTP/1.1\r\nHost: a.example\r\n\r\n",
                "GET /own HTTP/1.1\r\nHost: a.example\r\n",
                "GET /own HTTP/1.1\nHost: a.example\n\n",
                "G",
                "\x16\x03\x01",
        };
        Keeper k;

        keeper_start(&k, "epoll", "");
        for (size_t i = 0; i < ELEMENTSOF(requests); i++) {
                int client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");

                expect(client, "GET /own/1 0\n");
                say(client, requests[i]);
                fd_close(expect_back(&k, requests[i]));
                fd_close(client);
        }
        keeper_stop(&k);
}

/* A head that comes in two parts goes back with what is there, whosever it is; no byte is lost. */
static void test_split_foreign(void **state) {
        Keeper k;

        keeper_start(&k, "epoll", "");
        for (size_t n = 1; n < strlen(FOREIGN); n++) {
                int client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n"), back;
                char part[64];

                expect(client, "GET /own/1 0\n");
                (void) snprintf(part, sizeof(part), "%.*s", (int) n, FOREIGN);
                say(client, part);
                back = expect_back(&k, part);
                say(client, &FOREIGN[n]);
                assert_int_equal(recv(back, part, strlen(FOREIGN), MSG_WAITALL), (ssize_t) strlen(FOREIGN));
                assert_memory_equal(part, FOREIGN, strlen(FOREIGN));
                fd_close(back);
                fd_close(client);
        }
        keeper_stop(&k);
}

/* The same for an own request. */
static void test_split(void **state) {
        static const char request[] = "GET /own/2 HTTP/1.1\r\nHost: a.example\r\n\r\n";
        Keeper k;

        keeper_start(&k, "epoll", "");
        for (size_t n = 1; n < strlen(request); n++) {
                int client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n"), back;
                char part[64];

                expect(client, "GET /own/1 0\n");
                (void) snprintf(part, sizeof(part), "%.*s", (int) n, request);
                say(client, part);
                back = expect_back(&k, part);
                say(client, request + n);

                /* The broker waits for the rest, and the same server gets it. */
                keeper_give_fd(&k, back, own);
                expect(client, "GET /own/2 0\n");
                fd_close(back);
                fd_close(client);
        }
        keeper_stop(&k);
}

/* A pipelining client stays, and its answers are in order. */
static void test_pipelining(void **state) {
        static const char two[] = "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n" FOREIGN;
        char answers[4096];
        Keeper k;

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                int client;

                if (strchr(ways[i].letters, 'c'))
                        continue;
                keeper_start(&k, ways[i].wait, ways[i].letters);
                client = keeper_give(&k, own, two);
                read_until(client, "GET /other 0\n", answers, sizeof(answers));
                assert_non_null(strstr(answers, "GET /own/1 0\n"));
                say(client, FOREIGN);
                expect(client, "GET /other 0\n");
                fd_close(client);
                keeper_stop(&k);
        }
}

/*
 * A server that answers before it has read the body: the client has the answer, and sends the rest of the body and the next
 * request together. The server may read no byte of the latter.
 */
static void test_early(void **state) {
        static const char *const parts[][2] = {
                { "PUT /own HTTP/1.1\r\nHost: a.example\r\nContent-Length: 6\r\n\r\n123", "456" },
                { "PUT /own HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n" },
                { "PUT /own HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\n123\r\n0\r\n\r\n" },
                { "PUT /own HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n1", "23\r\n0\r\n\r\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(ways); i++)
                for (size_t p = 0; strchr(ways[i].letters, 'e') && p < ELEMENTSOF(parts); p++) {
                        char bytes[256];
                        Keeper k;
                        int client;

                        keeper_start(&k, ways[i].wait, ways[i].letters);
                        client = keeper_give(&k, own, parts[p][0]);
                        expect(client, "PUT /own 0\n");
                        (void) snprintf(bytes, sizeof(bytes), "%s" FOREIGN, parts[p][1]);
                        say(client, bytes);
                        fd_close(expect_back(&k, FOREIGN));
                        fd_close(client);
                        keeper_stop(&k);
                }
}

/* Behind these responses the connection is no longer one of requests and responses. */
static void test_ends(void **state) {
        Keeper k;
        int client;

        keeper_start(&k, "epoll", "d");

        client = keeper_give(&k, own, "GET /upgrade HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "GET /upgrade 0\n");
        say(client, FOREIGN);
        expect(client, "GET /other 0\n");
        fd_close(client);

        client = keeper_give(&k, own, "GET /endless HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "GET /endless 0\n");
        say(client, FOREIGN);
        expect(client, "GET /other 0\n");
        fd_close(client);

        /* The server has shut its side down, so no worker could answer. */
        client = keeper_give(&k, own, "GET /last HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
        expect(client, "GET /last 0\n");
        say(client, FOREIGN);
        expect_end(client);
        fd_close(client);

        /* Nothing was handed back meanwhile. */
        client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "GET /own/1 0\n");
        say(client, FOREIGN);
        fd_close(expect_back(&k, FOREIGN));
        fd_close(client);
        keeper_stop(&k);
}

/* Without a scope, a client is the server's for as long as it lives. */
static void test_no_scope(void **state) {
        Keeper k;
        int client;

        keeper_start(&k, "epoll", "");
        client = keeper_give(&k, NULL, FOREIGN);
        expect(client, "GET /other 0\n");
        say(client, FOREIGN);
        expect(client, "GET /other 0\n");
        fd_close(client);
        keeper_stop(&k);
}

/* Clients under the same number, many times; and one client that comes again and again. */
static void test_again(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                char request[128], answer[64];
                Keeper k;
                size_t before;
                int pair[2], back = -EBADF;

                if (strchr(ways[i].letters, 'c'))
                        continue;
                keeper_start(&k, ways[i].wait, ways[i].letters);
                before = count_fds(k.s.pid);
                quick_pair(pair);
                for (int n = 0; n < 40; n++) {
                        (void) snprintf(request, sizeof(request), OWN, n);
                        (void) snprintf(answer, sizeof(answer), "GET /own/%i 0\n", n);
                        say(pair[0], request);
                        keeper_give_fd(&k, n == 0 ? pair[1] : back, own);
                        fd_close(n == 0 ? pair[1] : back);
                        expect(pair[0], answer);

                        say(pair[0], FOREIGN);
                        back = expect_back(&k, FOREIGN);
                        assert_int_equal(recv(back, request, strlen(FOREIGN), 0), (ssize_t) strlen(FOREIGN));
                }
                fd_close(back);
                fd_close(pair[0]);
                assert_fds(&k.s, before + 1);
                keeper_stop(&k);
        }
}

/* The broker's connection goes away, and its socket too: a client is closed rather than answered wrongly. */
static void test_return_gone(void **state) {
        Keeper k;
        size_t before;
        int client;

        keeper_start(&k, "epoll", "");
        k.refuses = true;
        before = count_fds(k.s.pid);
        for (int round = 0; round < 3; round++) {
                client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(client, "GET /own/1 0\n");
                say(client, FOREIGN);
                fd_close(expect_back(&k, FOREIGN));
                fd_close(client);

                /* A broker that starts again. */
                k.back_fd = fd_close(k.back_fd);
                if (round == 1) {
                        fd_close(k.return_fd);
                        keeper_listen(&k, 64);
                }
        }

        fd_close(k.return_fd);
        k.return_fd = -EBADF;
        assert_int_equal(unlink(k.return_path), 0);
        client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "GET /own/1 0\n");
        say(client, FOREIGN);
        expect_end(client);
        fd_close(client);
        assert_fds(&k.s, before);

        keeper_listen(&k, 64);
        keeper_stop(&k);
}

/* A broker that does not read: the server does not wait for it. */
static void test_return_full(void **state) {
        bool is_closed = false;
        Keeper k;

        keeper_start(&k, "epoll", "");
        k.refuses = true;
        for (int n = 0; n < 2000 && !is_closed; n++) {
                int client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                struct pollfd p = { .fd = client, .events = POLLIN };

                expect(client, "GET /own/1 0\n");
                say(client, FOREIGN);
                is_closed = poll(&p, 1, 1) == 1;
                fd_close(client);
        }
        assert_true(is_closed);
        keeper_stop(&k);
}

/* The server has handed @client back. The next worker answers it. */
static void expect_served_next(Keeper *k, int client) {
        int back = receive_back(k);

        say(back, "served by the next worker\n");
        expect(client, "served by the next worker\n");
        fd_close(back);
}

static bool is_thread_asleep(pid_t pid, const char *thread) {
        _cleanup_fclose_ FILE *f = NULL;
        char path[300], state = '?';

        (void) snprintf(path, sizeof(path), "/proc/%i/task/%s/stat", (int) pid, thread);
        f = fopen(path, "re");
        return !f || fscanf(f, "%*d %*s %c", &state) != 1 || state == 'S';
}

/* All threads wait. One that has sent a response has more to do than its client sees. */
static void await_sleep(pid_t pid) {
        usec_t deadline = usec_now() + WAIT_SEC * USEC_PER_SEC;
        bool is_asleep = false;
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/%i/task", (int) pid);
        while (!is_asleep) {
                DIR *d = opendir(path);
                struct dirent *e;

                assert_non_null(d);
                is_asleep = true;
                while ((e = readdir(d)))
                        is_asleep = is_asleep && (e->d_name[0] == '.' || is_thread_asleep(pid, e->d_name));
                closedir(d);
                assert_true(usec_now() < deadline);
        }
}

static void keeper_reap(Keeper *k) {
        int status;

        assert_int_equal(waitpid(k->s.pid, &status, 0), k->s.pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        k->back_fd = fd_close(k->back_fd);
        fd_close(k->return_fd);
        (void) unlink(k->return_path);
        fd_close(k->s.out);
        fixture_close(&k->s.f);
}

/*
 * A server that stops hands the clients back that wait for nothing. It closes those in the middle of a request, those that
 * want no further one, and those that have closed their side.
 */
static void test_quit(void **state) {
        static const struct {
                const char *wait, *letters;
        } quits[] = {
                { "epoll", "" }, { "epoll", "rh" }, { "epoll", "my" }, { "edge", "" }, { "poll", "s" }, { "epoll", "x" },
                { "threads", "x" },
        };
        static const char *const last[] = {
                "GET /own/2 HTTP/1.1\r\nHost: a.example\r\nConnection: te, Close\r\n\r\n",
                "GET /own/2 HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(quits); i++) {
                int idle, busy, gone, closing[ELEMENTSOF(last)], asker;
                char byte;
                Keeper k;

                keeper_start(&k, quits[i].wait, quits[i].letters);
                idle = keeper_give(&k, own, "PUT /own/1 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nab");
                expect(idle, "PUT /own/1 2\n");

                busy = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(busy, "GET /own/1 0\n");
                say(busy, "PUT /own/2 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 40\r\n\r\n");

                gone = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(gone, "GET /own/1 0\n");
                for (size_t c = 0; c < ELEMENTSOF(last); c++) {
                        closing[c] = keeper_give(&k, own, last[c]);
                        expect(closing[c], "GET /own/2 0\n");
                }

                asker = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(asker, "GET /own/1 0\n");
                assert_int_equal(shutdown(gone, SHUT_WR), 0);
                if (strcmp(quits[i].wait, "threads") == 0)
                        assert_int_equal(recv(gone, &byte, 1, 0), 0);
                await_sleep(k.s.pid);
                say(asker, "GET /own/quit HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(asker, "GET /own/quit 0\n");

                expect_served_next(&k, idle);
                expect_served_next(&k, asker);
                assert_int_equal(shutdown(busy, SHUT_WR), 0);
                expect_end(busy);
                expect_end(gone);
                for (size_t c = 0; c < ELEMENTSOF(last); c++) {
                        (void) shutdown(closing[c], SHUT_WR);
                        expect_end(closing[c]);
                        fd_close(closing[c]);
                }
                fd_close(idle);
                fd_close(busy);
                fd_close(gone);
                fd_close(asker);
                if (strchr(quits[i].letters, 'x'))
                        keeper_reap(&k);
                else
                        keeper_stop(&k);
        }
}

/* A client of which nothing was read goes back too, unless a child or another process may serve it. */
static void test_quit_unread(void **state) {
        static const char *const letters[] = { "", "f", "p" };

        for (size_t i = 0; i < ELEMENTSOF(letters); i++) {
                int pair[2], asker;
                Keeper k;

                keeper_start(&k, "epoll", letters[i]);
                quick_pair(pair);
                keeper_give_fd(&k, pair[1], own);
                fd_close(pair[1]);

                asker = keeper_give(&k, own, "GET /own/quit HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(asker, "GET /own/quit 0\n");
                if (*letters[i])
                        expect_end(pair[0]);
                else
                        expect_served_next(&k, pair[0]);
                expect_served_next(&k, asker);
                fd_close(pair[0]);
                fd_close(asker);
                keeper_stop(&k);
        }
}

/* The next request has come before the server closes the client. No byte of it is lost. */
static void test_quit_late(void **state) {
        Keeper k;
        int client, asker;

        keeper_start(&k, "epoll", "");
        client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "GET /own/1 0\n");
        asker = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(asker, "GET /own/1 0\n");

        /* epoll tells of the one that came first. */
        assert_int_equal(kill(k.s.pid, SIGSTOP), 0);
        say(asker, "GET /own/quit HTTP/1.1\r\nHost: a.example\r\n\r\n");
        say(client, "GET /own/2 HTTP/1.1\r\nHost: a.example\r\n\r\n");
        assert_int_equal(kill(k.s.pid, SIGCONT), 0);

        fd_close(expect_back(&k, "GET /own/2 HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        expect(asker, "GET /own/quit 0\n");
        expect_served_next(&k, asker);
        fd_close(client);
        fd_close(asker);
        keeper_stop(&k);
}

/*
 * A server looks for the next request before it waits for one, finds it at its end, and waits all the same. It gets the
 * event then, otherwise it would keep the descriptor until its time-out.
 */
static void test_looks_ahead(void **state) {
        char line[16];
        int client;
        Keeper k;

        keeper_start(&k, "epoll", "a");
        client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "GET /own/1 0\n");
        say(client, FOREIGN);
        fd_close(expect_back(&k, FOREIGN));
        read_line(k.s.out, line, sizeof(line));
        assert_string_equal(line, "dropped\n");
        fd_close(client);
        keeper_stop(&k);
}

/* A server closes a client right after a response that did not say so. It is about to stop, as Apache and gunicorn do. */
static void test_fresh(void **state) {
        static const char *const letters[] = { "", "rh", "y" };

        for (size_t i = 0; i < ELEMENTSOF(letters); i++) {
                Keeper k;
                int client;

                /* Up to now it could be a server that keeps no client. */
                keeper_start(&k, "epoll", letters[i]);
                client = keeper_give(&k, own, "GET /own/bye HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(client, "GET /own/bye 0\n");
                expect_end(client);
                fd_close(client);

                client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(client, "GET /own/1 0\n");
                say(client, "GET /own/bye HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(client, "GET /own/bye 0\n");
                expect_served_next(&k, client);
                fd_close(client);

                /* This one was to be the last. */
                client = keeper_give(&k, own, "GET /own/bye HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
                expect(client, "GET /own/bye 0\n");
                expect_end(client);
                fd_close(client);
                keeper_stop(&k);
        }
}

/* A server closes clients before it reads from them. They go back, and may come again, but not for ever. */
static void test_refused(void **state) {
        int client, pair[2], n = 0;
        struct pollfd p;
        Keeper k;

        keeper_start(&k, "epoll", "");
        client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "GET /own/1 0\n");
        say(client, "GET /own/refuse HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "GET /own/refuse 0\n");

        quick_pair(pair);
        do {
                keeper_give_fd(&k, pair[1], own);
                fd_close(pair[1]);
                p = (struct pollfd){ .fd = pair[0], .events = POLLIN };
                while (poll(&p, 1, 0) == 0 && !has_message(k.back_fd))
                        ;
                if (!p.revents) {
                        pair[1] = receive_back(&k);
                        n++;
                }
        } while (!p.revents);
        expect_end(pair[0]);
        assert_int_equal(n, 64);

        fd_close(pair[0]);
        fd_close(client);
        keeper_stop(&k);
}

/* A server that goes on closes clients after a time-out, in each way. */
static void test_tired(void **state) {
        static const char *const letters[] = { "", "hy" };

        for (size_t i = 0; i < ELEMENTSOF(letters); i++) {
                Keeper k;
                int client, asker;

                keeper_start(&k, "epoll", letters[i]);
                client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(client, "GET /own/1 0\n");
                asker = keeper_give(&k, own, "GET /own/tired HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(asker, "GET /own/tired 0\n");
                expect_end(client);
                fd_close(client);

                say(asker, FOREIGN);
                fd_close(expect_back(&k, FOREIGN));
                fd_close(asker);
                keeper_stop(&k);
        }
}

/* Many clients at once: the server waits for a broker that reads, until all of them are handed back. */
static void test_quit_many(void **state) {
        int clients[600], asker;
        Keeper k;

        keeper_start(&k, "epoll", "");
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(clients[i], "GET /own/1 0\n");
        }
        asker = keeper_give(&k, own, "GET /own/quit HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(asker, "GET /own/quit 0\n");
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                expect_served_next(&k, clients[i]);
                fd_close(clients[i]);
        }
        expect_served_next(&k, asker);
        fd_close(asker);
        keeper_stop(&k);
}

TEST_MAIN(TEST(test_ways),
          TEST(test_quit),
          TEST(test_quit_unread),
          TEST(test_quit_late),
          TEST(test_quit_many),
          TEST(test_looks_ahead),
          TEST(test_fresh),
          TEST(test_refused),
          TEST(test_tired),
          TEST(test_unseen),
          TEST(test_options),
          TEST(test_head),
          TEST(test_foreign),
          TEST(test_kinds),
          TEST(test_websocket),
          TEST(test_client_closes),
          TEST(test_killed),
          TEST(test_split_foreign),
          TEST(test_split),
          TEST(test_pipelining),
          TEST(test_early),
          TEST(test_ends),
          TEST(test_no_scope),
          TEST(test_again),
          TEST(test_return_gone),
          TEST(test_return_full))
