/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A broker in one process with its clients and workers: real sockets, a real event loop, and a configuration
 * made by hand.
 */

#include "test.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "basic/address.h"
#include "basic/fd.h"
#include "broker/broker.h"
#include "broker/routing.h"
#include "flusher/flusher.h"
#include "handoff/handoff.h"

#define DEADLINE_USEC (10 * USEC_PER_SEC)
#define N_FDS 256 /* what the broker is told that it may have: 64 clients */

static struct {
        sd_event *event;
        Log *log;
        Helper *helper;      /* a process; NULL: what may wait is done at once, by this process */
        Broker *broker;
        Broker *other;       /* of some tests, with an event loop of its own */
        char directory[32];
        unsigned max_per_source; /* MaxClientsPerSource= of the next configuration; 0: as by default */
} t;

/*
 * With FDPASS_TEST_IN_A_HURRY in the environment the broker believes at the beginning of every other turn that clients
 * come quickly (pace.h), however slowly they do. It has a helper process then, too.
 */
static void hurry(Broker *b) {
        static unsigned n_turns;

        if (!getenv("FDPASS_TEST_IN_A_HURRY") || n_turns++ % 2 == 1)
                return;

        b->pace = (Pace){ .n_accepted = b->n.n_accepted, .at = usec_now(), .gap = 1, .is_quick = true };
        receipts_watch(&b->receipts, true);
}

_unused_ static int turn_both(usec_t timeout) {
        int r;

        hurry(t.broker);
        r = broker_turn(t.broker, timeout);

        return r >= 0 && t.other ? broker_turn(t.other, 0) : r;
}

/* Turns the loop until @condition holds. */
#define WAIT_FOR(condition)                                                                 \
        do {                                                                                \
                usec_t _end = usec_now() + DEADLINE_USEC;                                   \
                while (!(condition)) {                                                      \
                        assert_true(usec_now() < _end);                                     \
                        assert_true(turn_both((t.other ? 1 : 5) * USEC_PER_MSEC) >= 0);     \
                }                                                                           \
        } while (false)

_unused_ static void path_of(const char *name, char ret[static 64]) {
        (void) snprintf(ret, 64, "%s/%s", t.directory, name);
}

_unused_ static int listen_type_at(const char *name, int type, int backlog) {
        struct sockaddr_un sun;
        socklen_t len;
        char path[64];
        int fd;

        path_of(name, path);
        assert_int_equal(address_from_path(path, &sun, &len), 0);
        (void) unlink(path);

        fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &sun, len), 0);
        assert_int_equal(listen(fd, backlog), 0);
        return fd;
}

_unused_ static int listen_at(const char *name, int backlog) {
        return listen_type_at(name, SOCK_STREAM, backlog);
}

_unused_ static int dial(const char *name) {
        struct sockaddr_un sun;
        socklen_t len;
        char path[64];
        int fd;

        path_of(name, path);
        assert_int_equal(address_from_path(path, &sun, &len), 0);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *) &sun, len), 0);
        return fd;
}

_unused_ static bool has_event(int fd, short events) {
        struct pollfd p = { .fd = fd, .events = events };

        return poll(&p, 1, 0) > 0;
}

