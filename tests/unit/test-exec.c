/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass-exec: the environment of programs, and the programs themselves, which are shells here. */

#include "service-fixture.h"

#include <arpa/inet.h>
#include <sys/wait.h>

#include "workers/exec.h"

static struct {
        Fixture worker;
        Log *log;
        Exec *exec;
        char *script;
        char *argv[4];
} t;

static char shell[] = "/bin/sh", option[] = "-c";

/* The environment of the worker. Some of it is not passed on to programs. */
static char path[] = "PATH=/usr/bin:/bin", forged[] = "REMOTE_ADDR=forged", fds[] = "LISTEN_FDS=1";
static char *const own[] = { path, forged, fds, NULL };

static void begin(const char *script) {
        exec_clean_descriptors();

        int fd = fcntl(t.worker.fd, F_DUPFD_CLOEXEC, 0);

        t.script = strdup(script);
        memcpy(t.argv, (char *[]){ shell, option, t.script, NULL }, sizeof(t.argv));
        t.exec->argv = t.argv;
        if (!t.exec->path)
                t.exec->path = strdup(shell);
        assert_int_equal(program_environment_init(&t.exec->environment, own), 0);
        assert_int_equal(service_init_with(&t.exec->service, &fd, NULL, 1), 0);
        assert_int_equal(exec_init(t.exec), 0);
}

static int setup(void **state) {
        (void) remember_fds(state);
        fixture_open(&t.worker, SOCK_SEQPACKET, SOCK_NONBLOCK, 64);
        t.log = log_new("test");
        log_set_level(t.log, LOG_EMERG);
        t.exec = calloc(1, sizeof(*t.exec));
        t.exec->service = (Service){ .log = t.log, .what = "processes", .n_max = 8, .exit_idle_usec = USEC_INFINITY };
        t.exec->runtime_max_usec = USEC_INFINITY;
        return 0;
}

static int teardown(void **state) {
        exec_done(t.exec);
        service_done(&t.exec->service);
        free(t.exec);
        free(t.script);
        t.script = NULL;
        fixture_close(&t.worker);
        t.log = log_free(t.log);
        return compare_fds(state);
}

#define EXEC_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define RUN_UNTIL(condition) WAIT_FOR(t.exec->service.event, condition)

/* All that the client gets, to the end. */
static void read_all(int fd, char *ret, size_t size) {
        size_t n = 0;

        for (;;) {
                RUN_UNTIL(has_event(fd, POLLIN));
                ssize_t k = recv(fd, ret + n, size - 1 - n, MSG_DONTWAIT);
                if (k <= 0)
                        break;
                n += (size_t) k;
        }
        ret[n] = 0;
}

/* A program with the client as its streams, and with nothing of ours: no descriptor, no mask, no variable. */
static void test_program(void **state) {
        char got[512];
        Guest g;

        begin("read -r line; echo \"$line.$PROTO.$REMOTE_ADDR.$TCPREMOTEIP.$LISTEN_FDS\"; set -- /proc/$$/fd/*; echo $#;"
              "grep -E '^Sig(Blk|Ign):' /proc/$$/status | tr -d '\\n'");
        g = guest_send(&t.worker, NULL);
        assert_int_equal(send(g.fd, "hello\n", 6, MSG_NOSIGNAL), 6);
        read_all(g.fd, got, sizeof(got));
        /* The fourth descriptor is the directory that the shell looks into. */
        assert_ptr_equal(strstr(got, "hello.TCP.127.0.0.1.127.0.0.1.\n4\n"), got);
        assert_non_null(strstr(got, "SigBlk:\t0000000000000000"));
        assert_null(strstr(got, "SigIgn:\t0000000000001000")); /* SIGPIPE */
        assert_int_equal(guest_answer(&g), FDPASS_ANSWER_TAKEN);
        RUN_UNTIL(t.exec->service.n_busy == 0);
        guest_leave(&g);
}

