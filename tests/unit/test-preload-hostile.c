/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Servers that know nothing of fdpass: wrong brokers, clients that are gone, and sockets of wrong families. */

#include "preload-fixture.h"

/* Clients of both families in turn, as a server with these listeners sees them. */
static void assert_families(Server *s, int n, const char *in, const char *in6) {
        Message m[2] = { MESSAGE_NULL, MESSAGE_NULL };
        struct in6_addr from = { .s6_addr = { 0x20, 0x01, 0x0d, 0xb8, [15] = 7 } };

        m[0].source.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(1234),
                                               .sin_addr.s_addr = htonl(0xc0000207) };
        m[0].destination = m[0].source;
        m[1].source.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(1234), .sin6_addr = from };
        m[1].destination = m[1].source;

        for (int i = 0; i < n; i++) {
                int client[2], conn;
                char line[256];

                client_pair(client);
                conn = hand_over(s, &m[i % 2], client[1]);
                client[1] = fd_close(client[1]);
                read_answer(client[0], line, sizeof(line));
                if (!startswith(line, i % 2 ? in6 : in))
                        fail_msg("%s, not %s", line, i % 2 ? in6 : in);
                assert_int_equal(end_of(conn), 0);
                fd_close(conn);
                fd_close(client[0]);
        }
}

#define IN "192.0.2.7:1234 192.0.2.7:1234 192.0.2.7:8080 nonblock=0 cloexec=0 nodelay=1 keepalive="
#define IN6 "[2001:db8::7]:1234 [2001:db8::7]:1234 [2001:db8::7]:8080 nonblock=0 cloexec=0 nodelay=1 keepalive="
#define MAPPED "[::ffff:192.0.2.7]:1234 [::ffff:192.0.2.7]:1234 [::ffff:192.0.2.7]:8080 nonblock=0"
#define HIDDEN "0.0.0.0:1234 0.0.0.0:1234 0.0.0.0:8080 nonblock=0"

