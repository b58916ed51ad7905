/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An unmodified server under fdpass-preload.so gets its clients on a persistent connection, with this program as its
 * broker.
 */

#include "preload-fixture.h"

#define CREDITS 16

/* A persistent connection to the server. */
typedef struct Conn {
        int fd;
        uint16_t n_sent;
        uint16_t n_taken, n_refused;
        bool is_closed;
} Conn;

static const Message offer = { .deadline = MESSAGE_NO_DEADLINE, .persistent_max = FDPASS_PERSISTENT_MAX };

static Message from_ipv6(void) {
        Message m = MESSAGE_NULL;
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(4711), .sin6_addr = IN6ADDR_LOOPBACK_INIT };

        message_address_set(&m.source, (struct sockaddr *) &in6, sizeof(in6));
        in6.sin6_port = htons(80);
        message_address_set(&m.destination, (struct sockaddr *) &in6, sizeof(in6));
        return m;
}

/* The server has told the client what it sees of it, and has closed it. */
static void expect_served(int *client, const char *what) {
        char line[256];

        read_answer(*client, line, sizeof(line));
        if (!strstr(line, what))
                fail_msg("%s, not %s", line, what);
        *client = fd_close(*client);
}

/* Gives one client to the server on a connection of its own. Returns the connection. */
static int give_one(Server *s, const Message *m) {
        int client[2], conn;

        client_pair(client);
        conn = hand_over(s, m, client[1]);
        fd_close(client[1]);
        expect_served(&client[0], "fd=");
        return conn;
}

/* The server keeps the connection of a first client, whose message is @m. */
static Conn keep_with(Server *s, const Message *m) {
        PersistentAnswer answer;
        Conn c = { .fd = give_one(s, m), .n_sent = 1 };
        struct pollfd p = { .fd = c.fd, .events = POLLIN };

        assert_int_equal(poll(&p, 1, WAIT_SEC * 1000), 1);
        assert_int_equal(handoff_receipt_or_persistent(c.fd, false, &answer), RECEIPT_PERSISTENT);
        assert_int_equal(answer.receipt, RECEIPT_TAKEN);
        assert_int_equal(answer.first, 0);
        assert_int_equal(answer.n, 1);
        assert_int_equal(answer.limit, 1 + CREDITS);
        return c;
}

static Conn keep(Server *s) {
        return keep_with(s, &offer);
}

/* The server keeps no connection. */
static void assert_one_each(Server *s) {
        for (int i = 0; i < 3; i++) {
                int conn = give_one(s, &offer);

                assert_int_equal(end_of(conn), 0);
                fd_close(conn);
        }
}

/* Sends new clients in one message. Their own ends are in @ret. */
static void send_clients(Conn *c, const Message *m, int *ret, size_t n) {
        int fds[FDPASS_PERSISTENT_MAX] = {}, pair[2];
        uint8_t headers[FDPASS_HEADER_MAX];
        size_t length = 0, one;

        for (size_t i = 0; i < n; i++) {
                client_pair(pair);
                ret[i] = pair[0];
                fds[i] = pair[1];
                assert_int_equal(message_encode(m ? m : &MESSAGE_NULL, headers + length, sizeof(headers) - length, &one), 0);
                length += one;
        }

        assert_int_equal(handoff_send_batch(c->fd, (Slice){ headers, length }, fds, n), 0);
        c->n_sent = (uint16_t) (c->n_sent + n);
        for (size_t i = 0; i < n; i++)
                fd_close(fds[i]);
}

/* Takes answers until there is one for each of @n clients, or the server closes the connection. */
static void take_answers(Conn *c, unsigned n) {
        while (!c->is_closed && c->n_taken + c->n_refused < n) {
                struct pollfd p = { .fd = c->fd, .events = POLLIN };
                PersistentAnswer answers[HANDOFF_ANSWERS_MAX];
                size_t n_answers;
                int r;

                assert_int_equal(poll(&p, 1, WAIT_SEC * 1000), 1);
                r = handoff_receive_answers(c->fd, answers, &n_answers);
                for (size_t i = 0; i < n_answers; i++) {
                        if (answers[i].receipt == RECEIPT_TAKEN)
                                c->n_taken = (uint16_t) (c->n_taken + answers[i].n);
                        else
                                c->n_refused = (uint16_t) (c->n_refused + answers[i].n);
                        assert_int_equal(answers[i].limit, 1 + c->n_taken + c->n_refused + CREDITS);
                }
                c->is_closed = r != 0 && r != -EAGAIN && r != -ECONNRESET;
        }
}