_unused_ static bool is_closed(int fd) {
        char byte;

        return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

/* One client sends a byte, so that the worker's end can be told by it. */
_unused_ static int dial_and_say(const char *name, char what) {
        int fd = dial(name);

        assert_int_equal(send(fd, &what, 1, 0), 1);
        return fd;
}

/* The worker's side: takes one client, reads its byte and closes it. */
_unused_ static char take_byte(int worker) {
        int conn, client = -EBADF;
        char byte = 0;

        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_true(conn >= 0);
        assert_int_equal(handoff_receive(conn, &client), 0);
        fd_close(conn);

        assert_false(fcntl(client, F_GETFL) & O_NONBLOCK);
        assert_int_equal(recv(client, &byte, 1, 0), 1);
        fd_close(client);
        return byte;
}

/* What a test says of a route; the rest is as it is by default. */
typedef struct RouteSpec {
        const char *unit, *worker, *listener;
        int priority;
        unsigned max_pending, max_queued;
        usec_t queue_timeout;
        unsigned protocols;
        ReceiptKind receipt;
        WorkerForm form;
        bool no_metadata;
        const char *host, *path, *prefix, *name;
        const struct fdpass_flusher *flusher;
} RouteSpec;

_unused_ static char **list_of(const char *value) {
        char **l;

        if (!value)
                return NULL;

        l = calloc(2, sizeof(*l));
        l[0] = strdup(value);
        return l;
}

_unused_ static Config *config_of(const RouteSpec *specs, size_t n) {
        Config *config = calloc(1, sizeof(*config));

        config->routes = calloc(MAX(n, (size_t) 1), sizeof(*config->routes));
        config->n_routes = n;
        config->broker.exit_idle_usec = USEC_INFINITY;
        config->broker.park_timeout_usec = 60 * USEC_PER_SEC;
        config->listener_default = (ListenerConfig){
                .head_timeout_usec = 500 * USEC_PER_MSEC,
                .silent_timeout_usec = 200 * USEC_PER_MSEC,
                .max_head_size = 16384,
                .max_clients_per_source = t.max_per_source,
        };

        for (size_t i = 0; i < n; i++) {
                char path[64];

                path_of(specs[i].worker, path);
                config->routes[i] = (RouteConfig){
                        .unit = strdup(specs[i].unit),
                        .worker = strdup(path),
                        .match.priority = specs[i].priority,
                        .receipt = specs[i].receipt,
                        .form = specs[i].form,
                        .metadata = !specs[i].no_metadata,
                        .weight = 1,
                        .max_pending = specs[i].max_pending ?: 64,
                        .max_queued = specs[i].max_queued ?: 64,
                        .queue_timeout_usec = specs[i].queue_timeout ?: 30 * USEC_PER_SEC,
                };

                if (specs[i].flusher) {
                        config->routes[i].provider = specs[i].flusher;
                        config->routes[i].flusher = strdup(specs[i].flusher->name);
                        config->routes[i].flusher_argument = strdup("");
                        config->routes[i].response_status = 200;
                        config->routes[i].response_reason = strdup("OK");
                        config->routes[i].response_fields = strdup("Server: test\r\n");
                }

                RouteMatch *m = &config->routes[i].match;

                m->protocols = specs[i].protocols;
                m->name = specs[i].name ? strdup(specs[i].name) : NULL;
                m->listeners = list_of(specs[i].listener);
                m->hosts = list_of(specs[i].host);
                m->paths = list_of(specs[i].path);
                if (specs[i].prefix) {
                        m->prefixes = calloc(1, sizeof(*m->prefixes));
                        m->prefixes[0] = (BytesMatch){ (uint8_t *) strdup(specs[i].prefix), strlen(specs[i].prefix) };
                        m->n_prefixes = 1;
                }
        }

        return config;
}

#define USE(...)                                                                                  \
        do {                                                                                      \
                const RouteSpec _specs[] = { __VA_ARGS__ };                                       \
                assert_int_equal(broker_set_config(t.broker, config_of(_specs, ELEMENTSOF(_specs))), 0); \
        } while (false)

static void start_helper(void) {
        struct rlimit limit;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(helper_new(limit.rlim_cur, sizeof(SocketTask), socket_task_run, &t.helper), 0);
        assert_int_equal(broker_set_helper(t.broker, t.helper), 0);
}

_unused_ static int setup(void **state) {
        (void) snprintf(t.directory, sizeof(t.directory), "/tmp/test-broker-XXXXXX");
        assert_non_null(mkdtemp(t.directory));

        t.max_per_source = 0;
        (void) remember_fds(state);
        assert_true(sd_event_new(&t.event) >= 0);
        t.log = log_new("test-broker");
        log_set_level(t.log, LOG_EMERG);
        assert_int_equal(broker_new(t.event, t.log, N_FDS, &t.broker), 0);
        if (getenv("FDPASS_TEST_IN_A_HURRY"))
                start_helper();
        assert_int_equal(broker_add_listener(t.broker, "public", listen_at("public", 128)), 0);
        return 0;
}

/* With a helper in both modes, for tests of what may wait. */
_unused_ static int setup_with_helper(void **state) {
        int r = setup(state);

        if (!t.helper)
                start_helper();
        return r;
}

_unused_ static int teardown(void **state) {
        static const char *const names[] = { "public", "other", "return", "a", "b" };

        t.broker = broker_free(t.broker);
        t.helper = helper_free(t.helper);
        t.log = log_free(t.log);
        t.event = sd_event_unref(t.event);

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                char path[64];

                path_of(names[i], path);
                (void) unlink(path);
        }
        (void) rmdir(t.directory);
        return compare_fds(state);
}

#define BROKER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define BROKER_TEST_WITH_HELPER(f) cmocka_unit_test_setup_teardown(f, setup_with_helper, teardown)
