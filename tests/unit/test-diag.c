/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lines of the log, and events for observers. */

#include "broker-fixture.h"

/* Sends the log to a pipe. */
static int log_to_pipe(int *ret_stderr) {
        int p[2];

        *ret_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
        assert_int_equal(dup2(p[1], STDERR_FILENO), STDERR_FILENO);
        fd_close(p[1]);
        log_set_level(t.log, LOG_WARNING);
        return p[0];
}

static void log_to_stderr(int pipe_fd, int stderr_fd) {
        log_set_level(t.log, LOG_EMERG);
        assert_int_equal(dup2(stderr_fd, STDERR_FILENO), STDERR_FILENO);
        fd_close(stderr_fd);
        fd_close(pipe_fd);
}

static void expect_line(int pipe_fd, const char *what) {
        char line[1024] = "";

        WAIT_FOR(has_event(pipe_fd, POLLIN));
        assert_true(read(pipe_fd, line, sizeof(line) - 1) > 0);
        if (!strstr(line, what))
                print_message("expected \"%s\", got: %s", what, line);
        assert_non_null(strstr(line, what));
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1); /* one line */
}

/* Refusals that no other one follows are told when the interval of their line is over, or the broker ends. */
static void test_held_back_count(void **state) {
        int worker = listen_at("a", 64), clients[8], stderr_fd, log = log_to_pipe(&stderr_fd);

        USE({ .unit = "a.socket", .worker = "a", .max_pending = 1, .max_queued = 1 });
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = dial("public");
                WAIT_FOR(n_accepted() == i + 1);

                if (i == 2) {
                        expect_line(log, "1 client was refused");
                        assert_false(holds_back_lines());
                        age_line_of_full_pool("a.socket", 9800 * USEC_PER_MSEC);
                } else if (i == 4) {
                        expect_line(log, "2 clients were refused");
                        assert_false(holds_back_lines());
                }
        }
        assert_true(holds_back_lines());
        assert_false(has_event(log, POLLIN));
        t.broker = broker_free(t.broker);
        expect_line(log, "3 clients were refused");

        log_to_stderr(log, stderr_fd);
        close_all(clients, ELEMENTSOF(clients));
        fd_close(worker);
}

/* The worker ends the next handoff and leaves its client unread. */
static void leave_unread(int worker) {
        uint64_t n = n_unread();

        WAIT_FOR(has_event(worker, POLLIN));
        fd_close(accept4(worker, NULL, NULL, SOCK_CLOEXEC));
        WAIT_FOR(n_unread() == n + 1);
}

/* A count that is held back survives the unit that it would be told of, as long as another one has the same worker. */
static void test_held_back_count_of_worker(void **state) {
        int worker = listen_at("a", 64), stderr_fd, log = log_to_pipe(&stderr_fd), client;

        USE({ .unit = "a.socket", .worker = "a" });
        client = dial_and_say("public", 'x');
        leave_unread(worker);
        expect_line(log, "a.socket: worker");
        leave_unread(worker);
        assert_true(holds_back_lines());
        assert_int_equal(take_byte(worker), 'x');
        WAIT_FOR(n_taken() == 1);

        USE({ .unit = "b.socket", .worker = "a" });
        assert_false(has_event(log, POLLIN));
        t.broker = broker_free(t.broker);
        expect_line(log, "with 1 client unread");

        log_to_stderr(log, stderr_fd);
        fd_close(client);
        fd_close(worker);
}

/* A pause whose line is held back ends with the broker, and the log says nothing of it. */
static void test_held_back_pause(void **state) {
        int a = listen_at("a", 64), b = listen_at("b", 64), clients[8], stderr_fd, log = log_to_pipe(&stderr_fd);

        assert_int_equal(broker_add_listener(t.broker, "other", listen_at("other", 128)), 0);
        USE({ .unit = "a.socket", .worker = "a", .listener = "public" },
            { .unit = "b.socket", .worker = "b", .listener = "other" });
        set_max_clients(4);
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = dial_and_say(i % 2 ? "other" : "public", 'x');
                WAIT_FOR(n_accepted() == i + 1);

                if (i == 3) {
                        assert_true(is_paused());
                        expect_line(log, "4 clients are in the broker");
                        for (size_t k = 0; k < 2; k++) {
                                assert_int_equal(take_byte(a), 'x');
                                assert_int_equal(take_byte(b), 'x');
                        }
                        WAIT_FOR(n_taken() == 4);
                }
        }
        assert_true(is_paused());
        assert_true(holds_back_lines());
        t.broker = broker_free(t.broker);
        assert_false(has_event(log, POLLIN));

        log_to_stderr(log, stderr_fd);
        close_all(clients, ELEMENTSOF(clients));
        fd_close(a);
        fd_close(b);
}

static struct {
        unsigned n[_EVENT_MAX];
} seen;

static void on_observed(void *userdata, EventKind kind, const Client *c, const Route *route) {
        seen.n[kind]++;
}

static void test_observer(void **state) {
        int a = listen_at("a", 16), client;

        memset(&seen, 0, sizeof(seen));
        USE({ .unit = "a.socket", .worker = "a" });
        observe(on_observed);

        client = dial_and_say("public", 'x');
        assert_int_equal(take_byte(a), 'x');
        WAIT_FOR(seen.n[EVENT_TAKEN] == 1);
        fd_close(client);
        fd_close(a);

        client = dial_and_say("public", 'y');
        WAIT_FOR(seen.n[EVENT_REFUSED] == 1);
        assert_int_equal(seen.n[EVENT_WORKER_GONE], 1);
        fd_close(client);
}

TEST_MAIN(BROKER_TEST(test_held_back_count),
          BROKER_TEST(test_held_back_count_of_worker),
          BROKER_TEST(test_held_back_pause),
          BROKER_TEST(test_observer))
