/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The keys of a unit, and the reports about wrong values. */

#include "test-config.h"

/* The end of an error about a key that is like no other. */
#define UNKNOWN "; remove it, or take a key of fdpass.unit(5)."

static void test_defaults(_unused_ void **state) {
        _cleanup_tree_ Tree t;
        const RouteConfig *route = load_unit(&t, "a.socket", SOCKET "[X-FDPass]\n");

        assert_string_equal(route->unit, "a.socket");
        assert_string_equal(route->path, USR "/a.socket");
        assert_null(route->match.listeners);
        assert_int_equal(route->match.priority, 0);
        assert_string_equal(route->worker, "/run/w.sock");
        assert_int_equal(route->transport, TRANSPORT_STREAM);
        assert_true(route->hands_back);
        assert_int_equal(route->max_pending, 64);
        assert_int_equal(route->max_queued, 1024);
        assert_int_equal(route->queue_timeout_usec, 30 * USEC_PER_SEC);
}

static void test_all_keys(_unused_ void **state) {
        _cleanup_tree_ Tree t;
        const RouteConfig *route = load_unit(&t, "a.socket",
                                             SOCKET "[X-FDPass]\n"
                                                    "Listener=web\n"
                                                    "RoutePriority=-5\n"
                                                    "Worker=/run/other.sock\n"
                                                    "HandsBack=no\n"
                                                    "MaxPending=65536\n"
                                                    "MaxQueued=1048576\n"
                                                    "QueueTimeoutSec=1min 500ms\n");

        assert_string_equal(route->match.listeners[0], "web");
        assert_null(route->match.listeners[1]);
        assert_int_equal(route->match.priority, -5);
        assert_string_equal(route->worker, "/run/other.sock");
        assert_false(route->hands_back);
        assert_int_equal(route->max_pending, 65536);
        assert_int_equal(route->max_queued, 1048576);
        assert_int_equal(route->queue_timeout_usec, 60500 * USEC_PER_MSEC);
}

static void test_smallest(_unused_ void **state) {
        _cleanup_tree_ Tree t;
        const RouteConfig *route = load_unit(&t, "a.socket",
                                             SOCKET "[X-FDPass]\nMaxPending=1\nMaxQueued=0\nQueueTimeoutSec=infinity\n");

        assert_int_equal(route->max_pending, 1);
        assert_int_equal(route->max_queued, 0);
        assert_true(route->queue_timeout_usec == USEC_INFINITY);
}

/* The last assignment wins; an empty one brings the default back. */
static void test_last_wins(_unused_ void **state) {
        _cleanup_tree_ Tree t;
        const RouteConfig *route = load_unit(&t, "a.socket",
                                             SOCKET "[X-FDPass]\nRoutePriority=1\nRoutePriority=2\nMaxQueued=5\nMaxQueued=\n"
                                                    "MaxPending=9\nQueueTimeoutSec=1\nWorker=/run/x\n"
                                                    "[X-FDPass]\nMaxPending=\nQueueTimeoutSec=\nWorker=\n");

        assert_int_equal(route->match.priority, 2);
        assert_int_equal(route->max_queued, 1024);
        assert_int_equal(route->max_pending, 64);
        assert_int_equal(route->queue_timeout_usec, 30 * USEC_PER_SEC);
        assert_string_equal(route->worker, "/run/w.sock");
}

/* Lists append over lines and files, and an empty assignment resets; sorted, each name once. */
static void test_listeners(_unused_ void **state) {
        _cleanup_tree_ Tree t;
        const RouteConfig *route;

        tree_init(&t);
        tree_worker(&t, "a.socket", SOCKET "[X-FDPass]\nListener=gone\nListener=\nListener=web  \t api\nListener=b\n");
        tree_file(&t, ETC "/a.socket.d/x.conf", "[X-FDPass]\nListener=api a\n");
        tree_load_clean(&t);

        route = tree_route(&t, "a.socket");
        assert_string_equal(route->match.listeners[0], "a");
        assert_string_equal(route->match.listeners[1], "api");
        assert_string_equal(route->match.listeners[2], "b");
        assert_string_equal(route->match.listeners[3], "web");
        assert_null(route->match.listeners[4]);

        tree_file(&t, ETC "/a.socket.d/y.conf", "[X-FDPass]\nListener=\n");
        tree_load_clean(&t);
        assert_null(tree_route(&t, "a.socket")->match.listeners);
}