static void expect_closed(Conn *c) {
        take_answers(c, UINT16_MAX);
        assert_true(c->is_closed);
        fd_close(c->fd);
}

/* Whatever a message brings comes out of accept(), one by one. */
static void test_several(void **state) {
        static const struct {
                const char *listen, *wait, *letters, *seen;
        } ways[] = {
                { "fd", "epoll", "", "nonblock=0 cloexec=0" },     { "fd", "epoll", "nc", "nonblock=1 cloexec=1" },
                { "fd", "edge", "n", "nonblock=1 cloexec=0" },     { "fd", "epoll", "ro", "nonblock=0 cloexec=0" },
                { "fd", "epoll", "Xr", "nonblock=0 cloexec=0" },   { "fd", "edge", "rc", "nonblock=0 cloexec=1" },
                { "46", "epoll", "f", "nonblock=0" },              { "4", "epoll", "", "nodelay=1 keepalive=1" },
        };
        static const size_t batches[] = { 1, 5, 1, 3, 6 };

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                Server s;
                size_t n_fds;
                Conn c;

                server_start(&s, SOCK_SEQPACKET, ways[i].listen, ways[i].wait, ways[i].letters,
                             strcmp(ways[i].listen, "fd") == 0 ? NULL : "8080");
                c = keep(&s);
                n_fds = count_fds(s.pid);

                for (int round = 0; round < 3; round++) {
                        int clients[CREDITS];
                        size_t n = 0;

                        assert_int_equal(kill(s.pid, SIGSTOP), 0);
                        for (size_t k = 0; k < ELEMENTSOF(batches); n += batches[k++])
                                send_clients(&c, NULL, clients + n, batches[k]);
                        assert_int_equal(kill(s.pid, SIGCONT), 0);

                        for (size_t k = 0; k < n; k++)
                                expect_served(&clients[k], ways[i].seen);
                        take_answers(&c, (unsigned) c.n_sent - 1);
                }

                assert_int_equal(c.n_taken, c.n_sent - 1);
                assert_fds(&s, n_fds);

                /* The listener is served as well. A second connection of the same broker is not kept. */
                assert_one_each(&s);
                fd_close(c.fd);
                server_stop(&s);
        }
}

/* Clients that come by the listener have their turn. */
static void test_listener_has_turns(void **state) {
        int clients[CREDITS], other[2], conn;
        Server s;
        Conn c;

        server_start(&s, SOCK_SEQPACKET, "fd", "edge", "", NULL);
        c = keep(&s);
        client_pair(other);
        assert_int_equal(kill(s.pid, SIGSTOP), 0);
        send_clients(&c, NULL, clients, CREDITS);
        conn = hand_over(&s, &MESSAGE_NULL, other[1]);
        fd_close(other[1]);
        assert_int_equal(kill(s.pid, SIGCONT), 0);

        for (size_t i = 0; i < CREDITS; i++)
                expect_served(&clients[i], "fd=");
        expect_served(&other[0], "fd=");
        assert_int_equal(end_of(conn), 0);
        fd_close(conn);
        fd_close(c.fd);
        server_stop(&s);
}

