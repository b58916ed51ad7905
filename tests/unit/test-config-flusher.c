/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Flusher=, ResponseHeader=, ResponseStatus=: what they mean, and that nothing gets into a response that must not. */

#include "test-config.h"

#include "flusher/flusher.h"
#include "probe/probe.h"

static void load_flushed(Tree *t, const char *lines) {
        _cleanup_free_ char *content = NULL;

        assert_true(asprintf(&content, WORKER "%s\n", lines) > 0);
        tree_init(t);
        tree_worker(t, "a.socket", content);
        tree_load(t);
}

static const RouteConfig *load_clean(Tree *t, const char *lines) {
        load_flushed(t, lines);
        assert_int_equal(t->n_found, 0);
        assert_int_equal(t->config->n_routes, 1);
        return &t->config->routes[0];
}

/* These lines are wrong: line number @line of the file, in this way. */
static void assert_bad(const char *lines, unsigned line, const char *message) {
        _cleanup_tree_ Tree t;

        load_flushed(&t, lines);
        assert_only(&t, CONFIG_ERROR, "a.socket", USR "/a.socket", line, message);
        assert_int_equal(t.config->n_routes, 0);
}

static void test_none(void **state) {
        static const char *const lines[] = { "", "Flusher=none", "Flusher=", "Flusher=flush\nFlusher=", "Flusher=x\nFlusher=none" };

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                _cleanup_tree_ Tree t;
                const RouteConfig *route = load_clean(&t, lines[i]);

                assert_null(route->flusher);
                assert_int_equal(route->match.protocols, 0);
        }
}

static void test_flush(void **state) {
        _cleanup_tree_ Tree t;
        const RouteConfig *route = load_clean(&t, "Flusher=flush");

        assert_string_equal(route->flusher, "flush");
        assert_string_equal(route->flusher_argument, "");
        assert_string_equal(route->flusher_path, USR "/a.socket");
        assert_int_equal(route->flusher_line, 4);
        assert_int_equal(route->response_status, 200);
        assert_string_equal(route->response_reason, "OK");
        assert_string_equal(route->response_fields, "Server: fdpass\r\n");
        assert_int_equal(route->match.protocols, 1U << PROBE_HTTP);

        assert_int_equal(config_load_flushers(t.config, "/nowhere", true, remember, &t), 0);
        assert_ptr_equal(t.config->routes[0].provider, &flusher_flush);
        assert_int_equal(t.n_found, 0);
}

static void test_response(void **state) {
        _cleanup_tree_ Tree t;
        const RouteConfig *route = load_clean(&t, "Protocol=http\n"
                                                  "Flusher=mine  a b\n"
                                                  "ResponseHeader=X-Gone: 1\n"
                                                  "ResponseHeader=\n"
                                                  "ResponseHeader=Content-Type: text/html; charset=utf-8\n"
                                                  "ResponseHeader=server:%j/1\n"
                                                  "ResponseHeader=X-Empty:\n"
                                                  "ResponseStatus=202 As you wish");

        assert_string_equal(route->flusher, "mine");
        assert_string_equal(route->flusher_argument, "a b");
        assert_int_equal(route->response_status, 202);
        assert_string_equal(route->response_reason, "As you wish");
        assert_string_equal(route->response_fields,
                            "Content-Type: text/html; charset=utf-8\r\nserver: a/1\r\nX-Empty: \r\n");
}

static void test_reset(void **state) {
        _cleanup_tree_ Tree t;
        const RouteConfig *route = load_clean(&t, "Flusher=flush\nResponseStatus=404 None\nResponseStatus=404");

        assert_string_equal(route->response_reason, "Not Found");
        tree_done(&t);
        route = load_clean(&t, "Flusher=flush\nResponseStatus=404\nResponseStatus=");
        assert_int_equal(route->response_status, 200);
        assert_string_equal(route->response_reason, "OK");
}

#define WANTS_FLUSHER "Flusher= wants \"none\", \"flush\", \"redirect\" or the name of another flusher, not "
#define WANTS_HEADER "ResponseHeader= wants the name of a field, a colon, and its value, without control characters, not "
#define WANTS_STATUS "ResponseStatus= wants a status from 200 to 599 whose response has a body, and a phrase or none, not "

static void test_bad_names(void **state) {
        assert_bad("Flusher=../flush", 4, WANTS_FLUSHER "\"../flush\".");
        assert_bad("Flusher=/tmp/x", 4, WANTS_FLUSHER "\"/tmp/x\".");
        assert_bad("Flusher=a.so", 4, WANTS_FLUSHER "\"a.so\".");
        assert_bad("Flusher=none 1", 4, WANTS_FLUSHER "\"none 1\".");
}

static void test_bad_headers(void **state) {
        assert_bad("ResponseHeader=X", 4, WANTS_HEADER "\"X\".");
        assert_bad("ResponseHeader=X Y: 1", 4, WANTS_HEADER "\"X Y: 1\".");
        assert_bad("ResponseHeader=: 1", 4, WANTS_HEADER "\": 1\".");
        assert_bad("ResponseHeader=X : 1", 4, WANTS_HEADER "\"X : 1\".");
}

/* Fields that say where the response ends are the flusher's. */
static void test_reserved(void **state) {
        static const char *const names[] = {
                "Connection", "content-length", "Date", "Keep-Alive", "Proxy-Connection", "TE", "Trailer",
                "TRANSFER-ENCODING", "Upgrade",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                char line[64], message[128];

                (void) snprintf(line, sizeof(line), "ResponseHeader=%s: 1", names[i]);
                (void) snprintf(message, sizeof(message),
                                "ResponseHeader= can't set %s, because the flusher decides how the response ends.", names[i]);
                assert_bad(line, 4, message);
        }
}

