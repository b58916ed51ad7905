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
#include "broker-view.h"
#include "flusher/flusher.h"
#include "handoff/handoff.h"

#define DEADLINE_USEC (10 * USEC_PER_SEC)
#define N_FDS 256 /* descriptors that the broker may have: enough for 64 clients */

/*
 * With FDPASS_TEST_POLLED in the environment (meson's setup "polled"), the broker polls for receipts in every other turn, as
 * if clients came quickly. Its helper is a process then.
 */
bool is_polled(void);
/* To be called before each turn. */
void poll_every_other_turn(void);

/* A turn of the broker, and of the other one. Returns as broker_turn(). */
int turn_both(usec_t timeout);

/* Turns the loop until @condition holds. */
#define WAIT_FOR(condition)                                                                 \
        do {                                                                                \
                usec_t _end = usec_now() + DEADLINE_USEC;                                   \
                while (!(condition)) {                                                      \
                        assert_true(usec_now() < _end);                                     \
                        assert_true(turn_both((t.other ? 1 : 5) * USEC_PER_MSEC) >= 0);     \
                }                                                                           \
        } while (false)

/* Turns of the broker alone. */
void run_for(usec_t span);

/* The path of @name in the fixture's directory. */
void path_of(const char *name, char ret[static 64]);

/* A socket that listens at @name, in place of what is there. */
int listen_type_at(const char *name, int type, int backlog);
int listen_at(const char *name, int backlog); /* SOCK_STREAM */

/* A client of the listener at @name. */
int dial(const char *name);
/* It sends one byte, by which the worker's end is found. */
int dial_and_say(const char *name, char what);

void say(int fd, const char *text);
void close_all(const int *fds, size_t n);
bool has_event(int fd, short events);
bool is_closed(int fd);

/* The worker's side: takes one client from the listening socket @worker, reads its byte, and closes it. */
char take_byte(int worker);

/* The settings of a route that a test needs; zero means the default. */
typedef struct RouteSpec {
        const char *unit, *worker, *listener;
        int priority;
        unsigned max_pending, max_queued;
        usec_t queue_timeout;
        unsigned protocols;
        ReceiptKind receipt;
        Transport transport;
        bool no_metadata, keeps_clients;
        const char *host, *path, *prefix, *name;
        const struct fdpass_flusher *flusher;
        const char *redirect_to; /* argument of a flusher without a worker */
} RouteSpec;

/* A configuration of these routes, for the caller to change, and for broker_set_config(). */
Config *config_of(const RouteSpec *specs, size_t n);

/* Consumes @config. */
void use_config(Config *config);
void trust_all_proxies(Config *config, ProxyProtocol mode);

#define USE(...)                                                                \
        do {                                                                    \
                const RouteSpec _specs[] = { __VA_ARGS__ };                     \
                use_config(config_of(_specs, ELEMENTSOF(_specs)));              \
        } while (false)

/* Sends lines of the log from LOG_WARNING on to a pipe. Returns its reading end, for log_to_stderr(). */
int log_to_pipe(int *ret_stderr);
void log_to_stderr(int pipe_fd, int stderr_fd);

/* Waits for the next line, which has to have @what in it. */
void expect_line(int pipe_fd, const char *what);

int setup(void **state);
/* The helper is a process, polled or not. */
int setup_with_helper(void **state);
int teardown(void **state);

#define BROKER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define BROKER_TEST_WITH_HELPER(f) cmocka_unit_test_setup_teardown(f, setup_with_helper, teardown)