static void test_bad_numbers(_unused_ void **state) {
        assert_bad_line("MaxPending=0", "MaxPending= wants a number from 1 to 65536, not \"0\".");
        assert_bad_line("MaxPending=65537", "MaxPending= wants a number from 1 to 65536, not \"65537\".");
        assert_bad_line("MaxPending=+5", "MaxPending= wants a number from 1 to 65536, not \"+5\".");
        assert_bad_line("MaxQueued=many", "MaxQueued= wants a number from 0 to 1048576, not \"many\".");
        assert_bad_line("MaxQueued=1048577", "MaxQueued= wants a number from 0 to 1048576, not \"1048577\".");
        assert_bad_line("MaxQueued=99999999999999999999",
                        "MaxQueued= wants a number from 0 to 1048576, not \"99999999999999999999\".");
        assert_bad_line("RoutePriority=high", "RoutePriority= wants a whole number, not \"high\".");
        assert_bad_line("RoutePriority=2147483648", "RoutePriority= wants a whole number, not \"2147483648\".");
        assert_bad_line("QueueTimeoutSec=soon",
                        "QueueTimeoutSec= wants a time span such as \"30s\" or \"infinity\", not \"soon\".");
        assert_bad_line("QueueTimeoutSec=-1",
                        "QueueTimeoutSec= wants a time span such as \"30s\" or \"infinity\", not \"-1\".");
}

static void test_bad_listeners(_unused_ void **state) {
        _cleanup_free_ char *line = NULL, *message = NULL;
        char name[257];

        assert_bad_line("Listener=a:b",
                        "Listener= wants names as FileDescriptorName= takes them (ASCII, no \":\"), not \"a:b\".");
        assert_bad_line("Listener=über",
                        "Listener= wants names as FileDescriptorName= takes them (ASCII, no \":\"), not \"über\".");

        memset(name, 'a', 256);
        name[256] = '\0';
        assert_true(asprintf(&line, "Listener=%s", name) > 0);
        assert_true(asprintf(&message, "Listener= wants names as FileDescriptorName= takes them (ASCII, no \":\"), "
                                       "not \"%.80s…\".", name) > 0);
        assert_bad_line(line, message);
}

/* A sun_path takes 107 bytes and a NUL (unix(7)). */
static void test_worker_length(_unused_ void **state) {
        char path[109], content[256], message[256];

        memset(path, 'a', sizeof(path));
        path[0] = '/';

        for (size_t n = 107; n <= 108; n++) {
                path[n] = '\0';
                (void) snprintf(content, sizeof(content), "[X-FDPass]\nWorker=%s\n[Socket]\nListenStream=80\n", path);
                if (n == 107) {
                        _cleanup_tree_ Tree t;

                        assert_string_equal(load_unit(&t, "a.socket", content)->worker, path);
                        path[n] = 'a';
                        continue;
                }

                (void) snprintf(message, sizeof(message),
                                "Worker= wants an absolute, normalised path of at most 107 bytes, not \"%.80s…\".",
                                path);
                (void) snprintf(content, sizeof(content), "[X-FDPass]\nWorker=%s\n" SOCKET, path);
                assert_error(content, 2, message);
        }
}

/* The broker follows no link, and nearly all systems have this one. */
static void test_var_run(_unused_ void **state) {
        static const char *const paths[][2] = { { "/var/run/w.sock", "/run/w.sock" }, { "/var/run/d/w.sock", "/run/d/w.sock" } };

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                _cleanup_tree_ Tree t;
                char content[256], message[256];

                (void) snprintf(content, sizeof(content), "[Socket]\nListenStream=%s\n[X-FDPass]\n", paths[i][0]);
                (void) snprintf(message, sizeof(message), "ListenStream=%s is below a symbolic link, which the broker does not "
                                "follow; write %s, which it uses instead.", paths[i][0], paths[i][1]);
                tree_init(&t);
                tree_worker(&t, "a.socket", content);
                tree_load(&t);
                assert_only(&t, CONFIG_WARNING, "a.socket", USR "/a.socket", 2, message);
                assert_string_equal(t.config->routes[0].worker, paths[i][1]);
        }
}

static void test_bad_worker(_unused_ void **state) {
        assert_bad_line("Worker=run/w.sock",
                        "Worker= wants an absolute, normalised path of at most 107 bytes, not \"run/w.sock\".");
        assert_bad_line("Worker=@abstract",
                        "Worker= wants an absolute, normalised path of at most 107 bytes, not \"@abstract\".");
        assert_bad_line("Worker=/run/../w.sock",
                        "Worker= wants an absolute, normalised path of at most 107 bytes, not \"/run/../w.sock\".");
        assert_bad_line("Worker=/run/./w.sock",
                        "Worker= wants an absolute, normalised path of at most 107 bytes, not \"/run/./w.sock\".");
        assert_bad_line("Worker=/run/..",
                        "Worker= wants an absolute, normalised path of at most 107 bytes, not \"/run/..\".");
}

