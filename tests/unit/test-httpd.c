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

#define HELD "a unit can't express that; no unit is printed for line"

/* The first route's sources, with spaces between them, of @n routes. Nothing is said of clients kept out. */
static void expect_sources(const char *text, size_t n, const char *sources) {
        char all[512] = "";
        size_t k = 0;

        parse(text);
        for (size_t i = 0; i < found.n_said; i++)
                if (strstr(found.messages[i], HELD))
                        fail_msg("\"%s\": %s", text, found.messages[i]);
        if (found.routes.n_items != n)
                fail_msg("\"%s\": %zu routes", text, found.routes.n_items);
        for (size_t i = 0; i < found.routes.items[0].sources.n_items; i++)
                k += (size_t) snprintf(all + k, sizeof(all) - k, "%s%s", i > 0 ? " " : "",
                                       found.routes.items[0].sources.items[i]);
        assert_string_equal(all, sources);
}

/* None, and a message in this line that a unit can't express it. */
static void expect_held(const char *text, unsigned line) {
        parse(text);
        if (found.routes.n_items != 0)
                fail_msg("\"%s\" has a route", text);
        for (size_t i = 0; i < found.n_said; i++)
                if (found.lines[i] == line && strstr(found.messages[i], "a unit can't express that; no unit is printed"))
                        return;

        fail_msg("nothing is said of \"%s\"", text);
}

/* "Require" in a location, before and behind ProxyPass. */
static void expect_address(const char *words, const char *sources) {
        static const struct {
                const char *before, *behind;
        } forms[] = {
                { "<Location /x>\nRequire ip ", "\nProxyPass fd:///w\n</Location>" },
                { "<Location /x>\nProxyPass fd:///w\nRequire ip ", "\n</Location>" },
                { "ProxyPass /x/y fd:///w\n<Location /x>\nRequire ip ", "\n</Location>" },
        };
        char text[512];

        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                (void) snprintf(text, sizeof(text), "%s%s%s", forms[i].before, words, forms[i].behind);
                if (sources)
                        expect_sources(text, 1, sources);
                else
                        expect_held(text, i == 0 ? 2 : 3);
        }
}

static void test_addresses(void **state) {
        expect_address("192.0.2.1", "192.0.2.1");
        expect_address("10.0.0.0/8", "10.0.0.0/8");
        expect_address("10.1.2.3/8", "10.0.0.0/8");
        expect_address("10.0.0.0/255.0.0.0", "10.0.0.0/8");
        expect_address("10.1", "10.1.0.0/16");
        expect_address("10.", "10.0.0.0/8");
        expect_address("10.1.2.", "10.1.2.0/24");
        expect_address("10.0.0.0/8 192.0.2.1 10.0.0.0/8 2001:DB8::1/32", "10.0.0.0/8 192.0.2.1 2001:db8::/32");
        expect_address("\"::1\"", "::1");

        static const char *const wrong[] = {
                "10.1/16", "0.0.0.0/0", "10.0.0.0/33", "10.0.0.0/255.0.0.255", "10.0.0.0/0.0.0.0", "256.1", "10..1", "010.1",
                "10.1.2.3.", "1.2.3.4.5", "x.example", "::ffff:10.0.0.1", "2001:db8::/129", "2001:db8::/ffff::", "10.1 # x",
                "${NET}", "10.0.0.0/", "10.0.0.1,10.0.0.2", "",
        };

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                expect_address(wrong[i], NULL);
        httpd_routes_done(&found.routes);
}

#define ROUTE "ProxyPass /x fd:///w\n"
#define IN(path, lines) "<Location " path ">\n" lines "\n</Location>\n"
#define HOST(name, lines) "<VirtualHost *:80>\nServerName " name "\n" lines "</VirtualHost>\n"