/* All that was told of the client, under its names. */
static void test_environment(void **state) {
        Message m = MESSAGE_NULL;
        char got[1024];
        Guest g;

        m.source.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(1234) };
        m.destination.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(22) };
        assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.7", &m.source.in6.sin6_addr), 1);
        assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", &m.destination.in6.sin6_addr), 1);
        m.authority = slice_from_string("example.org");
        m.route = slice_from_string("git.socket");
        m.listener = slice_from_string("public");
        m.protocol = slice_from_string("ssh");
        m.unique_id = slice_from_string("id-1");
        m.alpn = (Slice){ (const uint8_t *) "h\0x", 3 }; /* can't be told */
        m.data = slice_from_string("user=alice; two words");
        m.ssl = SLICE_LITERAL("\3\0\0\0\0" "\xe0\0\6a.test" "\x21\0\7TLSv1.3" "\x22\0\5alice");

        begin("env | grep -E '^(TCP|REMOTE|FDPASS|PROTO)' | LC_ALL=C sort");
        g = guest_send(&t.worker, &m);
        read_all(g.fd, got, sizeof(got));
        assert_string_equal(got,
                            "FDPASS_AUTHORITY=example.org\nFDPASS_DATA=user=alice; two words\nFDPASS_ID=id-1\n"
                            "FDPASS_LISTENER=public\nFDPASS_PROTOCOL=ssh\nFDPASS_ROUTE=git.socket\n"
                            "FDPASS_TLS_CLIENT=alice\nFDPASS_TLS_NAME=a.test\nFDPASS_TLS_VERSION=TLSv1.3\nPROTO=TCP\n"
                            "REMOTE_ADDR=192.0.2.7\nREMOTE_PORT=1234\nTCPLOCALIP=2001:db8::1\nTCPLOCALPORT=22\n"
                            "TCPREMOTEIP=192.0.2.7\nTCPREMOTEPORT=1234\n");
        RUN_UNTIL(t.exec->service.n_busy == 0);
        guest_leave(&g);
}

/* The broker hears of a program that can't be run, and the client is untouched. */
static void test_no_program(void **state) {
        static const char *const wrong[] = { "/nonexistent", "/", "/etc/passwd" };

        t.exec->path = strdup(wrong[0]);
        begin("");
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                Guest g;

                free(t.exec->path);
                t.exec->path = strdup(wrong[i]);
                assert_true(program_check(wrong[i]) < 0);
                g = guest_send(&t.worker, NULL);
                RUN_UNTIL(has_event(g.conn_fd, POLLIN));
                assert_int_equal(guest_answer(&g), FDPASS_ANSWER_ERROR);
                assert_int_equal(t.exec->service.n_busy, 0);
                guest_leave(&g);
        }
}

/* Bytes that were read already can't get into a socket. */
static void test_consumed(void **state) {
        Message m = MESSAGE_NULL;
        Guest g;

        m.consumed = slice_from_string("GET /");
        begin("cat");
        g = guest_send(&t.worker, &m);
        RUN_UNTIL(has_event(g.conn_fd, POLLIN));
        assert_int_equal(guest_answer(&g), FDPASS_ANSWER_ERROR);
        guest_leave(&g);
}

/* At the limit clients wait in the socket's queue. */
static void test_limit(void **state) {
        Guest g[3];

        t.exec->service.n_max = 2;
        begin("cat");
        for (size_t i = 0; i < 3; i++)
                g[i] = guest_send(&t.worker, NULL);
        RUN_UNTIL(t.exec->service.is_full);
        assert_int_equal(t.exec->service.n_busy, 2);
        assert_true(has_event(t.worker.fd, POLLIN));
        assert_int_equal(guest_answer(&g[2]), -1);

        guest_leave(&g[0]);
        RUN_UNTIL(has_event(g[2].conn_fd, POLLIN));
        assert_int_equal(guest_answer(&g[2]), FDPASS_ANSWER_TAKEN);
        guest_leave(&g[1]);
        guest_leave(&g[2]);
        RUN_UNTIL(t.exec->service.n_busy == 0);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
}