/* The first path that the socket unit listens on is the worker's; what it listens on besides does no harm. */
static void test_first_path(_unused_ void **state) {
        _cleanup_tree_ Tree t;
        const RouteConfig *route = load_unit(&t, "a.socket",
                                             "[X-FDPass]\n[Socket]\nListenFIFO=/run/fifo\nListenStream=8080\n"
                                             "ListenStream=@abstract\nListenStream=/run/1\nListenStream=/run/2\n");

        assert_string_equal(route->worker, "/run/1");
}

/* An empty assignment of any kind of Listen…= empties the one list that they are. */
static void test_listen_reset(_unused_ void **state) {
        static const char *const keys[] = {
                "ListenStream",  "ListenDatagram", "ListenSequentialPacket", "ListenFIFO",
                "ListenNetlink", "ListenSpecial",  "ListenMessageQueue",     "ListenUSBFunction",
        };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                _cleanup_tree_ Tree t;
                char dropin[128];

                tree_init(&t);
                tree_worker(&t, "a.socket", SOCKET "[X-FDPass]\n");
                (void) snprintf(dropin, sizeof(dropin), "[Socket]\n%s=\nListenStream=/run/new\n", keys[i]);
                tree_file(&t, ETC "/a.socket.d/x.conf", dropin);
                tree_load_clean(&t);
                assert_string_equal(tree_route(&t, "a.socket")->worker, "/run/new");
        }
}

static void test_no_path(_unused_ void **state) {
        assert_error("[X-FDPass]\n[Socket]\nListenStream=8080\n", 3,
                     "ListenStream= wants a path in the file system, because the broker passes clients to a path, not \"8080\".");
        assert_error("[X-FDPass]\n[Socket]\nListenStream=@w\n", 3,
                     "ListenStream= wants a path in the file system, because the broker passes clients to a path, not \"@w\".");
        assert_error("[X-FDPass]\n[Socket]\nListenStream=vsock::1\n", 3,
                     "ListenStream= wants a path in the file system, because the broker passes clients to a path, not \"vsock::1\".");
        assert_error("[X-FDPass]\n[Socket]\nListenFIFO=/run/f\n", 0,
                     "a.socket has no ListenSequentialPacket= or ListenStream= in [Socket], and no Worker= in [X-FDPass]; add the "
                     "path of the worker's socket.");
        assert_error("[X-FDPass]\n[Socket]\nListenStream=/run/w\nListenStream=\n", 0,
                     "a.socket has no ListenSequentialPacket= or ListenStream= in [Socket], and no Worker= in [X-FDPass]; add the "
                     "path of the worker's socket.");
        assert_error("[X-FDPass]\n[Socket]\nListenDatagram=/run/w\n", 3,
                     "ListenDatagram= has no receipt, so no client is passed to it; use ListenSequentialPacket= or ListenStream=.");
        assert_error("[X-FDPass]\n", 0,
                     "a.socket has no ListenSequentialPacket= or ListenStream= in [Socket], and no Worker= in [X-FDPass]; add the "
                     "path of the worker's socket.");
        assert_error("[X-FDPass]\n[Socket]\nListenStream=/run/../w\n", 3,
                     "ListenStream= wants an absolute, normalised path of at most 107 bytes, not \"/run/../w\".");
}

/* The first path decides how clients are handed over; Worker= alone means a stream. */
static void test_forms(_unused_ void **state) {
        static const struct {
                const char *text;
                Transport transport;
        } cases[] = {
                { "[Socket]\nListenStream=/run/w\n[X-FDPass]\n", TRANSPORT_STREAM },
                { "[Socket]\nListenSequentialPacket=/run/w\n[X-FDPass]\n", TRANSPORT_SEQPACKET },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_tree_ Tree t;
                const RouteConfig *route = load_unit(&t, "a.socket", cases[i].text);

                assert_string_equal(route->worker, "/run/w");
                assert_int_equal(route->transport, cases[i].transport);
                assert_false(route->transport_is_open);
        }

        _cleanup_tree_ Tree t;

        assert_true(load_unit(&t, "a.socket", "[Socket]\nListenStream=/run/v\n[X-FDPass]\nWorker=/run/w\n")->transport_is_open);
}