/* A server with a port for each family has each client come to the one that it belongs to, and in a form that fits. */
static void test_families(void **state) {
        static const struct {
                const char *listen, *wait, *letters, *in, *in6;
        } cases[] = {
                { "46", "poll", "f", IN, IN6 },
                { "64", "poll", "f", IN, IN6 },
                { "46", "fork", "f", IN, IN6 },
                { "64", "fork", "f", IN, IN6 },
                { "46", "poll", "lf", IN, IN6 },
                { "64", "poll", "lf", IN, IN6 },
                { "46", "poll", "sf", IN, IN6 },
                { "64", "fork", "sf", IN, IN6 },
                { "4", "poll", "f", IN, HIDDEN },
                { "6", "poll", "f", MAPPED, IN6 },
                { "46", "poll", "1f", MAPPED, IN6 }, /* what is left stands for both */
                { "64", "poll", "1f", IN, HIDDEN },
                { "46", "poll", "2f", IN, HIDDEN },
                { "64", "block", "2f", MAPPED, IN6 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Server s;

                server_start(&s, SOCK_SEQPACKET, cases[i].listen, cases[i].wait, cases[i].letters, "8080");
                s.has_nodelay = true;
                assert_families(&s, 20, cases[i].in, cases[i].in6);
                if (streq(cases[i].in6, HIDDEN)) {
                        char line[1024];

                        read_line(s.err, line, sizeof(line));
                        assert_non_null(strstr(line, "It should listen on [::] as well (nginx: listen [::]:8080)."));
                }
                server_stop(&s);
        }
}

/* A server that closes the preload's end of the pair loses no client: both families come out of its first listener. */
static void test_closed_end(void **state) {
        static const struct {
                const char *listen, *in, *in6;
        } cases[] = { { "46", IN, HIDDEN }, { "64", MAPPED, IN6 } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char line[1024];
                Server s;

                server_start(&s, SOCK_SEQPACKET, cases[i].listen, "poll", "kf", "8080");
                s.has_nodelay = true;
                assert_families(&s, 4, cases[i].in, cases[i].in6);
                read_line(s.err, line, sizeof(line));
                assert_non_null(strstr(line, "The program has closed descriptors that it doesn't know"));
                server_stop(&s);
        }
}

#define HEADER "\r\n\r\n\0\r\nQUIT\n"
#define TAIL "\xe0\0\1\1"
#define GOOD HEADER "\x21\0\0\4" TAIL
#define TWICE(s) s s

/* Messages that bring no client. Each gets the answer, and one more client is served as ever. */
static const struct {
        int type;
        const void *bytes;
        size_t n, n_fds;
        int end;
} bad[] = {
        { SOCK_STREAM, "\0", 1, 0, FDPASS_ANSWER_ERROR },
        { SOCK_STREAM, "x", 1, 1, FDPASS_ANSWER_ERROR },
        { SOCK_STREAM, "\0\0", 2, 1, FDPASS_ANSWER_ERROR },
        { SOCK_STREAM, "\0", 1, 2, FDPASS_ANSWER_ERROR },
        { SOCK_STREAM, "\0", 1, 9, FDPASS_ANSWER_ERROR },
        { SOCK_STREAM, "\0", 1, 253, FDPASS_ANSWER_ERROR },
        { SOCK_STREAM, "GET / HTTP/1.1\r\n\r\n", 18, 1, FDPASS_ANSWER_ERROR },
        { SOCK_SEQPACKET, "", 0, 1, FDPASS_ANSWER_ERROR },
        { SOCK_SEQPACKET, "\0", 1, 0, FDPASS_ANSWER_ERROR },
        { SOCK_SEQPACKET, "\1", 1, 1, FDPASS_ANSWER_ERROR },
        { SOCK_SEQPACKET, GOOD, sizeof(GOOD) - 1, 0, FDPASS_ANSWER_ERROR },
        { SOCK_SEQPACKET, GOOD, sizeof(GOOD) - 1, 2, FDPASS_ANSWER_ERROR },
        { SOCK_SEQPACKET, GOOD, sizeof(GOOD) - 1, 253, FDPASS_ANSWER_ERROR },
        { SOCK_SEQPACKET, GOOD, sizeof(GOOD) - 2, 1, FDPASS_ANSWER_ERROR },
        { SOCK_SEQPACKET, GOOD "GET", sizeof(GOOD) + 2, 1, FDPASS_ANSWER_ERROR },                    /* consumed */
        { SOCK_SEQPACKET, HEADER "\x21\0\0\4\xe0\0\1\2", sizeof(GOOD) - 1, 1, FDPASS_ANSWER_REFUSED },  /* version 2 */
        { SOCK_SEQPACKET, HEADER "\x21\0\0\x0f\xe0\0\1\1\xe4\0\x08\0\0\0\0\0\0\0\1", sizeof(HEADER) + 18, 1,
          FDPASS_ANSWER_REFUSED },                                                                     /* too late */
        { SOCK_SEQPACKET, HEADER "\x20\0\0\4\xe0\0\1\1", sizeof(GOOD) - 1, 1, FDPASS_ANSWER_ERROR },
        { SOCK_SEQPACKET, HEADER "\x21\x11\0\4\xe0\0\1\1", sizeof(GOOD) - 1, 1, FDPASS_ANSWER_ERROR },
        { SOCK_SEQPACKET, HEADER "\x21\x21\0\x28" TWICE("\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\7") "\4\xd2\0P" TAIL "GET",
          sizeof(GOOD) + 38, 1, FDPASS_ANSWER_ERROR },                                                /* consumed, IPv6 */
        { SOCK_SEQPACKET, HEADER "\x21\0\0\0", sizeof(HEADER) + 3, 1, FDPASS_ANSWER_ERROR },
};

/* A client of a wrong family is answered as on the first listener, on each listener. */
static void test_hostile_families(void **state) {
        size_t before;
        Server s;

        server_start(&s, SOCK_SEQPACKET, "46", "poll", "f", "8080");
        assert_families(&s, 2, IN, IN6);
        before = count_fds(s.pid);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                int client[2], conn;

                if (bad[i].type != SOCK_SEQPACKET)
                        continue;
                client_pair(client);
                conn = hand_over_raw(&s, bad[i].bytes, bad[i].n, client[1], bad[i].n_fds);
                if (end_of(conn) != bad[i].end)
                        fail_msg("message %zu did not end with %i", i, bad[i].end);
                fd_close(conn);
                pair_close(client);
        }
        assert_families(&s, 40, IN, IN6);
        assert_fds(&s, before);
        server_stop(&s);
}