/* The section that httpd reads last holds. */
static void test_sections(void **state) {
        expect_sources(ROUTE "Require ip 10.1", 1, "10.1.0.0/16");
        expect_sources("Require ip 10.1\n" HOST("a", ROUTE), 1, "10.1.0.0/16");
        expect_sources(HOST("a", ROUTE) IN("/", "Require ip 10.1"), 1, "10.1.0.0/16");
        expect_sources(HOST("a", ROUTE "Require ip 10.1\n") "Require ip 10.2", 1, "10.1.0.0/16");
        expect_sources(HOST("a", IN("/x", "Require all granted") ROUTE) IN("/x", "Require host x"), 1, "");
        expect_sources(ROUTE IN("/x", "Require ip 10.1") IN("/", "Require ip 10.2"), 1, "10.2.0.0/16");
        expect_sources(ROUTE IN("/", "Require ip 10.2") IN("/x", "Require ip 10.1"), 1, "10.1.0.0/16");
        expect_sources(ROUTE IN("/x", "Require ip 10.1") IN("/x", "AuthName y"), 1, "10.1.0.0/16");
        expect_sources(ROUTE IN("/xy", "Require host x") IN("~ ^/xy", "Require host x"), 1, "");
        expect_sources(ROUTE "<LocationMatch ^/>\nRequire ip 10.1\n</LocationMatch>", 1, "10.1.0.0/16");
        expect_sources(ROUTE "<Proxy *>\nRequire ip 10.1\n</Proxy>", 1, "10.1.0.0/16");
        expect_sources(ROUTE "<Proxy http://x/>\nRequire host x\n</Proxy>", 1, "");
        expect_sources(ROUTE IN("/x", "Require all granted") "<Proxy *>\nRequire all denied\n</Proxy>", 1, "");
        expect_sources(ROUTE "<Directory />\nRequire all denied\nDeny from all\n</Directory>", 1, "");
        expect_sources(ROUTE "<Files x>\nRequire all denied\n</Files>", 1, "");
        expect_sources(HOST("a", ROUTE) HOST("b", "Require host x\n"), 1, "");
        expect_sources(ROUTE IN("/x", "<IfModule mod_authz_core.c>\nRequire ip 10.1\n</IfModule>"), 1, "10.1.0.0/16");
        expect_sources(ROUTE IN("/x", "Require ip 10.1\nRequire ip ::1"), 1, "10.1.0.0/16 ::1");
        expect_sources(ROUTE IN("/x", "Require ip 10.1\nRequire all granted"), 1, "");
        expect_sources(ROUTE IN("/x", "<RequireAny>\nRequire ip 10.1\nRequire ip ::1\n</RequireAny>"), 1, "10.1.0.0/16 ::1");
        expect_sources(ROUTE IN("/x", "<RequireAll>\nRequire all granted\nRequire ip 10.1\n</RequireAll>"), 1, "10.1.0.0/16");
        expect_sources(ROUTE IN("/x", "Order deny,allow\nAllow from all\nSatisfy all"), 1, "");
        expect_sources(ROUTE IN("/x", "Order allow,deny\nAllow from all"), 1, "");

        /* A virtual host within a condition: all of it is there, or nothing. */
        parse("<IfModule x>\n" HOST("a", ROUTE "Require ip 10.1\n") "</IfModule>");
        assert_int_equal(found.routes.n_items, 1);
        assert_string_equal(found.routes.items[0].sources.items[0], "10.1.0.0/16");
        httpd_routes_done(&found.routes);
}