static void test_bad_status(void **state) {
        static const char *const values[] = { "199", "100", "600", "204", "205", "304", "20", "0200", "2e2", "OK", "-20" };

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                char line[64], message[192];

                (void) snprintf(line, sizeof(line), "ResponseStatus=%s", values[i]);
                (void) snprintf(message, sizeof(message), WANTS_STATUS "\"%s\".", values[i]);
                assert_bad(line, 4, message);
        }
}

/* An instance's name may have anything in it, unescaped: a line break must not make a field of its own. */
static void test_injection(void **state) {
        static const char *const keys[] = { "ResponseHeader=X: %I", "ResponseStatus=200 %I", "Flusher=flush %I" };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                _cleanup_free_ char *content = NULL;
                _cleanup_tree_ Tree t;

                tree_init(&t);
                assert_true(asprintf(&content, WORKER "%s\n", keys[i]) > 0);
                tree_file(&t, USR "/a@.socket", content);
                tree_link(&t, WANTS "/a@x\\x0d\\x0aSet-Cookie:y.socket", USR "/a@.socket");
                tree_load(&t);
                assert_int_equal(t.config->n_routes, 0);
                assert_int_equal(t.config->n_errors, 1);
                assert_int_equal(t.found[0].line, 4);
        }
}

static void test_too_long(void **state) {
        char lines[8192] = "Flusher=flush\n";

        for (unsigned i = 0; i < 60; i++)
                strcat(lines, "ResponseHeader=X-Long: 0123456789012345678901234567890123456789012345678901234567890123456789\n");
        assert_bad(lines, 64, "All ResponseHeader= lines together are longer than 4096 bytes.");
}

/* A flusher speaks HTTP/1 and nothing else. */
static void test_protocol(void **state) {
        assert_bad("Flusher=flush\nProtocol=tls", 4, "Flusher=flush writes an HTTP/1 response, so Protocol= must be \"http\".");
        assert_bad("Flusher=flush\nProtocol=http http2", 4,
                   "Flusher=flush writes an HTTP/1 response, so Protocol= must be \"http\".");
        assert_bad("Flusher=flush\nProtocol=any\nALPN=h2", 4,
                   "Flusher=flush writes an HTTP/1 response, so no client would match ALPN=.");
        assert_bad("Flusher=flush\nPrefix=HELO", 4,
                   "Flusher=flush writes an HTTP/1 response, so no client would match Prefix=.");
}

/* A client that a worker sends to InternalName= is not matched by its protocol. */
static void test_named(void **state) {
        _cleanup_tree_ Tree t;
        const RouteConfig *route = load_clean(&t, "Flusher=flush\nInternalName=next");

        assert_int_equal(route->match.protocols, 0);
}

static void test_without_flusher(void **state) {
        _cleanup_tree_ Tree t;

        load_flushed(&t, "ResponseHeader=X: 1");
        assert_only(&t, CONFIG_WARNING, "a.socket", USR "/a.socket", 4,
                    "ResponseHeader= has no effect without Flusher=, because the worker writes the response; "
                    "add Flusher=, or remove the line.");
        assert_int_equal(t.config->n_routes, 1);
}

/* Loads @flusher from @directory for one of two routes, which is lost with this message. */
static void assert_not_loaded(const char *flusher, const char *directory, bool load, const char *message) {
        _cleanup_free_ char *content = NULL;
        _cleanup_tree_ Tree t;

        tree_init(&t);
        assert_true(asprintf(&content, WORKER "Flusher=%s\n", flusher) > 0);
        tree_worker(&t, "a.socket", content);
        tree_worker(&t, "b.socket", WORKER);
        tree_load_clean(&t);
        assert_int_equal(config_load_flushers(t.config, directory, load, remember, &t), 0);
        assert_only(&t, CONFIG_ERROR, "a.socket", USR "/a.socket", 4, message);
        assert_int_equal(t.config->n_routes, 1);
        assert_string_equal(t.config->routes[0].unit, "b.socket");
}

static void test_load(void **state) {
        const char *shipped = FLUSHERS_DIR, *bad = BAD_FLUSHERS_DIR;
        _cleanup_tree_ Tree t;
        char message[512];

        (void) load_clean(&t, "Flusher=event-stream 5");
        assert_int_equal(config_load_flushers(t.config, shipped, false, remember, &t), 0);
        assert_null(t.config->routes[0].provider);
        assert_int_equal(config_load_flushers(t.config, shipped, true, remember, &t), 0);
        assert_string_equal(t.config->routes[0].provider->name, "event-stream");
        assert_int_equal(t.n_found, 0);

        (void) snprintf(message, sizeof(message), "Flusher=nobody is not installed in %s", bad);
        assert_not_loaded("nobody", bad, true, message);
        assert_not_loaded("nobody", bad, false, message);
        assert_not_loaded("bad-version", bad, true, "Flusher=bad-version was built for another version of fdpass-flusher.h; rebuild it.");
        assert_not_loaded("bad-name", bad, true,
                          "Flusher=bad-name is not a flusher: its file does not export fdpass_flusher with this name.");
        assert_not_loaded("event-stream x", shipped, true, "Flusher=event-stream does not take the argument \"x\".");
        assert_not_loaded("flush x", shipped, true, "Flusher=flush does not take the argument \"x\".");
}

TEST_MAIN(TEST(test_none),
          TEST(test_flush),
          TEST(test_response),
          TEST(test_reset),
          TEST(test_bad_names),
          TEST(test_bad_headers),
          TEST(test_reserved),
          TEST(test_bad_status),
          TEST(test_injection),
          TEST(test_too_long),
          TEST(test_protocol),
          TEST(test_named),
          TEST(test_without_flusher),
          TEST(test_load))