static void assert_start_fails(Server *s, const char *listen, const char *env, int passed_fd, const char *word) {
        server_spawn(s, listen, "poll", "", env, passed_fd);
        assert_gives_up(s, word);
}

/* A server that can't be served ends with a message and a status for which systemd does not restart it. */
static void test_gives_up(void **state) {
        static const char *const wrong[] = { "http", "0", "65536", "80,443", "8080x", "99999999999999999999", "8080:",
                                             ":web", "web:8080", "8080:web:2", "8080 80:web 8080",
                                             "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17" };
        int pair[2], conn, accepted;
        Server s;

        fixture_open(&s.f, SOCK_STREAM, 0, 8);
        assert_start_fails(&s, "4", "8080", -EBADF, "systemd has passed no socket");
        assert_start_fails(&s, "4", "80 8080", s.f.fd, "systemd has passed no socket (number 2 ");
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_start_fails(&s, "4", wrong[i], s.f.fd, wrong[i]);

        conn = fixture_connect(&s.f);
        accepted = accept4(s.f.fd, NULL, NULL, SOCK_CLOEXEC);
        assert_true(accepted >= 0);
        assert_start_fails(&s, "4", "8080", accepted, "must not say Accept=yes");
        fd_close(accepted);
        fd_close(conn);
        fixture_close(&s.f);

        fixture_open(&s.f, SOCK_DGRAM, 0, 8);
        assert_start_fails(&s, "fd", NULL, s.f.fd, "is a datagram socket");
        assert_start_fails(&s, "4", "8080", s.f.fd, "is a datagram socket");
        fixture_close(&s.f);

        /* A socket that is none of fdpass's. */
        fixture_open(&s.f, SOCK_STREAM, 0, 8);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_start_fails(&s, "4", "8080", pair[0], "systemd has passed no socket");
        pair_close(pair);
        fixture_close(&s.f);
}

static void test_hostile(void **state) {
        for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type += SOCK_SEQPACKET - SOCK_STREAM) {
                int client[2];
                size_t before;
                Server s;

                server_start(&s, type, "4", "epoll", "", "8080");
                assert_served(&s, "127.0.0.1", "127.0.0.1:8080", 0, 0);
                before = count_fds(s.pid);
                client_pair(client);

                for (size_t i = 0; i < ELEMENTSOF(bad) * 10; i++) {
                        size_t k = i % ELEMENTSOF(bad);
                        int conn;

                        if (bad[k].type != type)
                                continue;
                        conn = hand_over_raw(&s, bad[k].bytes, bad[k].n, client[1], bad[k].n_fds);
                        if (end_of(conn) != bad[k].end)
                                fail_msg("message %zu did not end with %i", k, bad[k].end);
                        fd_close(conn);
                        if (i < ELEMENTSOF(bad))
                                assert_served(&s, "127.0.0.1", "127.0.0.1:8080", 0, 0);
                }

                assert_fds(&s, before);
                pair_close(client);
                server_stop(&s);
        }
}

/* Descriptors that are no client. */
static void test_no_client(void **state) {
        int things[7];
        size_t before;
        Server s;

        server_start(&s, SOCK_STREAM, "4", "epoll", "", "8080");
        assert_served(&s, "127.0.0.1", "127.0.0.1:8080", 0, 0);
        before = count_fds(s.pid);

        things[0] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        things[1] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        things[2] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(listen(things[2], 1), 0);
        things[3] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        things[4] = s.f.fd;
        things[5] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP); /* the number of NETLINK_XFRM */
        things[6] = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP);
        for (size_t i = 0; i < ELEMENTSOF(things); i++) {
                if (things[i] < 0)
                        continue; /* no privilege, or not in this kernel */

                int conn = hand_over(&s, NULL, things[i]);

                assert_int_equal(end_of(conn), FDPASS_ANSWER_ERROR);
                fd_close(conn);
                if (i != 4)
                        fd_close(things[i]);
        }

        assert_served(&s, "127.0.0.1", "127.0.0.1:8080", 0, 0);
        assert_fds(&s, before);
        server_stop(&s);
}