/* A unit of another type names its worker itself; that it has a [Socket] section means nothing. */
static void test_not_a_socket(_unused_ void **state) {
        {
                _cleanup_tree_ Tree t;

                assert_string_equal(load_unit(&t, "a.service", "[X-FDPass]\nWorker=/run/w\n")->worker, "/run/w");
        }

        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.service", SOCKET "[X-FDPass]\n");
        tree_load(&t);
        assert_only(&t, CONFIG_ERROR, "a.service", USR "/a.service", 0,
                    "a.service is not a socket unit, so it must say Worker= or Flusher=redirect in [X-FDPass].");
}

static void test_no_section(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", SOCKET);
        tree_load(&t);
        assert_only(&t, CONFIG_WARNING, "a.socket", USR "/a.socket", 0,
                    "a.socket has no [X-FDPass] section, so no client is routed to it; add one, or disable the unit.");
        assert_int_equal(t.config->n_routes, 0);
}

static void test_unknown_key(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket",
                    SOCKET "[X-FDPass]\nRoutePriority=1\n\nroutepriority=2\nX-Mine=3\n[Socket]\nPriority=x\n");
        tree_load(&t);
        assert_only(&t, CONFIG_ERROR, "a.socket", USR "/a.socket", 6,
                    "The key \"routepriority\" in [X-FDPass] is unknown; did you mean RoutePriority=?");
        assert_int_equal(t.config->n_routes, 0);
        assert_int_equal(t.config->n_errors, 1);
}

/* Each wrong key of a route is an error, with a guess at what was meant. */
static void test_key_hints(_unused_ void **state) {
        static const struct {
                const char *key, *hint;
        } cases[] = {
                { "Pfad", UNKNOWN },
                { "Paht", "; did you mean Path=?" },
                { "Hots", "; did you mean Host=?" },
                { "Max_quued", "; did you mean MaxQueued=?" },
                { "al", UNKNOWN },
                { "MaxPendingMaxPendingMaxPending", UNKNOWN },
                { "ListenStream", "; it belongs into [Socket]." },
                { "TrustedProxies", "; it belongs into the unit of a public socket, such as fdpass.socket." },
                { "LogHandoffs", "; it belongs into fdpass.service." },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_tree_ Tree t;
                char content[256], message[256];

                tree_init(&t);
                (void) snprintf(content, sizeof(content), WORKER "Host=a.example\n%s=/chat\n", cases[i].key);
                (void) snprintf(message, sizeof(message), "The key \"%s\" in [X-FDPass] is unknown%s", cases[i].key,
                                cases[i].hint);
                tree_worker(&t, "a.socket", content);
                tree_load(&t);
                assert_only(&t, CONFIG_ERROR, "a.socket", USR "/a.socket", 5, message);
                assert_int_equal(t.config->n_routes, 0);
        }
}

/* A drop-in that two routes share costs both of them their route; a listener has a warning, and goes on. */
static void test_unknown_key_shared(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a-b.socket", WORKER);
        tree_worker(&t, "a-c.socket", WORKER);
        tree_file(&t, ETC "/a-.socket.d/x.conf", "[X-FDPass]\nHost=x\nBogus=1\n");
        tree_file(&t, USR "/fdpass.socket", "[X-FDPass]\nPath=/x\nHeadTimeoutsec=1\n");
        tree_load(&t);
        assert_int_equal(t.n_found, 4);
        assert_found(&t, 0, CONFIG_ERROR, "a-b.socket", ETC "/a-.socket.d/x.conf", 3,
                     "The key \"Bogus\" in [X-FDPass] is unknown" UNKNOWN);
        assert_found(&t, 1, CONFIG_ERROR, "a-c.socket", ETC "/a-.socket.d/x.conf", 3,
                     "The key \"Bogus\" in [X-FDPass] is unknown" UNKNOWN);
        assert_found(&t, 2, CONFIG_WARNING, "fdpass.socket", USR "/fdpass.socket", 2,
                     "The unknown key \"Path\" in [X-FDPass] is ignored; it belongs into a worker's unit.");
        assert_found(&t, 3, CONFIG_WARNING, "fdpass.socket", USR "/fdpass.socket", 3,
                     "The unknown key \"HeadTimeoutsec\" in [X-FDPass] is ignored; did you mean HeadTimeoutSec=?");
        assert_int_equal(t.config->n_routes, 0);
        assert_int_equal(t.config->n_listeners, 1);
}

