/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The broker's answers to load balancers, and a drained host. */

#include "handback-fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "broker/host-drain.h"
#include "control/conn.h"
#include "control/control.h"
#include "fdpassd/host-file.h"
#include "handoff/message.h"
#include "handoff/scope.h"

static Control *control;

static void start_control(void) {
        static const LoadReport report;
        const ControlHost host = { .report = &report };

        assert_int_equal(control_new(t.broker, listen_at("control", 8), &host, &control), 0);
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        *(sd_bus_message **) userdata = sd_bus_message_ref(m);
        return 0;
}

static bool is_answered_by(sd_bus *bus, sd_bus_message **answer) {
        assert_true(sd_bus_process(bus, NULL) >= 0);
        return *answer;
}

/* Asks for one unit. Returns the state of the host, and that of the unit in @ret_state. */
static const char *ask(const char *unit, char ret_state[static 64], uint64_t *ret_percent) {
        static char host[64];
        sd_bus_message *answer = NULL, *m;
        const char *state, *reason, *name, *contents;
        sd_bus *bus;
        char type;
        int fd = dial("control");

        assert_true(sd_bus_new(&bus) >= 0);
        assert_true(sd_bus_set_fd(bus, fd, fd) >= 0);
        assert_true(sd_bus_start(bus) >= 0);
        assert_true(sd_bus_message_new_method_call(bus, &m, NULL, CONTROL_PATH, CONTROL_INTERFACE, "Health") >= 0);
        assert_true(sd_bus_message_append(m, "as", 1, unit) >= 0);
        assert_true(sd_bus_call_async(bus, NULL, m, on_answer, &answer, 0) >= 0);
        sd_bus_message_unref(m);
        WAIT_FOR(is_answered_by(bus, &answer));
        assert_false(sd_bus_message_is_method_error(answer, NULL));

        assert_true(sd_bus_message_read(answer, "ss", &state, &reason) >= 0);
        (void) snprintf(host, sizeof(host), "%s%s%s", state, *reason ? ": " : "", reason);
        *ret_percent = 0;
        assert_true(sd_bus_message_enter_container(answer, 'a', "a{sv}") > 0);
        assert_true(sd_bus_message_enter_container(answer, 'a', "{sv}") > 0);
        while (sd_bus_message_enter_container(answer, 'e', "sv") > 0) {
                assert_true(sd_bus_message_read(answer, "s", &name) >= 0);
                assert_true(sd_bus_message_peek_type(answer, &type, &contents) > 0);
                if (streq(name, "State")) {
                        assert_true(sd_bus_message_read(answer, "v", "s", &state) >= 0);
                        (void) snprintf(ret_state, 64, "%s", state);
                } else if (streq(name, "Percent"))
                        assert_true(sd_bus_message_read(answer, "v", "t", ret_percent) >= 0);
                else
                        assert_true(sd_bus_message_skip(answer, "v") >= 0);
                assert_true(sd_bus_message_exit_container(answer) >= 0);
        }

        sd_bus_message_unref(answer);
        sd_bus_close_unref(bus);
        WAIT_FOR(control->n_conns == 0);
        return host;
}

static uint64_t percent_of(const char *unit) {
        char state[64];
        uint64_t percent;

        (void) ask(unit, state, &percent);
        return percent;
}

static bool state_is(const char *unit, const char *expected) {
        char state[64] = "";
        uint64_t percent;

        (void) ask(unit, state, &percent);
        return streq(state, expected);
}

/* A worker that is back is tried for the answer, and no client is needed. Clients that waited are served. */
static void test_gone_is_tried(void **state) {
        int client, worker;
        char path[64];

        start_control();
        USE({ .unit = "a.socket", .worker = "a" });
        assert_true(state_is("a.socket", "ready"));

        client = dial_and_say("public", 'x');
        WAIT_FOR(state_is("a.socket", "gone"));
        fd_close(client);
        WAIT_FOR(n_in_broker() == 0);
        assert_true(state_is("a.socket", "gone"));

        path_of("a", path);
        worker = listen_at("a", 8);
        WAIT_FOR(state_is("a.socket", "ready"));
        assert_int_equal(percent_of("a.socket"), 100);

        control = control_free(control);
        fd_close(worker);
}

/* A unit without a route is unknown. A drained worker counts as gone; the weights of the others are told. */
static void test_percent(void **state) {
        int a = listen_at("a", 8), b = listen_at("b", 8);

        start_control();
        USE({ .unit = "a.socket", .worker = "a" }, { .unit = "b.socket", .worker = "b" });
        assert_true(state_is("c.socket", "unknown"));
        assert_int_equal(percent_of("a.socket"), 100);
        drain("a", true);
        assert_int_equal(percent_of("a.socket"), 50);
        assert_int_equal(percent_of("b.socket"), 50);
        drain("b", true);
        assert_int_equal(percent_of("a.socket"), 0);
        assert_true(state_is("a.socket", "drained"));

        control = control_free(control);
        fd_close(a);
        fd_close(b);
}