/* A program that doesn't end, and what it has started. */
static void test_runtime(void **state) {
        char got[16];
        Guest g;

        t.exec->runtime_max_usec = 50 * USEC_PER_MSEC;
        begin("sleep 1000 & wait");
        g = guest_send(&t.worker, NULL);
        read_all(g.fd, got, sizeof(got)); /* the end comes when the last of them is gone */
        assert_string_equal(got, "");
        RUN_UNTIL(t.exec->service.n_busy == 0);
        guest_leave(&g);
}

static void test_stderr(void **state) {
        char got[64];
        Guest g;

        t.exec->stderr_mode = STDERR_SOCKET;
        begin("echo error >&2");
        g = guest_send(&t.worker, NULL);
        read_all(g.fd, got, sizeof(got));
        assert_string_equal(got, "error\n");
        RUN_UNTIL(t.exec->service.n_busy == 0);
        guest_leave(&g);
}

/* The linker puts these in front of handoff/ktls.c, because most machines have no kTLS. */
static bool is_ktls;

bool __wrap_ktls_is_on(int fd, const void *calls);
int __wrap_ktls_close_notify(int fd, const void *calls);

bool __wrap_ktls_is_on(int fd, const void *calls) {
        return is_ktls;
}

static unsigned n_full; /* calls that find no room */

int __wrap_ktls_close_notify(int fd, const void *calls) {
        if (n_full > 0 && n_full-- > 0)
                return -EAGAIN;
        return send(fd, "[close_notify]", 14, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void expect_tls(const char *script, bool on, const char *expected) {
        char got[64];
        Guest g;

        is_ktls = on;
        begin(script);
        g = guest_send(&t.worker, NULL);
        read_all(g.fd, got, sizeof(got));
        assert_string_equal(got, expected);
        RUN_UNTIL(t.exec->service.n_busy == 0);
        guest_leave(&g);
        is_ktls = false;
}

/* The end of a program is close_notify for its client, if the kernel has the client's TLS. */
static void test_tls_end(void **state) {
        expect_tls("echo one; exit 3", true, "one\n[close_notify]");
}

/* The send buffer may be full of what the program has written. */
static void test_tls_full(void **state) {
        n_full = 3;
        expect_tls("echo one", true, "one\n[close_notify]");
        assert_int_equal(n_full, 0);
}

/* A program that a signal ended may not have sent all. */
static void test_tls_killed(void **state) {
        expect_tls("echo one; kill -KILL $$", true, "one\n");
}

static void test_no_tls(void **state) {
        expect_tls("echo one", false, "one\n");
}

/* A sender whose client has passed its deadline. */
static void test_deadline(void **state) {
        Message m = MESSAGE_NULL;
        Guest g;

        m.deadline = usec_now() - 1;
        begin("cat");
        g = guest_send(&t.worker, &m);
        RUN_UNTIL(has_event(g.conn_fd, POLLIN));
        assert_int_equal(guest_answer(&g), FDPASS_ANSWER_REFUSED);
        guest_leave(&g);
}

static void test_find(void **state) {
        _cleanup_free_ char *sh = program_find("sh"), *none = program_find("no-such-program"), *path_given = program_find("/a/b");

        assert_int_equal(program_check(sh), 0);
        assert_non_null(endswith(sh, "/sh"));
        assert_string_equal(none, "no-such-program");
        assert_string_equal(path_given, "/a/b");
}

TEST_MAIN(EXEC_TEST(test_program),
          EXEC_TEST(test_environment),
          EXEC_TEST(test_no_program),
          EXEC_TEST(test_consumed),
          EXEC_TEST(test_limit),
          EXEC_TEST(test_runtime),
          EXEC_TEST(test_stderr),
          EXEC_TEST(test_tls_end),
          EXEC_TEST(test_tls_full),
          EXEC_TEST(test_tls_killed),
          EXEC_TEST(test_no_tls),
          EXEC_TEST(test_deadline),
          TEST(test_find))