/* No unit lets in clients that httpd keeps out. */
static void test_held(void **state) {
        static const char *const lines[] = {
                "Require host x.example", "Require not ip 10.1", "Require user u", "Require group g", "Require valid-user",
                "Require expr true", "Require env x", "Require method GET", "Require local", "Require forward-dns x.example",
                "Require all denied", "Require IP 10.1", "Require ip", "Require", "AuthMerging Or", "Order allow,deny",
                "Order mutual-failure", "Deny from all", "Allow from 10.1", "Satisfy Any", "SSLRequireSSL",
                "Include x", "Use Net", "RewriteRule ^ - [L,F]",
        };
        char text[256];

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                (void) snprintf(text, sizeof(text), "<Location /x>\n%s\nProxyPass fd:///w\n</Location>", lines[i]);
                expect_held(text, 2);
                (void) snprintf(text, sizeof(text), "<VirtualHost *>\nProxyPass /x fd:///w\n%s\n", lines[i]);
                expect_held(text, 3);
        }

        expect_held(ROUTE IN("/x", "<RequireNone>\nRequire ip 10.1\n</RequireNone>"), 4);
        expect_held(ROUTE IN("/x", "<RequireAll>\nRequire ip 10.1\nRequire ip 10.2\n</RequireAll>"), 5);
        expect_held(ROUTE IN("/x", "<RequireAll>\nRequire all granted\nRequire not ip 10.2\n</RequireAll>"), 5);
        expect_held(ROUTE IN("/x", "<RequireAny>\nRequire ip 10.1\nRequire host x\n</RequireAny>"), 5);
        expect_held(ROUTE IN("/x", "<Limit POST>\nRequire ip 10.1\n</Limit>"), 4);
        expect_held(ROUTE IN("/x", "<LimitExcept GET>\nRequire all denied\n</LimitExcept>"), 4);
        expect_held(ROUTE IN("/x", "<LimitExcept GET>\nDeny from all\n</LimitExcept>"), 4);
        expect_held(ROUTE IN("/x", "<IfModule y>\nRequire ip 10.1\n</IfModule>"), 4);
        expect_held(ROUTE IN("/x", "<If true>\nRequire ip 10.1\n</If>\nRequire all granted"), 4);
        expect_held(ROUTE "<IfModule y>\n" IN("/x", "Require all granted") "</IfModule>\n" IN("/x/y", "Require ip ::1"), 8);
        expect_held(ROUTE IN("/", "Require ip 10.1") "<IfDefine Y>\n" IN("/x", "Require all granted") "</IfDefine>\n", 7);
        expect_held(ROUTE IN("/x/", "Require ip 10.1"), 3);
        expect_held(ROUTE IN("/x/y", "Require ip 10.1"), 3);
        expect_held(ROUTE IN("/", "Require ip 10.1") IN("/x/y", "Require all granted"), 6);
        expect_held(ROUTE IN("~ /y", "Require ip 10.1"), 3);
        expect_held(ROUTE IN("/*", "Require ip 10.1"), 3);
        expect_held(ROUTE IN("/${X}", "Require ip 10.1"), 3);
        expect_held(ROUTE IN("~ ^/${X}", "Require ip 10.1"), 3);
        expect_held(ROUTE IN("/x", "Deny from all") IN("/x", "Require all granted"), 3);
        expect_held(ROUTE "<Proxy fd://*>\nRequire ip 10.1\n</Proxy>", 3);
        expect_held(ROUTE IN("/x", "Require ip 10.1") "RemoteIPHeader X-Forwarded-For", 3);
        expect_held(ROUTE HOST("a", "Require ip 10.1\n"), 4);
        httpd_routes_done(&found.routes);
}

/* The unit of another virtual host must not take the clients either. */
static void test_other_hosts(void **state) {
        parse(HOST("a", ROUTE "Require ip 10.1\n") HOST("*.b", ROUTE) HOST("a", ROUTE));
        assert_int_equal(found.routes.n_items, 2);
        assert_int_equal(found.routes.items[1].line, 8);
        assert_int_equal(found.n_said, 4); /* the first three are of the sockets' paths */
        assert_int_equal(found.lines[3], 4);
        assert_non_null(strstr(found.messages[3], "in some of the virtual hosts only; " HELD " 12."));

        parse(HOST("a.b", ROUTE "Require ip 10.1\n") HOST("*.b", ROUTE));
        assert_int_equal(found.routes.n_items, 1);
        parse(HOST("*.b", ROUTE) HOST("a.b", ROUTE "Require ip 10.1\n")); /* httpd never comes to the second one */
        assert_int_equal(found.routes.n_items, 1);
        assert_int_equal(found.routes.items[0].line, 3);

        /* The clients that one route keeps out would go to the next. */
        parse("ProxyPass /x/y fd:///w\n" ROUTE IN("/x/y", "Require ip 10.1"));
        assert_int_equal(found.routes.n_items, 1);
        assert_string_equal(found.routes.items[0].path, "/x/y");
        assert_int_equal(found.lines[found.n_said - 1], 4);
        httpd_routes_done(&found.routes);
}

/* Lines of the server hold for the virtual hosts of other files, in either order. */
static void test_files(void **state) {
        static const char *const texts[] = { IN("/", "Require ip 10.1"), HOST("a", ROUTE) };

        for (size_t i = 0; i < 2; i++) {
                HttpdRoutes routes = {};

                found.n_said = 0;
                for (size_t k = 0; k < 2; k++) {
                        const char *text = texts[i ^ k];

                        assert_int_equal(httpd_read(&routes, text, strlen(text), "/", remember, NULL), 0);
                }
                assert_int_equal(httpd_finish(&routes, remember), 0);
                assert_int_equal(routes.n_items, 1);
                assert_string_equal(routes.items[0].sources.items[0], "10.1.0.0/16");
                assert_int_equal(found.n_said, 1);
                assert_null(strstr(found.messages[0], HELD));
                httpd_routes_done(&routes);
        }
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
          TEST(test_addresses),
          TEST(test_sections),
          TEST(test_held),
          TEST(test_other_hosts),
          TEST(test_files),
          TEST(test_units))