/* Without anybody to trust, the line to mend is that of ProxyProtocol=, wherever it stands. */
static void test_proxy_without_trust(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, USR "/fdpass.socket", "[X-FDPass]\nProxyProtocol=no\n");
        tree_file(&t, ETC "/fdpass.socket.d/x.conf", "[X-FDPass]\nMaxHeadSize=8K\nProxyProtocol=require\n");
        tree_load(&t);
        assert_only(&t, CONFIG_ERROR, "fdpass.socket", ETC "/fdpass.socket.d/x.conf", 3,
                    "ProxyProtocol= needs TrustedProxies=, because no PROXY header is believed without it.");
}

/* A line that can't be parsed is an error in [X-FDPass], because no other program reads it. Elsewhere it warns. */
static void test_broken_line(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        assert_bad_line("Priority 3", "This line has no \"=\"; write KEY=VALUE.");
        assert_bad_line("=3", "This line has no key before its \"=\"; write KEY=VALUE.");

        tree_init(&t);
        tree_worker(&t, "a.socket", "[Unit]\noops\n" SOCKET "[X-FDPass]\n");
        tree_load(&t);
        assert_only(&t, CONFIG_WARNING, "a.socket", USR "/a.socket", 2, "This line has no \"=\"; write KEY=VALUE.");
        assert_int_equal(t.config->n_routes, 1);
}

/* Everything that is wrong is told at once, with the file that it is in; the other units are not affected. */
static void test_all_errors(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", SOCKET "[X-FDPass]\nRoutePriority=x\nMaxQueued=x\n");
        tree_file(&t, ETC "/a.socket.d/x.conf", "# Comment\n[X-FDPass]\nMaxPending=x\n");
        tree_worker(&t, "b.socket", SOCKET "[X-FDPass]\n");
        tree_load(&t);
        assert_int_equal(t.n_found, 3);
        assert_int_equal(t.config->n_errors, 3);
        assert_found(&t, 0, CONFIG_ERROR, "a.socket", USR "/a.socket", 4, "RoutePriority= wants a whole number, not \"x\".");
        assert_found(&t, 1, CONFIG_ERROR, "a.socket", USR "/a.socket", 5,
                     "MaxQueued= wants a number from 0 to 1048576, not \"x\".");
        assert_found(&t, 2, CONFIG_ERROR, "a.socket", ETC "/a.socket.d/x.conf", 3,
                     "MaxPending= wants a number from 1 to 65536, not \"x\".");
        assert_int_equal(t.config->n_routes, 1);
        assert_string_equal(t.config->routes[0].unit, "b.socket");
}

/* An error in a template costs each instance its route, and each is named. */
static void test_error_in_template(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, USR "/a@.socket", SOCKET "[X-FDPass]\noops\n");
        tree_enable(&t, "a@1.socket");
        tree_enable(&t, "a@2.socket");
        tree_load(&t);
        assert_int_equal(t.n_found, 2);
        assert_found(&t, 0, CONFIG_ERROR, "a@1.socket", USR "/a@.socket", 4, "This line has no \"=\"; write KEY=VALUE.");
        assert_found(&t, 1, CONFIG_ERROR, "a@2.socket", USR "/a@.socket", 4, "This line has no \"=\"; write KEY=VALUE.");
        assert_int_equal(t.config->n_routes, 0);
}

/* Findings may go nowhere, and are counted all the same. */
static void test_no_report(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", SOCKET "[X-FDPass]\nRoutePriority=x\n");
        assert_int_equal(config_load(t.root_fd, NULL, NULL, &t.config), 0);
        assert_int_equal(t.config->n_errors, 1);
}

TEST_MAIN(TEST(test_defaults),
          TEST(test_all_keys),
          TEST(test_smallest),
          TEST(test_last_wins),
          TEST(test_listeners),
          TEST(test_bad_numbers),
          TEST(test_bad_listeners),
          TEST(test_worker_length),
          TEST(test_bad_worker),
          TEST(test_var_run),
          TEST(test_first_path),
          TEST(test_listen_reset),
          TEST(test_no_path),
          TEST(test_forms),
          TEST(test_not_a_socket),
          TEST(test_no_section),
          TEST(test_unknown_key),
          TEST(test_key_hints),
          TEST(test_unknown_key_shared),
          TEST(test_proxy_without_trust),
          TEST(test_broken_line),
          TEST(test_all_errors),
          TEST(test_error_in_template),
          TEST(test_no_report))
