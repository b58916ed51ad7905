/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker-fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool is_polled(void) {
        return getenv("FDPASS_TEST_POLLED");
}

void poll_every_other_turn(void) {
        static unsigned n_turns;

        if (is_polled() && n_turns++ % 2 == 0)
                set_polling(true);
}

int turn_both(usec_t timeout) {
        int r;

        poll_every_other_turn();
        r = broker_turn(t.broker, timeout);

        return r >= 0 && t.other ? broker_turn(t.other, 0) : r;
}

void run_for(usec_t span) {
        for (usec_t end = usec_now() + span; usec_now() < end;)
                assert_true(broker_turn(t.broker, end - MIN(usec_now(), end)) >= 0);
}

void path_of(const char *name, char ret[static 64]) {
        (void) snprintf(ret, 64, "%s/%s", t.directory, name);
}

int listen_type_at(const char *name, int type, int backlog) {
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

int listen_at(const char *name, int backlog) {
        return listen_type_at(name, SOCK_STREAM, backlog);
}

int dial(const char *name) {
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

void say(int fd, const char *text) {
        assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t) strlen(text));
}

void close_all(const int *fds, size_t n) {
        for (size_t i = 0; i < n; i++)
                fd_close(fds[i]);
}

bool has_event(int fd, short events) {
        struct pollfd p = { .fd = fd, .events = events };

        return poll(&p, 1, 0) > 0;
}

bool is_closed(int fd) {
        char byte;

        return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

int dial_and_say(const char *name, char what) {
        int fd = dial(name);

        assert_int_equal(send(fd, &what, 1, 0), 1);
        return fd;
}

char take_byte(int worker) {
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

static char **fixture_list_of(const char *value) {
        char **l;

        if (!value)
                return NULL;

        l = calloc(2, sizeof(*l));
        l[0] = strdup(value);
        return l;
}

Config *config_of(const RouteSpec *specs, size_t n) {
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

                path[0] = '\0';
                if (!specs[i].redirect_to)
                        path_of(specs[i].worker, path);
                config->routes[i] = (RouteConfig){
                        .unit = strdup(specs[i].unit),
                        .worker = strdup(path),
                        .match.priority = specs[i].priority,
                        .receipt = specs[i].receipt,
                        .transport = specs[i].transport,
                        .metadata = !specs[i].no_metadata,
                        .hands_back = !specs[i].keeps_clients,
                        .weight = 1,
                        .max_pending = specs[i].max_pending ?: 64,
                        .max_queued = specs[i].max_queued ?: 64,
                        .queue_timeout_usec = specs[i].queue_timeout ?: 30 * USEC_PER_SEC,
                };

                if (specs[i].flusher) {
                        config->routes[i].provider = specs[i].flusher;
                        config->routes[i].flusher = strdup(specs[i].flusher->name);
                        config->routes[i].redirects = specs[i].redirect_to;
                        config->routes[i].flusher_argument = strdup(specs[i].redirect_to ?: "");
                        config->routes[i].response_status = specs[i].redirect_to ? 308 : 200;
                        config->routes[i].response_reason = strdup(specs[i].redirect_to ? "Permanent Redirect" : "OK");
                        config->routes[i].response_fields = strdup("Server: test\r\n");
                }

                RouteMatch *m = &config->routes[i].match;

                m->protocols = specs[i].protocols;
                m->name = specs[i].name ? strdup(specs[i].name) : NULL;
                m->listeners = fixture_list_of(specs[i].listener);
                m->hosts = fixture_list_of(specs[i].host);
                m->paths = fixture_list_of(specs[i].path);
                if (specs[i].prefix) {
                        m->prefixes = calloc(1, sizeof(*m->prefixes));
                        m->prefixes[0] = (BytesMatch){ (uint8_t *) strdup(specs[i].prefix), strlen(specs[i].prefix) };
                        m->n_prefixes = 1;
                }
        }

        return config;
}

void use_config(Config *config) {
        assert_int_equal(broker_set_config(t.broker, config), 0);
}

void trust_all_proxies(Config *config, ProxyProtocol mode) {
        ListenerConfig *l = &config->listener_default;

        l->proxy_protocol = mode;
        l->trusted_proxies = calloc(1, sizeof(*l->trusted_proxies));
        l->trusted_proxies[0].family = AF_INET;
        l->n_trusted_proxies = 1;
}

static void fixture_start_helper(void) {
        struct rlimit limit;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(helper_new(limit.rlim_cur, sizeof(SocketTask), socket_task_run, &t.helper), 0);
        assert_int_equal(broker_set_helper(t.broker, t.helper), 0);
}

int log_to_pipe(int *ret_stderr) {
        int p[2];

        *ret_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
        assert_int_equal(dup2(p[1], STDERR_FILENO), STDERR_FILENO);
        fd_close(p[1]);
        log_set_level(t.log, LOG_WARNING);
        return p[0];
}

void log_to_stderr(int pipe_fd, int stderr_fd) {
        log_set_level(t.log, LOG_EMERG);
        assert_int_equal(dup2(stderr_fd, STDERR_FILENO), STDERR_FILENO);
        fd_close(stderr_fd);
        fd_close(pipe_fd);
}

void expect_line(int pipe_fd, const char *what) {
        char line[1024] = "";

        WAIT_FOR(has_event(pipe_fd, POLLIN));
        assert_true(read(pipe_fd, line, sizeof(line) - 1) > 0);
        if (!strstr(line, what))
                print_message("expected \"%s\", got: %s", what, line);
        assert_non_null(strstr(line, what));
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1); /* one line */
}

int setup(void **state) {
        (void) snprintf(t.directory, sizeof(t.directory), "/tmp/test-broker-XXXXXX");
        assert_non_null(mkdtemp(t.directory));

        t.max_per_source = 0;
        (void) remember_fds(state);
        assert_true(sd_event_new(&t.event) >= 0);
        t.log = log_new("test-broker");
        log_set_level(t.log, LOG_EMERG);
        assert_int_equal(broker_new(t.event, t.log, N_FDS, &t.broker), 0);
        if (is_polled())
                fixture_start_helper();
        assert_int_equal(broker_add_listener(t.broker, "public", listen_at("public", 128)), 0);
        return 0;
}

int setup_with_helper(void **state) {
        int r = setup(state);

        if (!t.helper)
                fixture_start_helper();
        return r;
}

int teardown(void **state) {
        static const char *const names[] = { "public", "other", "return", "a", "b", "c" };

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