static void test_host_state(void **state) {
        uint64_t percent;
        char unit[64];

        start_control();
        USE({ .unit = "a.socket", .worker = "a" });
        assert_string_equal(ask("a.socket", unit, &percent), "ready");
        assert_true(host_drain_set(t.broker, "a new kernel"));
        assert_false(host_drain_set(t.broker, "a new kernel"));
        assert_string_equal(ask("a.socket", unit, &percent), "draining: a new kernel");
        assert_true(host_drain_set(t.broker, ""));
        assert_string_equal(ask("a.socket", unit, &percent), "draining");
        assert_true(host_drain_set(t.broker, NULL));
        assert_string_equal(ask("a.socket", unit, &percent), "ready");
        control = control_free(control);
}

/* Clients that are parked when the host is drained get the shorter time, and so do later ones. */
static void test_parked_ends(void **state) {
        int first, second, fd;

        start_handback(listen_type_at("return", SOCK_SEQPACKET, 8));
        set_park_timeout(USEC_INFINITY);
        tcp_pair(&first, &fd);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(n_parked() == 1);

        park_limit(&t.broker->parking, 50 * USEC_PER_MSEC);
        WAIT_FOR(is_closed(first));
        tcp_pair(&second, &fd);
        expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
        WAIT_FOR(is_closed(second));

        fd_close(first);
        fd_close(second);
}

/* The scopes of a drained host cover nothing, so workers hand each client back. */
static void test_scopes_ask(void **state) {
        int a = listen_type_at("a", SOCK_SEQPACKET, 8), client, fd;

        start_handback(listen_type_at("return", SOCK_SEQPACKET, 8));
        for (int is_drained = 0; is_drained <= 1; is_drained++) {
                Message m;
                Scope scope;

                (void) host_drain_set(t.broker, is_drained ? "" : NULL);
                tcp_pair(&client, &fd);
                expect_answer(hand_back(fd, MESSAGE_NULL), FDPASS_ANSWER_TAKEN);
                WAIT_FOR(n_parked() == 1);
                say(client, HEAD_A);
                m = take_message(a, HEAD_A);
                assert_true(scope_decode(m.scope, &scope));
                assert_int_equal(scope.asks, is_drained);
                assert_int_equal(scope.is_drained, is_drained);
                WAIT_FOR(n_in_broker() == 0);
                fd_close(client);
        }

        fd_close(a);
}

static void write_file(const char *root, const char *text) {
        char path[128];
        int fd;

        (void) snprintf(path, sizeof(path), "%s/run", root);
        (void) mkdir(path, 0755);
        (void) snprintf(path, sizeof(path), "%s/run/fdpass", root);
        (void) mkdir(path, 0755);
        (void) snprintf(path, sizeof(path), "%s%s", root, FDPASS_DRAINING_PATH);
        (void) unlink(path);
        if (!text)
                return;

        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        fd_close(fd);
}

/* The file says it: its first line, cut to what a reason may have. What is no regular file changes nothing. */
static void test_file(void **state) {
        char long_text[1024], path[128];

        write_file(t.directory, "a reason\nand more\n");
        host_file_read(t.broker, t.directory);
        assert_true(t.broker->host_drain.is_on);
        assert_string_equal(t.broker->host_drain.reason, "a reason");

        memset(long_text, 'x', sizeof(long_text) - 1);
        long_text[sizeof(long_text) - 1] = '\0';
        write_file(t.directory, long_text);
        host_file_read(t.broker, t.directory);
        assert_int_equal(strlen(t.broker->host_drain.reason), HOST_DRAIN_REASON_MAX);

        write_file(t.directory, "\x1b[31m\xff");
        host_file_read(t.broker, t.directory);
        assert_string_equal(t.broker->host_drain.reason, "?[31m?");

        write_file(t.directory, NULL);
        (void) snprintf(path, sizeof(path), "%s%s", t.directory, FDPASS_DRAINING_PATH);
        assert_int_equal(mkfifo(path, 0600), 0);
        host_file_read(t.broker, t.directory);
        assert_true(t.broker->host_drain.is_on);

        write_file(t.directory, NULL);
        host_file_read(t.broker, t.directory);
        assert_false(t.broker->host_drain.is_on);
        (void) snprintf(path, sizeof(path), "%s/run/fdpass", t.directory);
        (void) rmdir(path);
        (void) snprintf(path, sizeof(path), "%s/run", t.directory);
        (void) rmdir(path);
}

TEST_MAIN(BROKER_TEST(test_gone_is_tried),
          BROKER_TEST(test_percent),
          BROKER_TEST(test_host_state),
          BROKER_TEST(test_parked_ends),
          BROKER_TEST(test_scopes_ask),
          BROKER_TEST(test_file))