/* Each of two listeners gets the clients of its family; flag f would close others. */
static void test_families(void **state) {
        static const char *const ways[] = { "epoll", "edge" };
        Message ipv6 = from_ipv6(), first = ipv6;

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                int four[4], six[4];
                Server s;
                Conn c;

                first.persistent_max = FDPASS_PERSISTENT_MAX;
                server_start(&s, SOCK_SEQPACKET, i == 0 ? "46" : "64", ways[i], "f", "8080");
                c = keep_with(&s, i == 0 ? &first : &offer);
                for (int round = 0; round < 3; round++) {
                        send_clients(&c, &ipv6, six, 3);
                        send_clients(&c, NULL, four, 2);
                        send_clients(&c, &ipv6, six + 3, 1);
                        send_clients(&c, NULL, four + 2, 2);
                        for (size_t k = 0; k < 4; k++) {
                                expect_served(&six[k], "[::1]:4711");
                                expect_served(&four[k], "127.0.0.1:");
                        }
                        take_answers(&c, (unsigned) c.n_sent - 1);
                }
                fd_close(c.fd);
                server_stop(&s);
        }
}

/* A server that stops to wait for clients gives them back, also those of a message that it has begun. */
static void test_leave(void **state) {
        static const char *const ways[] = { "", "g", "X" };

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                int clients[3], client[2], conn;
                unsigned n_served = 0;
                Server s;
                Conn c;

                server_start(&s, SOCK_SEQPACKET, "fd", "epoll", ways[i], NULL);
                c = keep(&s);
                assert_int_equal(kill(s.pid, SIGSTOP), 0);
                send_clients(&c, NULL, clients, 3);
                assert_int_equal(kill(s.pid, SIGUSR1), 0);
                assert_int_equal(kill(s.pid, SIGCONT), 0);
                expect_closed(&c);

                /* It has served those for which it has answered. */
                for (size_t k = 0; k < 3; k++) {
                        char line[256];

                        read_line(clients[k], line, sizeof(line));
                        n_served += line[0] != '\0';
                        fd_close(clients[k]);
                }
                assert_int_equal(n_served, c.n_taken);

                if (!strchr(ways[i], 'g')) {
                        client_pair(client);
                        conn = hand_over(&s, &offer, client[1]);
                        fd_close(client[1]);
                        assert_int_equal(kill(s.pid, SIGUSR2), 0);
                        expect_served(&client[0], "fd=");
                        assert_int_equal(end_of(conn), 0); /* it has just stopped, and may do so again */
                        fd_close(conn);
                }
                server_stop(&s);
        }
}

/* The end of a server is seen, whatever it has started. */
static void test_fork(void **state) {
        int clients[2], status;
        char line[16];
        pid_t child;
        Server s;
        Conn c;

        server_start(&s, SOCK_SEQPACKET, "fd", "epoll", "y", NULL);
        c = keep(&s);
        assert_int_equal(kill(s.pid, SIGUSR1), 0);
        read_line(s.out, line, sizeof(line));
        child = atoi(line);
        assert_true(child > 0);

        /* The child has neither ended the connection nor taken anything from it. */
        send_clients(&c, NULL, clients, 2);
        expect_served(&clients[0], "fd=");
        expect_served(&clients[1], "fd=");
        take_answers(&c, 2);

        assert_int_equal(kill(s.pid, SIGKILL), 0);
        assert_int_equal(waitpid(s.pid, &status, 0), s.pid);
        expect_closed(&c);
        assert_int_equal(kill(child, 0), 0);
        assert_int_equal(kill(child, SIGKILL), 0);
        fd_close(s.out);
        fd_close(s.err);
        fixture_close(&s.f);
}

/* Clients that a broker has sent before it ended are served, and the next broker has a connection of its own. */
static void test_broker_gone(void **state) {
        int clients[4];
        size_t n_fds;
        Server s;
        Conn c;

        server_start(&s, SOCK_SEQPACKET, "fd", "epoll", "", NULL);
        n_fds = count_fds(s.pid);
        for (int round = 0; round < 3; round++) {
                c = keep(&s);
                assert_int_equal(kill(s.pid, SIGSTOP), 0);
                send_clients(&c, NULL, clients, 2);
                send_clients(&c, NULL, clients + 2, 2);
                fd_close(c.fd);
                assert_int_equal(kill(s.pid, SIGCONT), 0);
                for (size_t i = 0; i < 4; i++)
                        expect_served(&clients[i], "fd=");
                assert_fds(&s, n_fds);
        }
        server_stop(&s);
}

