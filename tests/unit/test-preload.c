/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Servers that know nothing of fdpass: they are served as by accept(2). */

#include "preload-fixture.h"

/* However it waits, whatever the form. */
static void test_ways(void **state) {
        static const char *const waits[] = { "block", "poll", "select", "epoll", "edge", "threads", "fork" };

        for (size_t i = 0; i < ELEMENTSOF(waits); i++)
                for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type += SOCK_SEQPACKET - SOCK_STREAM) {
                        Server s;

                        server_start(&s, type, "4", waits[i], "", "8080");
                        for (int k = 0; k < 20; k++)
                                assert_served(&s, "127.0.0.1", "127.0.0.1:8080", 0, 0);
                        server_stop(&s);
                }
}

/* Many at once: each gets its answer, and nothing stays. */
static void test_crowd(void **state) {
        enum { N = 60 };
        int clients[N], conns[N];
        size_t before;
        Server s;

        server_start(&s, SOCK_STREAM, "4", "edge", "n", "8080");
        assert_served(&s, "127.0.0.1", "127.0.0.1:8080", 1, 0);
        before = count_fds(s.pid);
        for (int round = 0; round < 5; round++) {
                assert_int_equal(kill(s.pid, SIGSTOP), 0);
                for (size_t i = 0; i < N; i++) {
                        int pair[2];

                        client_pair(pair);
                        conns[i] = hand_over(&s, NULL, pair[1]);
                        fd_close(pair[1]);
                        clients[i] = pair[0];
                }
                assert_int_equal(kill(s.pid, SIGCONT), 0);
                for (size_t i = 0; i < N; i++) {
                        char line[256];

                        read_answer(clients[i], line, sizeof(line));
                        assert_int_equal(end_of(conns[i]), 0);
                        fd_close(clients[i]);
                        fd_close(conns[i]);
                }
        }
        assert_fds(&s, before);
        server_stop(&s);
}

static void test_flags(void **state) {
        static const struct {
                const char *letters;
                int nonblock, cloexec;
        } cases[] = { { "", 0, 0 }, { "n", 1, 0 }, { "c", 0, 1 }, { "nc", 1, 1 }, { "o", 0, 0 }, { "no", 0, 0 } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Server s;

                server_start(&s, SOCK_STREAM, "4", "poll", cases[i].letters, "8080");
                assert_served(&s, "127.0.0.1", "127.0.0.1:8080", cases[i].nonblock, cases[i].cloexec);
                server_stop(&s);
        }
}

/* The client has the number that accept() would have given it. */
static void test_lowest_number(void **state) {
        int client[2], conn;
        char line[256];
        Server s;

        client_pair(client);
        server_start(&s, SOCK_STREAM, "fd", "poll", "", NULL);
        conn = hand_over(&s, NULL, client[1]);
        client[1] = fd_close(client[1]);
        read_answer(client[0], line, sizeof(line));
        assert_non_null(strstr(line, " fd=4\n"));
        fd_close(conn);
        fd_close(client[0]);
        server_stop(&s);
}