/* A silent broker delays the others for a moment only, and keeps its client. */
static void test_silent(void **state) {
        static const char *const waits[] = { "poll", "edge", "block" };

        for (size_t i = 0; i < ELEMENTSOF(waits); i++) {
                struct rusage usage_before, usage;
                int silent[8], client[2], late;
                size_t before;
                usec_t begin;
                Server s;

                server_start(&s, SOCK_STREAM, "4", waits[i], "", "8080");
                assert_served(&s, "127.0.0.1", "127.0.0.1:8080", 0, 0);
                before = count_fds(s.pid);

                begin = usec_now();
                for (size_t k = 0; k < (streq(waits[i], "block") ? 1 : ELEMENTSOF(silent)); k++)
                        silent[k] = fixture_connect(&s.f);
                fd_close(fixture_connect(&s.f)); /* came and went */
                assert_served(&s, "127.0.0.1", "127.0.0.1:8080", 0, 0);
                assert_true(usec_now() - begin < 10 * USEC_PER_SEC);

                client_pair(client);
                for (size_t k = 0; k < (streq(waits[i], "block") ? 1 : ELEMENTSOF(silent)); k++) {
                        assert_int_equal(end_of(silent[k]), 0);
                        assert_true(handoff_send(silent[k], client[1]) < 0); /* which is how the sender knows */
                        fd_close(silent[k]);
                }
                late = hand_over(&s, NULL, client[1]);
                assert_int_equal(end_of(late), 0);
                fd_close(late);
                pair_close(client);
                assert_fds(&s, before);
                (void) getrusage(RUSAGE_CHILDREN, &usage_before);
                server_stop(&s);
                (void) getrusage(RUSAGE_CHILDREN, &usage);
                assert_true(usage.ru_utime.tv_sec - usage_before.ru_utime.tv_sec <= 1); /* it did not spin */
        }
}

/* The client is gone when it comes to the server: that one serves the next. */
static void test_gone(void **state) {
        struct linger linger = { .l_onoff = 1 };
        int client[2], conn;
        Server s;

        server_start(&s, SOCK_STREAM, "4", "poll", "", "8080");
        assert_int_equal(kill(s.pid, SIGSTOP), 0);
        for (int i = 0; i < 20; i++) {
                client_pair(client);
                conn = hand_over(&s, NULL, client[1]);
                assert_int_equal(setsockopt(client[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
                pair_close(client); /* reset */
                fd_close(conn);
        }
        assert_int_equal(kill(s.pid, SIGCONT), 0);
        assert_served(&s, "127.0.0.1", "127.0.0.1:8080", 0, 0);
        server_stop(&s);
}

/* Without room for a client nothing is taken from the queue. */
static void test_no_room(void **state) {
        struct rlimit limit, low;
        int client[2], conn;
        struct pollfd p;
        char line[256];
        Server s;

        server_start(&s, SOCK_STREAM, "4", "poll", "", "8080");
        assert_served(&s, "127.0.0.1", "127.0.0.1:8080", 0, 0);
        assert_int_equal(prlimit(s.pid, RLIMIT_NOFILE, NULL, &limit), 0);
        low = (struct rlimit){ 6, limit.rlim_max }; /* it has 0 to 4 open, and would need 5 and 6 */
        assert_int_equal(prlimit(s.pid, RLIMIT_NOFILE, &low, NULL), 0);

        client_pair(client);
        conn = hand_over(&s, NULL, client[1]);
        client[1] = fd_close(client[1]);
        p = (struct pollfd){ .fd = conn, .events = POLLIN };
        assert_int_equal(poll(&p, 1, 300), 0); /* it stays where it is */
        assert_int_equal(prlimit(s.pid, RLIMIT_NOFILE, &limit, NULL), 0);
        read_answer(client[0], line, sizeof(line));
        assert_int_equal(end_of(conn), 0);
        fd_close(conn);
        fd_close(client[0]);
        server_stop(&s);
}

TEST_MAIN(TEST(test_families),
          TEST(test_closed_end),
          TEST(test_hostile_families),
          TEST(test_gives_up),
          TEST(test_hostile),
          TEST(test_no_client),
          TEST(test_silent),
          TEST(test_gone),
          TEST(test_no_room))