/* Clients for which the server has no descriptor are refused, and it goes on. */
static void test_no_fds(void **state) {
        struct rlimit limit, old;
        int clients[3];
        Server s;
        Conn c;

        server_start(&s, SOCK_SEQPACKET, "fd", "epoll", "", NULL);
        c = keep(&s);
        assert_int_equal(prlimit(s.pid, RLIMIT_NOFILE, NULL, &old), 0);
        limit = old;
        limit.rlim_cur = 6; /* 0 to 4 are in use: standard ones, the listener, the epoll instance */
        assert_int_equal(prlimit(s.pid, RLIMIT_NOFILE, &limit, NULL), 0);

        send_clients(&c, NULL, clients, 3);
        expect_served(&clients[0], "fd=5");
        take_answers(&c, 3);
        assert_int_equal(c.n_taken, 1);
        assert_int_equal(c.n_refused, 2);
        fd_close(clients[1]);
        fd_close(clients[2]);

        limit.rlim_cur = 5;
        assert_int_equal(prlimit(s.pid, RLIMIT_NOFILE, &limit, NULL), 0);
        send_clients(&c, NULL, clients, 2);
        take_answers(&c, 5);
        assert_int_equal(c.n_refused, 4);
        fd_close(clients[0]);
        fd_close(clients[1]);

        assert_int_equal(prlimit(s.pid, RLIMIT_NOFILE, &old, NULL), 0);
        send_clients(&c, NULL, clients, 2);
        expect_served(&clients[0], "fd=5");
        expect_served(&clients[1], "fd=");
        fd_close(c.fd);
        server_stop(&s);
}

/* A message that is none ends the connection, and no client comes out of it. */
static void test_hostile(void **state) {
        static const char cut[] = "\r\n\r\n\0\r\nQUIT\n\x21\x00\xff\xff";
        static const struct {
                const char *bytes;
                size_t n, n_fds;
        } messages[] = { { "", 1, 1 }, { cut, 16, 1 }, { "hello, world: more", 18, 1 }, { cut, 5, 2 }, { "x", 1, 0 } };

        for (size_t i = 0; i < ELEMENTSOF(messages); i++) {
                int client[2];
                size_t n_fds;
                Server s;
                Conn c;

                server_start(&s, SOCK_SEQPACKET, "fd", "epoll", "", NULL);
                n_fds = count_fds(s.pid);
                c = keep(&s);
                client_pair(client);
                send_raw(c.fd, messages[i].bytes, messages[i].n, client[1], messages[i].n_fds);
                fd_close(client[1]);
                expect_closed(&c);
                assert_int_equal(c.n_taken, 0);
                assert_fds(&s, n_fds);
                fd_close(client[0]);
                c = keep(&s);
                fd_close(c.fd);
                server_stop(&s);
        }
}

/* These wait in ways by which a kept connection could not wake them, or don't want one. */
static void test_one_each(void **state) {
        static const struct {
                const char *wait, *letters, *persistent;
        } ways[] = { { "poll", "", "yes" }, { "select", "", "yes" }, { "block", "", "yes" }, { "threads", "", "yes" },
                     { "epoll", "d", "yes" }, { "epoll", "", "no" } };

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                Server s;

                (void) setenv("FDPASS_PERSISTENT", ways[i].persistent, 1);
                server_start(&s, SOCK_SEQPACKET, "fd", ways[i].wait, ways[i].letters, NULL);
                (void) unsetenv("FDPASS_PERSISTENT");
                if (strchr(ways[i].letters, 'd')) { /* a duplicate is as good as the listener */
                        Conn c = keep(&s);

                        fd_close(c.fd);
                } else
                        assert_one_each(&s);
                server_stop(&s);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_several),
                cmocka_unit_test(test_listener_has_turns),
                cmocka_unit_test(test_families),
                cmocka_unit_test(test_leave),
                cmocka_unit_test(test_fork),
                cmocka_unit_test(test_broker_gone),
                cmocka_unit_test(test_no_fds),
                cmocka_unit_test(test_hostile),
                cmocka_unit_test(test_one_each),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
