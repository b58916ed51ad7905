/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An unmodified server of HTTP/1.1 runs under fdpass-preload.so, with this program as its broker. It serves the requests
 * in the scope of a client. The client goes back before the server reads any other request.
 */

#include "keeper-fixture.h"

#include <netinet/tcp.h>
#include <signal.h>

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

/* The program closes the connection to the broker, of which it does not know. The next client goes back on another one. */
static void test_cleaned(void **state) {
        static const char *const ways_to_close[] = { "", "y", "z", "o" };

        for (size_t i = 0; i < ELEMENTSOF(ways_to_close); i++) {
                Keeper k;
                int client;

                keeper_start(&k, "epoll", ways_to_close[i]);
                for (size_t n = 0; n < 2; n++) {
                        client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                        expect(client, "GET /own/1 0\n");
                        if (n == 0) {
                                say(client, FOREIGN);
                                fd_close(expect_back(&k, FOREIGN));
                                fd_close(client);
                        }
                }
                say(client, "GET /own/clean HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(client, "GET /own/clean 0\n");
                k.back_fd = fd_close(k.back_fd);

                say(client, FOREIGN);
                fd_close(expect_back(&k, FOREIGN));
                fd_close(client);
                keeper_stop(&k);
        }
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

TEST_MAIN(TEST(test_ways),
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
          TEST(test_cleaned),
          TEST(test_return_gone),
          TEST(test_return_full))
