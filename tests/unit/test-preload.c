/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* preload-server, which knows nothing of fdpass, run under fdpass-preload.so with this program as its broker. */

#include "handoff-fixture.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>

#include "basic/time.h"

#define STRANGER 12345 /* a user that is neither root nor the server's */
#define WAIT_SEC 20    /* for anything that has to happen, on a loaded machine */

typedef struct Server {
        Fixture f;
        pid_t pid;
        int out, err;
        char seen[256];   /* what it said of its listener */
        bool has_nodelay; /* it has set TCP_NODELAY on that */
} Server;

/* Reads up to the end of a line or of the file; waits for WAIT_SEC at the longest. */
static void read_line(int fd, char *ret, size_t size) {
        size_t n = 0;

        while (n < size - 1) {
                struct pollfd p = { .fd = fd, .events = POLLIN };

                assert_int_equal(poll(&p, 1, WAIT_SEC * 1000), 1);
                if (read(fd, ret + n, 1) != 1)
                        break;
                if (ret[n++] == '\n')
                        break;
        }
        ret[n] = '\0';
}

/* In the child: descriptor 3 as systemd passes it, and nothing else. */
static void become_server(Server *s, const char *listen, const char *wait, const char *letters, const char *env,
                          int passed_fd, int out, int err) {
        const char *preload = PRELOAD, *program = PRELOAD_SERVER;
        char pid[16], all[256];

        (void) dup2(out, STDOUT_FILENO);
        (void) dup2(err, STDERR_FILENO);
        if (passed_fd >= 0)
                (void) dup2(passed_fd, 100);
        for (int fd = 3; fd < 100; fd++)
                (void) close(fd);
        if (passed_fd >= 0) {
                (void) dup2(100, 3);
                (void) close(100);
                (void) snprintf(pid, sizeof(pid), "%i", (int) getpid());
                (void) setenv("LISTEN_PID", pid, 1);
                (void) setenv("LISTEN_FDS", "1", 1);
        }

        (void) snprintf(all, sizeof(all), "/nowhere:%s", s->f.path);
        (void) setenv("FDPASS_SOCKET", all, 1);
        (void) setenv("LD_PRELOAD", preload, 1);
        if (env)
                (void) setenv("FDPASS_LISTEN", env, 1);
        (void) execl(program, program, listen, wait, letters, (char *) NULL);
        _exit(127);
}

static void server_spawn(Server *s, const char *listen, const char *wait, const char *letters, const char *env,
                         int passed_fd) {
        int out[2], err[2];

        s->has_nodelay = strlen(listen) == 1;
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        assert_int_equal(pipe2(err, O_CLOEXEC), 0);
        s->pid = fork();
        assert_true(s->pid >= 0);
        if (s->pid == 0)
                become_server(s, listen, wait, letters, env, passed_fd, out[1], err[1]);

        fd_close(out[1]);
        fd_close(err[1]);
        s->out = out[0];
        s->err = err[0];
}

static void server_start(Server *s, int type, const char *listen, const char *wait, const char *letters,
                         const char *env) {
        fixture_open(&s->f, type, 0, 64);
        server_spawn(s, listen, wait, letters, env, s->f.fd);
        read_line(s->out, s->seen, sizeof(s->seen));
        assert_true(strchr(s->seen, '\n') != NULL);
}

static void server_stop(Server *s) {
        int status;

        assert_int_equal(kill(s->pid, SIGKILL), 0);
        assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
        assert_true(WIFSIGNALED(status)); /* it was there up to now */
        fd_close(s->out);
        fd_close(s->err);
        fixture_close(&s->f);
}

/* A server that can't be served: it ends by itself, with that word. */
static void assert_gives_up(Server *s, const char *listen, const char *env, int passed_fd, const char *word) {
        char line[1024];
        int status;

        server_spawn(s, listen, "poll", "", env, passed_fd);
        read_line(s->err, line, sizeof(line));
        assert_non_null(strstr(line, "fdpass-preload: "));
        if (!strstr(line, word))
                fail_msg("%s does not say %s", line, word);
        read_line(s->err, line, sizeof(line)); /* and nothing more */
        assert_string_equal(line, "");
        assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), EX_CONFIG);
        fd_close(s->out);
        fd_close(s->err);
}

/* What a broker reads in the end: 0 for the end of the file, an answer, or -ECONNRESET. */
static int end_of(int conn) {
        struct pollfd p = { .fd = conn, .events = POLLIN };
        uint8_t answer;
        ssize_t n;

        assert_int_equal(poll(&p, 1, WAIT_SEC * 1000), 1);
        n = recv(conn, &answer, 1, MSG_DONTWAIT);
        return n < 0 ? -errno : n == 0 ? 0 : answer;
}

/* What the server tells the client of it, up to the FIN. */
static void read_answer(int fd, char *ret, size_t size) {
        read_line(fd, ret, size);
        assert_true(strchr(ret, '\n') != NULL);
        assert_int_equal(read(fd, ret + strlen(ret), 1), 0);
}

/* As the broker does: where the server has given the connection up in between, once more. Returns the connection. */
static int hand_over(const Server *s, const Message *m, int client_fd) {
        usec_t deadline = usec_now() + WAIT_SEC * USEC_PER_SEC;
        int conn, r;

        for (;;) {
                conn = fixture_connect(&s->f);
                r = m ? send_message(conn, m, client_fd) : send_in_form(&s->f, conn, client_fd);
                if (r == 0)
                        return conn;
                assert_int_equal(r, -EPIPE);
                assert_true(usec_now() < deadline);
                fd_close(conn);
        }
}