/* The server sees a TCP listener. */
static void test_listener(void **state) {
        static const struct {
                const char *listen, *letters, *env, *seen;
        } cases[] = {
                { "4", "", "8080", "0.0.0.0:8080 domain=2 type=1 protocol=6 listens=1\n" },
                { "6", "", "8080", "[::]:8080 domain=10 type=1 protocol=6 listens=1\n" },
                { "b", "", "8080", "0.0.0.0:8080 domain=2 type=1 protocol=6 listens=1\n" },
                { "b", "s", "8080", "0.0.0.0:8080 domain=2 type=1 protocol=6 listens=1\n" },
                { "4", "s", "8080", "0.0.0.0:8080 domain=2 type=1 protocol=6 listens=1\n" },
                { "6", "s", "8080", "[::]:8080 domain=10 type=1 protocol=6 listens=1\n" },
                { "fd", "", "8080", "[::]:8080 domain=10 type=1 protocol=6 listens=1\n" },
                { "fd", "d", "8080", "[::]:8080 domain=10 type=1 protocol=6 listens=1\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type += SOCK_SEQPACKET - SOCK_STREAM) {
                        bool in6 = *cases[i].listen == '6';
                        Server s;

                        server_start(&s, type, cases[i].listen, "epoll", cases[i].letters, cases[i].env);
                        assert_string_equal(s.seen, cases[i].seen);
                        assert_served(&s, in6 ? "[::ffff:127.0.0.1]" : "127.0.0.1",
                                      in6 ? "[::ffff:127.0.0.1]:8080" : "127.0.0.1:8080", 0, 0);
                        server_stop(&s);
                }
}

/* Without FDPASS_LISTEN= the truth, but for the type; what it binds by that name is the same socket. */
static void test_true_listener(void **state) {
        char path[80], local[64];

        for (int i = 0; i < 4; i++) {
                int client[2], conn, type = i % 2 ? SOCK_SEQPACKET : SOCK_STREAM;
                char line[256];
                Server s;

                fixture_open(&s.f, type, 0, 8);
                (void) snprintf(path, sizeof(path), "path:%s", s.f.path);
                fixture_close(&s.f);

                server_start(&s, type, i < 2 ? "fd" : path, "poll", i < 2 ? "" : "d", NULL);
                assert_non_null(strstr(s.seen, "domain=1 type=1 protocol=0 listens=1\n"));
                client_pair(client);
                conn = hand_over(&s, NULL, client[1]);
                (void) snprintf(local, sizeof(local), " 127.0.0.1:%u nonblock", port_of(client[1]));
                client[1] = fd_close(client[1]);
                read_answer(client[0], line, sizeof(line));
                assert_non_null(strstr(line, local));
                fd_close(client[0]);
                fd_close(conn);
                server_stop(&s);
        }
}

/* The address of the client, if a proxy before the broker has sent it. */
static void test_told(void **state) {
        static const struct {
                const char *listen, *expected;
        } cases[] = {
                { "4", "192.0.2.7:1234 192.0.2.7:1234 198.51.100.1:8080 nonblock=0" },
                { "6", "[::ffff:192.0.2.7]:1234 [::ffff:192.0.2.7]:1234 [::ffff:198.51.100.1]:8080 nonblock=0" },
        };
        Message m = MESSAGE_NULL;

        m.source.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(1234),
                                            .sin_addr.s_addr = htonl(0xc0000207) };
        m.destination.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(443),
                                                 .sin_addr.s_addr = htonl(0xc6336401) };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int client[2], conn;
                char line[256];
                Server s;

                server_start(&s, SOCK_SEQPACKET, cases[i].listen, "poll", "", "8080");
                client_pair(client);
                conn = hand_over(&s, &m, client[1]);
                client[1] = fd_close(client[1]);
                read_answer(client[0], line, sizeof(line));
                if (!startswith(line, cases[i].expected))
                        fail_msg("%s, not %s", line, cases[i].expected);
                fd_close(conn);
                fd_close(client[0]);
                assert_served(&s, i ? "[::ffff:127.0.0.1]" : "127.0.0.1",
                              i ? "[::ffff:127.0.0.1]:8080" : "127.0.0.1:8080", 0, 0);
                server_stop(&s);
        }
}

/* A server that shuts its listener down before it serves would end everybody's. */
static void test_shutdown(void **state) {
        Server s;

        server_start(&s, SOCK_STREAM, "4", "poll", "x", "8080");
        assert_served(&s, "127.0.0.1", "127.0.0.1:8080", 0, 0);
        server_stop(&s);
}

