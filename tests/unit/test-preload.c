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

/* Each port gets the socket of its name, in whatever order they are passed. */
static void test_names(void **state) {
        static const struct {
                const char *names, *env;
                bool is_second; /* port 8080 is the second of both sockets */
        } cases[] = {
                { "web:tls", "8080:web 8443:tls", false },
                { "tls:web", "8080:web 8443:tls", true },
                { "tls:web", "8443:tls\t 8080:web ", true },
                { "web.socket:web-tls.socket", "8443:web-tls 8080:web", false },
                { "web-tls.socket:web.socket", "8443:web-tls 8080:web", true },
                { "web-tls.socket:web.socket", "8443:web-tls.socket 8080:web.socket", true },
                { "web.socket:web", "8080:web 8443:web.socket", true }, /* the name as it stands goes first */
                { "web:web", "8080 8443", false }, /* two lines of one unit: their order */
                { "web:web", "8443 8080", true },
                { "web:web", "8443:web 8080:web", true },
                { "web@a.socket:web@b.socket", "8443:web@a 8080:web@b", true },
                { NULL, "8443 8080", true }, /* started by another program than systemd */
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Fixture other;
                Server s;

                fixture_open_at(&other, "2", SOCK_STREAM, 0, 8);
                fixture_open(&s.f, SOCK_STREAM, 0, 8);
                server_spawn_with(&s, &(ServerStart){
                        .listen = "4", .wait = "poll", .letters = "", .env = cases[i].env, .names = cases[i].names,
                        .fds = cases[i].is_second ? (int[]){ other.fd, s.f.fd } : (int[]){ s.f.fd, other.fd },
                        .n_fds = 2 });
                read_line(s.out, s.seen, sizeof(s.seen));
                assert_string_equal(s.seen, "0.0.0.0:8080 domain=2 type=1 protocol=6 listens=1\n");
                assert_served(&s, "127.0.0.1", "127.0.0.1:8080", 0, 0);
                server_stop(&s);
                fixture_close(&other);
        }
}

