/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Flusher=redirect and RedirectTo= in units. */

#include "test-config.h"

#include "flusher/redirect.h"
#include "probe/probe.h"

#define REDIRECT "[X-FDPass]\nFlusher=redirect\n"
#define SAME "RedirectTo=https://%h%u\n"

static void test_target(void **state) {
        _cleanup_tree_ Tree t;
        const RouteConfig *route = load_unit(&t, "a.target", REDIRECT SAME "Listener=public\n");

        assert_true(route->redirects);
        assert_string_equal(route->worker, "");
        assert_string_equal(route->flusher_argument, "https://%h%u");
        assert_int_equal(route->response_status, 308);
        assert_string_equal(route->response_reason, "Permanent Redirect");
        assert_int_equal(route->match.protocols, 1U << PROBE_HTTP);
        assert_int_equal(route->match.tls, TLS_MATCH_NO);

        assert_int_equal(config_load_flushers(t.config, "/nowhere", true, remember, &t), 0);
        assert_int_equal(t.n_found, 0);
        assert_ptr_equal(t.config->routes[0].provider, &flusher_redirect);
}

/* Specifiers are expanded, but %h and %u are not those of systemd. */
static void test_instance(void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, USR "/to@.target", REDIRECT "RedirectTo=https://%i:8443/%%20%p%u\nResponseStatus=301 Gone there\nHost=old.example\n");
        tree_link(&t, WANTS "/to@new.example.target", USR "/to@.target");
        tree_load_clean(&t);
        assert_string_equal(t.config->routes[0].flusher_argument, "https://new.example:8443/%20to%u");
        assert_int_equal(t.config->routes[0].response_status, 301);
        assert_string_equal(t.config->routes[0].response_reason, "Gone there");
        assert_int_equal(t.config->routes[0].match.tls, TLS_MATCH_ANY);
}

/* Clients that come through TLS are left out if they would get to the same route again. */
static void test_tls(void **state) {
        static const struct {
                const char *lines;
                TlsMatch tls;
        } cases[] = {
                { SAME, TLS_MATCH_NO },
                { SAME "TLS=yes", TLS_MATCH_YES },
                { "RedirectTo=http://%h%u", TLS_MATCH_ANY },
                { "RedirectTo=https://a.example%u\nHost=a.example b.example", TLS_MATCH_NO },
                { "RedirectTo=https://www.a.example%u\nHost=*.a.example", TLS_MATCH_NO },
                { "RedirectTo=https://a.example%u\nHost=*.a.example b.example", TLS_MATCH_ANY },
                { "RedirectTo=https://%h/new\nPath=/old", TLS_MATCH_ANY },
                { "RedirectTo=https://%h/new%u\nPath=/old", TLS_MATCH_ANY },
                { "RedirectTo=https://%h/old/x%u\nPath=/old", TLS_MATCH_NO },
                { "RedirectTo=https://%h%u\nPath=/old", TLS_MATCH_NO },
                { "RedirectTo=https://%h?x\nPath=/old", TLS_MATCH_ANY },
                { "RedirectTo=https://%h?x\nPath=/", TLS_MATCH_NO },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_tree_ Tree t;
                char content[512];

                (void) snprintf(content, sizeof(content), REDIRECT "%s\n", cases[i].lines);
                assert_int_equal(load_unit(&t, "a.target", content)->match.tls, cases[i].tls);
        }
}

static void assert_bad(const char *lines, unsigned line, const char *message) {
        _cleanup_tree_ Tree t;
        char content[8192];

        (void) snprintf(content, sizeof(content), "[X-FDPass]\n%s\n", lines);
        tree_init(&t);
        tree_worker(&t, "a.target", content);
        tree_load(&t);
        assert_only(&t, CONFIG_ERROR, "a.target", USR "/a.target", line, message);
        assert_int_equal(t.config->n_routes, 0);
}

#define WANTS_ADDRESS "RedirectTo= wants an address such as https://%h%u, not "

static void test_bad(void **state) {
        char text[5000];

        assert_bad("Flusher=redirect", 2,
                   "Flusher=redirect needs RedirectTo=; write RedirectTo=https://%h%u to send clients to the same address with https.");
        assert_bad("Flusher=redirect\n" SAME "RedirectTo=", 2,
                   "Flusher=redirect needs RedirectTo=; write RedirectTo=https://%h%u to send clients to the same address with https.");
        assert_bad("Flusher=redirect https://a\nRedirectTo=https://a", 2,
                   "Flusher=redirect takes no argument; write RedirectTo=https://%h%u or another address.");
        assert_bad("Flusher=flush\nWorker=/run/w\n" SAME, 4,
                   "RedirectTo= needs Flusher=redirect, which no line of this unit says; add it, or remove this line.");
        assert_bad(SAME "Worker=/run/w", 2,
                   "RedirectTo= needs Flusher=redirect, which no line of this unit says; add it, or remove this line.");
        assert_bad("Flusher=redirect\nRedirectTo=/x", 3,
                   WANTS_ADDRESS "\"/x\": it begins with neither \"https://\" nor \"http://\".");
        assert_bad("Flusher=redirect\nRedirectTo=https://%h/%u", 3,
                   WANTS_ADDRESS "\"https://%h/%u\": \"%u\" begins with a slash, so no slash may stand before it.");
        assert_bad("Flusher=redirect\nRedirectTo=https://a/%q", 3, "RedirectTo= has the unknown specifier \"%q\"; write \"%%\" for a percent sign.");
        assert_bad("Flusher=redirect\n" SAME "ResponseStatus=200", 4,
                   "With Flusher=redirect, ResponseStatus= must be 301, 302, 307 or 308, not 200.");
        assert_bad("Flusher=redirect\n" SAME "ResponseHeader=location: /x", 4,
                   "ResponseHeader= can't set Location, because Flusher=redirect writes it.");
        assert_bad("Flusher=redirect\n" SAME "Protocol=tls", 2,
                   "Flusher=redirect writes an HTTP/1 response, so Protocol= must be \"http\".");

        memset(text, '%', sizeof(text));
        memcpy(text, "Flusher=redirect\nRedirectTo=", 28);
        text[4500] = '\0';
        {
                _cleanup_tree_ Tree t;
                _cleanup_free_ char *content = NULL;

                assert_true(asprintf(&content, "[X-FDPass]\n%s\n", text) > 0);
                tree_init(&t);
                tree_worker(&t, "a.target", content);
                tree_load(&t);
                assert_int_equal(t.config->n_routes, 0);
        }
}

TEST_MAIN(TEST(test_target), TEST(test_instance), TEST(test_tls), TEST(test_bad))