/* Sockets that are no business of ours are left alone: one of TCP, and one of AF_UNIX with another name. */
static void test_others(void **state) {
        char line[1024], path[80];
        unsigned port;
        Server s;
        int fd;

        server_start(&s, SOCK_STREAM, "tcp", "epoll", "", NULL);
        assert_int_equal(sscanf(s.seen, "127.0.0.1:%u domain=2 type=1 protocol=6 listens=1\n", &port), 1);
        read_line(s.err, line, sizeof(line));
        assert_non_null(strstr(line, "listens on TCP port"));
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *) &in, sizeof(in)), 0);
        read_answer(fd, line, sizeof(line));
        assert_true(startswith(line, "127.0.0.1:"));
        fd_close(fd);
        server_stop(&s);

        (void) snprintf(path, sizeof(path), "path:/tmp/fdpass-unit-%i.other", (int) getpid());
        (void) unlink(path + 5);
        fixture_open(&s.f, SOCK_STREAM, 0, 8);
        server_spawn(&s, path, "epoll", "", NULL, s.f.fd);
        read_line(s.err, line, sizeof(line));
        assert_non_null(strstr(line, "TCP_DEFER_ACCEPT: Operation not supported"));
        assert_int_equal(waitpid(s.pid, NULL, 0), s.pid);
        (void) unlink(path + 5);
        fd_close(s.out);
        fd_close(s.err);
        fixture_close(&s.f);
}

/* In the child. ECONNRESET where the server doesn't even let it send. */
static int try_to_send(const Fixture *f, int client_fd) {
        for (int i = 0; i < 100; i++) {
                _cleanup_close_ int fd = handoff_connect_type(&f->address, f->len, f->type);
                int r;

                if (fd < 0)
                        return -fd;
                r = send_in_form(f, fd, client_fd);
                if (r == 0)
                        return abs(end_of(fd));
                if (r != -EPIPE)
                        return -r;
        }

        return ECONNRESET;
}

/* Returns how the handoff of @uid ended: 0, an answer or an errno. */
static int send_as(const Fixture *f, uid_t uid, int client_fd) {
        int status;
        pid_t pid = fork();

        if (pid == 0)
                _exit(setuid(uid) < 0 ? 201 : try_to_send(f, client_fd));

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

/* As in libfdpass, the socket's mode says which users may send. */
static void test_sender(void **state) {
        static const struct {
                mode_t mode;
                uid_t owner;
                int end;
        } cases[] = { { 0600, STRANGER, 0 }, { 0666, STRANGER, 0 }, { 0666, 0, ECONNRESET } };
        int client[2];

        if (geteuid() != 0)
                skip();

        client_pair(client);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Server s;

                fixture_open(&s.f, SOCK_STREAM, 0, 8);
                assert_int_equal(chmod(s.f.path, cases[i].mode), 0);
                assert_int_equal(chown(s.f.path, cases[i].owner, (gid_t) -1), 0);
                server_spawn(&s, "4", "poll", "", "8080", s.f.fd);
                read_line(s.out, s.seen, sizeof(s.seen));
                assert_int_equal(send_as(&s.f, STRANGER, client[1]), cases[i].end);
                assert_served(&s, "127.0.0.1", "127.0.0.1:8080", 0, 0);
                server_stop(&s);
        }
        pair_close(client);
}

/* Each word is said once, not once a client. */
static void test_words(void **state) {
        char line[1024];
        int client[2];
        Server s;

        client_pair(client);
        server_start(&s, SOCK_STREAM, "4", "poll", "", "8080");
        for (int i = 0; i < 5; i++) {
                int conn = hand_over_raw(&s, "x", 1, client[1], 1);

                assert_int_equal(end_of(conn), FDPASS_ANSWER_ERROR);
                fd_close(conn);
        }
        assert_int_equal(kill(s.pid, SIGKILL), 0);
        read_line(s.err, line, sizeof(line));
        assert_non_null(strstr(line, "was none, or had no client with it"));
        read_line(s.err, line, sizeof(line));
        assert_string_equal(line, "");
        server_stop(&s);
        pair_close(client);
}

TEST_MAIN(TEST(test_ways),
          TEST(test_crowd),
          TEST(test_flags),
          TEST(test_lowest_number),
          TEST(test_listener),
          TEST(test_true_listener),
          TEST(test_told),
          TEST(test_shutdown),
          TEST(test_others),
          TEST(test_sender),
          TEST(test_words))
