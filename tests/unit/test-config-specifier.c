/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Specifiers in the values of a unit. */

#include "test-config.h"

#include <sys/utsname.h>

static void test_specifiers(_unused_ void **state) {
        _cleanup_tree_ Tree t;
        const RouteConfig *route;
        struct utsname uts;
        char name[128];

        tree_init(&t);
        tree_file(&t, USR "/a\\x2db-c@.socket",
                  "[Socket]\nListenStream=%t/%i\n[X-FDPass]\n"
                  "Listener=1%i 2%I 3%p 4%P 5%n 6%N 7%j 8%J 9%% A%t B%H\n");
        tree_enable(&t, "a\\x2db-c@d-e\\x2df.socket");
        tree_load_clean(&t);

        assert_int_equal(t.config->n_routes, 1);
        route = &t.config->routes[0];
        assert_string_equal(route->worker, "/run/d-e\\x2df");
        assert_string_equal(route->match.listeners[0], "1d-e\\x2df");
        assert_string_equal(route->match.listeners[1], "2d/e-f");
        assert_string_equal(route->match.listeners[2], "3a\\x2db-c");
        assert_string_equal(route->match.listeners[3], "4a-b/c");
        assert_string_equal(route->match.listeners[4], "5a\\x2db-c@d-e\\x2df.socket");
        assert_string_equal(route->match.listeners[5], "6a\\x2db-c@d-e\\x2df");
        assert_string_equal(route->match.listeners[6], "7c");
        assert_string_equal(route->match.listeners[7], "8c");
        assert_string_equal(route->match.listeners[8], "9%");
        assert_string_equal(route->match.listeners[9], "A/run");

        assert_int_equal(uname(&uts), 0);
        (void) snprintf(name, sizeof(name), "B%s", uts.nodename);
        assert_string_equal(route->match.listeners[10], name);
        assert_null(route->match.listeners[11]);
}

/* A unit without an instance has an empty one. */
static void test_specifiers_plain(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        assert_string_equal(load_unit(&t, "a-b.socket", "[Socket]\nListenStream=/%n,%N,%p,%P,%j,%J,%i,%I\n[X-FDPass]\n")
                                    ->worker,
                            "/a-b.socket,a-b,a-b,a/b,b,b,,");
}

static void test_bad_specifiers(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        assert_bad_line("Worker=/run/%x", "Worker= has the unknown specifier \"%x\"; write \"%%\" for a percent sign.");
        assert_bad_line("Worker=/run/%é", "Worker= has the unknown specifier \"%\"; write \"%%\" for a percent sign.");
        assert_bad_line("Listener=a %", "Listener= ends with a single \"%\"; write \"%%\" for a percent sign.");
        assert_error("[X-FDPass]\n[Socket]\nListenStream=/run/%q\n", 3, "ListenStream= has the unknown specifier \"%q\"; write \"%%\" for a percent sign.");

        tree_init(&t);
        tree_file(&t, USR "/a@.socket", "[Socket]\nListenStream=/run/%I\n[X-FDPass]\n");
        tree_enable(&t, "a@b\\y.socket");
        tree_enable(&t, "a@b\\x00.socket");
        tree_load(&t);
        assert_int_equal(t.n_found, 2);
        assert_found(&t, 0, CONFIG_ERROR, "a@b\\x00.socket", USR "/a@.socket", 2,
                     "ListenStream= has the specifier \"%I\", but the name a@b\\x00.socket can't be unescaped for it.");
        assert_found(&t, 1, CONFIG_ERROR, "a@b\\y.socket", USR "/a@.socket", 2,
                     "ListenStream= has the specifier \"%I\", but the name a@b\\y.socket can't be unescaped for it.");
}

/* A long value with specifiers does not grow without limit. */
static void test_value_too_long(_unused_ void **state) {
        _cleanup_free_ char *line = malloc(5000);

        assert_non_null(line);
        memset(line, 'a', 4999);
        line[4999] = '\0';
        memcpy(line, "Worker=/", 8);
        assert_bad_line(line, "The value of Worker= is longer than 4095 bytes.");
        memcpy(line, "Listener=", 9);
        assert_bad_line(line, "A word in Listener= is longer than 4095 bytes.");

        line[1408] = '\0';
        for (char *p = line + 8; *p; p += 2)
                memcpy(p, "%n", 2);
        memcpy(line, "Worker=/", 8);
        assert_bad_line(line, "The value of Worker= is longer than 4095 bytes.");
}

TEST_MAIN(TEST(test_specifiers),
          TEST(test_specifiers_plain),
          TEST(test_bad_specifiers),
          TEST(test_value_too_long))