/* Names that fit no socket, or leave more than one answer: the message has the line to write. */
static void test_wrong_names(void **state) {
        static const struct {
                const char *names, *env, *word;
        } cases[] = {
                { "web.socket:web-tls.socket", "8080 8443", "Environment=\"FDPASS_LISTEN=8080:web 8443:web-tls\"" },
                { "web-tls.socket:web.socket", "8080 8443", "Environment=\"FDPASS_LISTEN=8080:web 8443:web-tls\"" },
                { "b:a", "8080", "Environment=\"FDPASS_LISTEN=8080:a PORT:b\"" },
                { "b:a", "8080 8443:a", "Environment=\"FDPASS_LISTEN=8080:b 8443:a\"" },
                { "b:a", "1 2 3", "Environment=\"FDPASS_LISTEN=1:a 2:b 3\"" },
                { "web:tls", "8080:web 8443:tsl", "no socket with the name \"tsl\". Passed: \"web\" \"tls\"." },
                { "web:tls", "8080:web 8443:web", "For port 8443 of FDPASS_LISTEN= systemd has passed no socket with" },
                { "web:tls", "8080:web 8443:TLS", "no socket with the name \"TLS\"" },
                { "web:tls", "8080:web 8443:web.socket", "no socket with the name \"web.socket\"" },
                { "web:tls", "8080:web 8080:tls", "has port 8080 twice" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Fixture other;
                Server s;

                fixture_open_at(&other, "2", SOCK_STREAM, 0, 8);
                fixture_open(&s.f, SOCK_STREAM, 0, 8);
                server_spawn_with(&s, &(ServerStart){
                        .listen = "fd", .wait = "poll", .letters = "", .env = cases[i].env, .names = cases[i].names,
                        .fds = (int[]){ s.f.fd, other.fd }, .n_fds = 2 });
                assert_gives_up(&s, cases[i].word);
                fixture_close(&s.f);
                fixture_close(&other);
        }
}

/* A socket without a port is told of, and the other one works: systemd drops the second word of an unquoted list. */
static void test_unused_socket(void **state) {
        static const struct {
                const char *names, *env, *word;
        } cases[] = {
                { "web.socket:web-tls.socket", "8080:web", "\"FDPASS_LISTEN=8080:web PORT:web-tls\", with the quotes" },
                { "web:web", "8080", "\"FDPASS_LISTEN=8080 PORT\", with the quotes" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char line[1024];
                Fixture other;
                Server s;

                fixture_open_at(&other, "2", SOCK_STREAM, 0, 8);
                fixture_open(&s.f, SOCK_STREAM, 0, 8);
                server_spawn_with(&s, &(ServerStart){
                        .listen = "4", .wait = "poll", .letters = "", .env = cases[i].env, .names = cases[i].names,
                        .fds = (int[]){ s.f.fd, other.fd }, .n_fds = 2 });
                read_line(s.err, line, sizeof(line));
                if (!strstr(line, cases[i].word))
                        fail_msg("%s does not say %s", line, cases[i].word);
                read_line(s.out, s.seen, sizeof(s.seen));
                assert_served(&s, "127.0.0.1", "127.0.0.1:8080", 0, 0);
                server_stop(&s);
                fixture_close(&other);
        }
}

/*
 * A program that binds its port and takes the inherited descriptor too, for another protocol, has all clients come to
 * its port, and says so once. It does not spin while it is idle.
 */
static void test_inherited(void **state) {
        static const struct {
                const char *listen, *wait, *letters;
        } cases[] = {
                { "4", "poll", "i" },     { "6", "poll", "i" },     { "4", "poll", "il" },  { "4", "poll", "in" },
                { "4", "poll", "io" },    { "4", "poll", "is" },    { "4", "threads", "i" }, { "6", "threads", "io" },
                { "4", "fork", "i" },     { "path", "poll", "i" },  { "path", "threads", "i" }, { "4", "block", "e" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *expected = strchr(cases[i].letters, 'n') ? " nonblock=1 " : " nonblock=0 ";
                struct rusage before, usage;
                unsigned n_repeated = 0; /* each thread and process may have slept in accept() on the descriptor */
                char line[1024], path[80];
                Server s;

                (void) snprintf(path, sizeof(path), "path:/tmp/fdpass-unit-%i.sock", (int) getpid());
                server_start(&s, SOCK_STREAM, streq(cases[i].listen, "path") ? path : cases[i].listen, cases[i].wait,
                             cases[i].letters, streq(cases[i].listen, "path") ? NULL : "8080");
                for (int k = 0; k < 100; k++) {
                        int client[2], conn, end;

                        client_pair(client);
                        do {
                                conn = hand_over(&s, NULL, client[1]);
                                end = end_of(conn);
                                fd_close(conn);
                        } while (end == -ECONNRESET && ++n_repeated <= 4); /* a broker sends it again, too */
                        assert_int_equal(end, 0);

                        client[1] = fd_close(client[1]);
                        read_answer(client[0], line, sizeof(line));
                        if (!strstr(line, expected))
                                fail_msg("%s: client %i got %s", cases[i].wait, k, line);
                        fd_close(client[0]);
                }

                read_line(s.err, line, sizeof(line));
                if (!strstr(line, "The program accepts on descriptor 3") || !strstr(line, "--http-socket fd://3"))
                        fail_msg("%s", line);
                (void) getrusage(RUSAGE_CHILDREN, &before);
                server_stop(&s);
                (void) getrusage(RUSAGE_CHILDREN, &usage);
                assert_true(usage.ru_utime.tv_sec - before.ru_utime.tv_sec <= 1);
        }
}

/* A program that has closed its port again, or does not listen there, gets its clients by the descriptor. */
static void test_inherited_alone(void **state) {
        static const char *const letters[] = { "", "p", "q", "u" };

        for (size_t i = 0; i < ELEMENTSOF(letters); i++) {
                char line[1024];
                Server s;

                server_start(&s, SOCK_STREAM, "fd", "poll", letters[i], "8080");
                s.has_nodelay = strpbrk(letters[i], "pq") != NULL; /* that port had it */
                assert_served(&s, "127.0.0.1", "127.0.0.1:8080", 0, 0);
                assert_int_equal(kill(s.pid, SIGKILL), 0);
                read_line(s.err, line, sizeof(line));
                assert_string_equal(line, "");
                server_stop(&s);
        }
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
          TEST(test_words),
          TEST(test_names),
          TEST(test_wrong_names),
          TEST(test_unused_socket),
          TEST(test_inherited),
          TEST(test_inherited_alone))