/* Whatever it is, in time: the server doesn't look meanwhile. Returns the connection. */
static int hand_over_raw(const Server *s, const void *bytes, size_t n, int fd, size_t n_fds) {
        int conn;

        assert_int_equal(kill(s->pid, SIGSTOP), 0);
        conn = fixture_connect(&s->f);
        send_raw(conn, bytes, n, fd, n_fds);
        assert_int_equal(kill(s->pid, SIGCONT), 0);
        return conn;
}

static unsigned port_of(int fd) {
        struct sockaddr_in in;
        socklen_t length = sizeof(in);

        assert_int_equal(getsockname(fd, (struct sockaddr *) &in, &length), 0);
        return ntohs(in.sin_port);
}

/* Hands one client over and compares what it hears of itself: its own address, the server's, its flags. */
static void assert_served(Server *s, const char *host, const char *local, int nonblock, int cloexec) {
        char line[256], expected[256];
        int client[2], conn;

        client_pair(client);
        conn = hand_over(s, NULL, client[1]);
        client[1] = fd_close(client[1]);
        assert_int_equal(end_of(conn), 0);
        read_answer(client[0], line, sizeof(line));

        (void) snprintf(expected, sizeof(expected), "%s:%u %s:%u %s nonblock=%i cloexec=%i nodelay=%i keepalive=1 fd=",
                        host, port_of(client[0]), host, port_of(client[0]), local, nonblock, cloexec, s->has_nodelay);
        if (!startswith(line, expected))
                fail_msg("%s, not %s", line, expected);
        fd_close(conn);
        fd_close(client[0]);
}

/* It sleeps: there is nothing left to do for it. */
static void wait_idle(pid_t pid) {
        usec_t deadline = usec_now() + WAIT_SEC * USEC_PER_SEC;
        char path[64], state = '?';

        (void) snprintf(path, sizeof(path), "/proc/%i/stat", (int) pid);
        while (state != 'S') {
                _cleanup_fclose_ FILE *f = fopen(path, "re");

                assert_non_null(f);
                assert_int_equal(fscanf(f, "%*d %*s %c", &state), 1);
                assert_true(usec_now() < deadline);
        }
}

static size_t count_fds(pid_t pid) {
        char path[64];
        size_t n = 0;
        DIR *d;

        wait_idle(pid);
        (void) snprintf(path, sizeof(path), "/proc/%i/fd", (int) pid);
        d = opendir(path);
        assert_non_null(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

static void assert_fds(const Server *s, size_t expected) {
        usec_t deadline = usec_now() + WAIT_SEC * USEC_PER_SEC;

        while (count_fds(s->pid) != expected)
                assert_true(usec_now() < deadline);
}

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

/* What it takes its listener for. */
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

/* Who is the client, where a proxy before the broker has said so. */
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

/* What can't be served is answered as ever, whichever listener it comes out of. */
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

/* What can't work ends with a word and a status that systemd does not start it again for. */
static void test_gives_up(void **state) {
        static const char *const wrong[] = { "http", "0", "65536", "80,443", "8080x", "99999999999999999999",
                                             "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17" };
        int pair[2], conn, accepted;
        Server s;

        fixture_open(&s.f, SOCK_STREAM, 0, 8);
        assert_gives_up(&s, "4", "8080", -EBADF, "systemd has passed no socket");
        assert_gives_up(&s, "4", "80 8080", s.f.fd, "systemd has passed no socket (number 2 ");
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_gives_up(&s, "4", wrong[i], s.f.fd, wrong[i]);

        conn = fixture_connect(&s.f);
        accepted = accept4(s.f.fd, NULL, NULL, SOCK_CLOEXEC);
        assert_true(accepted >= 0);
        assert_gives_up(&s, "4", "8080", accepted, "must not say Accept=yes");
        fd_close(accepted);
        fd_close(conn);
        fixture_close(&s.f);

        fixture_open(&s.f, SOCK_DGRAM, 0, 8);
        assert_gives_up(&s, "fd", NULL, s.f.fd, "is a datagram socket");
        assert_gives_up(&s, "4", "8080", s.f.fd, "is a datagram socket");
        fixture_close(&s.f);

        /* A socket that is none of fdpass's. */
        fixture_open(&s.f, SOCK_STREAM, 0, 8);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_gives_up(&s, "4", "8080", pair[0], "systemd has passed no socket");
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
        int things[5];
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
        for (size_t i = 0; i < ELEMENTSOF(things); i++) {
                int conn = hand_over(&s, NULL, things[i]);

                assert_int_equal(end_of(conn), FDPASS_ANSWER_ERROR);
                fd_close(conn);
                if (i < 4)
                        fd_close(things[i]);
        }

        assert_served(&s, "127.0.0.1", "127.0.0.1:8080", 0, 0);
        assert_fds(&s, before);
        server_stop(&s);
}

/* Who says nothing, or leaves, costs the others at most a moment, and is told that the client is still his. */
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

/* As libfdpass: the socket's mode says whom it is for. */
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
          TEST(test_families),
          TEST(test_closed_end),
          TEST(test_hostile_families),
          TEST(test_shutdown),
          TEST(test_others),
          TEST(test_gives_up),
          TEST(test_hostile),
          TEST(test_no_client),
          TEST(test_silent),
          TEST(test_gone),
          TEST(test_no_room),
          TEST(test_sender),
          TEST(test_words))
