/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lines of Apache httpd for mod_proxy_fdpass: which units they become, and what is said of those that can't. */

#include "test.h"

#include "fdpassctl/httpd.h"

static struct {
        HttpdRoutes routes;
        unsigned lines[16];
        char messages[16][512];
        size_t n_said;
} found;

static void remember(void *userdata, unsigned line, const char *message) {
        assert_true(found.n_said < ELEMENTSOF(found.lines));
        found.lines[found.n_said] = line;
        (void) snprintf(found.messages[found.n_said++], sizeof(found.messages[0]), "%s", message);
}

static void parse(const char *text) {
        httpd_routes_done(&found.routes);
        found.n_said = 0;
        assert_int_equal(httpd_parse(text, strlen(text), "/etc/apache2", remember, NULL, &found.routes), 0);
}

/* The one route that there is. */
static void expect_one(const char *text, const char *path, const char *worker, const char *flusher) {
        parse(text);
        assert_int_equal(found.routes.n_items, 1);
        assert_string_equal(found.routes.items[0].path, path);
        assert_string_equal(found.routes.items[0].worker, worker);
        assert_string_equal(found.routes.items[0].flusher, flusher);
}

/* None, and one message in this line that begins so. */
static void expect_none(const char *text, unsigned line, const char *message) {
        parse(text);
        assert_int_equal(found.routes.n_items, 0);
        for (size_t i = 0; i < found.n_said; i++)
                if (found.lines[i] == line && startswith(found.messages[i], message))
                        return;

        fail_msg("nothing is said of \"%s\"", text);
}

static void test_lines(void **state) {
        expect_one("ProxyPass /x fd:///run/w.sock", "/x", "/run/w.sock", "flush");
        expect_one("  proxypass '/x' \"fd://run/w.sock\" flusher=sse # no comment", "/x", "/etc/apache2/run/w.sock", "sse");
        expect_one("ServerRoot /srv/\nProxyPass / fd://w", "/", "/srv/w", "flush");
        expect_one("ProxyPassMatch \"^/pm()\" \"fd://run/w.sock$1\"", "/pm", "/etc/apache2/run/w.sock", "flush");
        expect_one("ProxyPassMatch ^/a\\.b()$ fd:///w$1", "/a.b", "/w", "flush");
        expect_one("ProxyPass /x \\\r\n  FD:///run/w.sock \\\n flusher=flush\n", "/x", "/run/w.sock", "flush");
        assert_int_equal(found.routes.items[0].line, 1);
        expect_one("<Location /x>\nProxyPass fd:///w\n</Location>", "/x", "/w", "flush");
        expect_one("#ProxyPass /y fd:///v\nProxyPass /z http://localhost/\nProxyPass /x unix:/v|fd:///w", "/x", "/w", "flush");
        httpd_routes_done(&found.routes);
}

static void test_said(void **state) {
        expect_none("\nProxyPass /x !", 2, "An exception can't be expressed");
        expect_none("ProxyPassMatch ^/a(.*)$ fd:///w$1", 1, "Path= can't express the expression");
        expect_none("ProxyPassMatch /a fd:///w", 1, "Path= can't express the expression");
        expect_none("ProxyPass /x fd:///w/$1", 1, "The client's request is part of the socket's path");
        expect_none("ProxyPass /a%2fb fd:///w", 1, "Path= can't express the path");
        expect_none("ProxyPass /x fd://../w", 1, "\"../w\" is no path of a socket");
        expect_none("ProxyPass /x fd:///w flusher=a/b", 1, "Flusher= can't express");
        expect_none("<Location ~ /x>\nProxyPass fd:///w\n</Location>", 2, "Path= can't express the path");
        expect_none("RewriteRule ^/x fd:///w [P]", 1, "RewriteRule with fd:// can't be expressed");
        expect_none("IncludeOptional x/*.conf", 1, "IncludeOptional is not followed");
        expect_none("<IfDefine X>", 1, "IfDefine is not evaluated");

        parse("ProxyPass /a fd:///v\nProxyPass /a/b fd:///w retry=1");
        assert_int_equal(found.routes.n_items, 2);
        assert_int_equal(found.n_said, 4);
        assert_string_equal(found.messages[2], "retry=1 has no effect with fd:// in httpd, and has none here.");
        assert_int_equal(found.lines[3], 2);
        assert_non_null(startswith(found.messages[3], "httpd never comes to this line, because line 1"));
        httpd_routes_done(&found.routes);
}

/* Names stand before or behind, and end with their host. */
static void test_hosts(void **state) {
        const StringList *hosts;

        parse("ProxyPass /0 fd:///w\n"
              "<VirtualHost *:80>\nProxyPass /1 fd:///w\nServerName http://A.example:80\nServerAlias *.b.example\n</VirtualHost>\n"
              "<VirtualHost _default_:8080>\nProxyPass /2 fd:///w\n</VirtualHost>\n"
              "<VirtualHost *>\nServerName c.example\nProxyPass /3 fd:///w\n");
        assert_int_equal(found.routes.n_items, 4);
        assert_int_equal(found.routes.items[0].hosts.n_items, 0);
        hosts = &found.routes.items[1].hosts;
        assert_int_equal(hosts->n_items, 2);
        assert_string_equal(hosts->items[0], "a.example");
        assert_string_equal(hosts->items[1], "*.b.example");
        assert_int_equal(found.routes.items[2].hosts.n_items, 0);
        assert_int_equal(found.routes.items[3].hosts.n_items, 1);
        assert_string_equal(found.routes.items[3].hosts.items[0], "c.example");
        httpd_routes_done(&found.routes);
}

/* Each has a name of its own, which is one. */
static void test_units(void **state) {
        char name[256], *text = NULL;
        size_t n;
        FILE *f;

        parse("<VirtualHost *>\nServerName a.example\nProxyPass /x/y fd:///run/50%.sock\nProxyPass /x-y fd:///w\n</VirtualHost>");
        httpd_unit_name(&found.routes, 0, name, sizeof(name));
        assert_string_equal(name, "httpd-a.example-x-y.target");
        httpd_unit_name(&found.routes, 1, name, sizeof(name));
        assert_string_equal(name, "httpd-a.example-x-y-line4.target");

        f = open_memstream(&text, &n);
        assert_non_null(f);
        httpd_unit_print(&found.routes.items[0], "100%\n.conf", f);
        assert_int_equal(fclose(f), 0);
        assert_string_equal(text, "[Unit]\nDescription=Clients that httpd Passed by Line 3 of 100%%?.conf\n\n"
                                  "[X-FDPass]\nWorker=/run/50%%.sock\nHost=a.example\nPath=/x/y\nFlusher=flush\n\n"
                                  "[Install]\nWantedBy=fdpass.target\n");
        free(text);
        httpd_routes_done(&found.routes);
}

TEST_MAIN(TEST(test_lines),
          TEST(test_said),
          TEST(test_hosts),
          TEST(test_units))
