/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lines of Apache httpd for mod_proxy_fdpass: which units they become, and what is said of those that can't. */

#include "test.h"

#include "fdpassctl/httpd.h"

static struct {
        HttpdConfig *config;
        HttpdRoutes routes;
        unsigned lines[16];
        char messages[16][512];
        size_t n_said;
} found;

static void forget(void) {
        httpd_routes_done(&found.routes);
        found.config = found.config ? httpd_config_free(found.config) : NULL;
        found.n_said = 0;
}

static void remember(_unused_ void *userdata, const HttpdPlace *place, const char *message) {
        assert_true(found.n_said < ELEMENTSOF(found.lines));
        found.lines[found.n_said] = place->line;
        (void) snprintf(found.messages[found.n_said++], sizeof(found.messages[0]), "%s", message);
}

static void begin(const char *server_root) {
        forget();
        assert_int_equal(httpd_config_new(&(HttpdOptions){ .server_root = server_root, .say = remember },
                                          &found.config), 0);
}

static void parse(const char *text) {
        begin("/etc/apache2");
        assert_int_equal(httpd_config_read(found.config, "x", text, strlen(text)), 0);
        assert_int_equal(httpd_config_finish(found.config, &found.routes), 0);
}

/* The one route that there is. */
static void expect_one(const char *text, const char *path, const char *worker, const char *flusher) {
        parse(text);
        assert_int_equal(found.routes.n_items, 1);
        assert_int_equal(found.routes.items[0].paths.n_items, 1);
        assert_string_equal(found.routes.items[0].paths.items[0], path);
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

static void describe_list(char *text, size_t size, const char *before, const StringList *l) {
        for (size_t i = 0; i < l->n_items; i++) {
                size_t n = strlen(text);

                (void) snprintf(text + n, size - n, "%s%s", i == 0 ? before : ",", l->items[i]);
        }
}

/* Describes all units: "/run/w a.example:/x,/y@public; ". */
static void expect_units(const char *text, const char *units) {
        char all[1024] = "";

        parse(text);
        for (size_t i = 0; i < found.routes.n_items; i++) {
                const HttpdRoute *r = &found.routes.items[i];
                size_t n = strlen(all);

                (void) snprintf(all + n, sizeof(all) - n, "%s%s", i > 0 ? "; " : "", r->worker);
                describe_list(all, sizeof(all), " ", &r->hosts);
                describe_list(all, sizeof(all), ":", &r->paths);
                describe_list(all, sizeof(all), "@", &r->listeners);
        }
        if (!streq(all, units))
                fail_msg("\"%s\": %s", text, all);
}

/* A message of the last text has this part. */
static void expect_said(unsigned line, const char *part) {
        for (size_t i = 0; i < found.n_said; i++)
                if (found.lines[i] == line && strstr(found.messages[i], part))
                        return;

        for (size_t i = 0; i < found.n_said; i++)
                print_message("%u: %s\n", found.lines[i], found.messages[i]);
        fail_msg("line %u: \"%s\" is not said", line, part);
}

#define PASS(path, worker) "ProxyPassMatch \"^" path "()\" \"fd:///" worker "$1\"\n"

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
        forget();
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
        forget();
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
        forget();
}

/* The unit of another virtual host must not take the clients either. */
static void test_other_hosts(void **state) {
        expect_units(HOST("a", ROUTE "Require ip 10.1\n") HOST("*.b", ROUTE) HOST("a", ROUTE), "/w *.b:/x; /w:/x");
        assert_int_equal(found.routes.items[0].sources.n_items, 0);
        assert_string_equal(found.routes.items[1].sources.items[0], "10.1.0.0/16");
        expect_said(10, "httpd never chooses this virtual host");

        parse(HOST("a.b", ROUTE "Require ip 10.1\n") HOST("*.b", ROUTE));
        assert_int_equal(found.routes.n_items, 1);
        parse(HOST("*.b", ROUTE) HOST("a.b", ROUTE "Require ip 10.1\n")); /* httpd never comes to the second one */
        assert_int_equal(found.routes.n_items, 1);
        assert_int_equal(found.routes.items[0].place.line, 3);

        /* The clients that one route keeps out would go to the next. */
        parse("ProxyPass /x/y fd:///w\n" ROUTE IN("/x/y", "Require ip 10.1"));
        assert_int_equal(found.routes.n_items, 1);
        assert_string_equal(found.routes.items[0].paths.items[0], "/x/y");
        assert_int_equal(found.lines[found.n_said - 1], 4);
        forget();
}

/* Lines of the server hold for the virtual hosts of other files, in either order. */
static void test_files(void **state) {
        static const char *const texts[] = { IN("/", "Require ip 10.1"), HOST("a", ROUTE) };

        for (size_t i = 0; i < 2; i++) {
                begin("/");
                for (size_t k = 0; k < 2; k++) {
                        const char *text = texts[i ^ k];

                        assert_int_equal(httpd_config_read(found.config, "x", text, strlen(text)), 0);
                }
                assert_int_equal(httpd_config_finish(found.config, &found.routes), 0);
                assert_int_equal(found.routes.n_items, 1);
                assert_string_equal(found.routes.items[0].sources.items[0], "10.1.0.0/16");
                assert_int_equal(found.n_said, 1);
                assert_null(strstr(found.messages[0], HELD));
        }

        forget();
}

static void test_lines(void **state) {
        expect_one("ProxyPass /x fd:///run/w.sock", "/x", "/run/w.sock", "flush");
        expect_one("  proxypass '/x' \"fd://run/w.sock\" flusher=sse # no comment", "/x", "/etc/apache2/run/w.sock", "sse");
        expect_one("ServerRoot /srv/\nProxyPass / fd://w", "/", "/srv/w", "flush");
        expect_one("ProxyPassMatch \"^/pm()\" \"fd://run/w.sock$1\"", "/pm", "/etc/apache2/run/w.sock", "flush");
        expect_one("ProxyPassMatch ^/a\\.b fd:///w$1", "/a.b", "/w", "flush");
        expect_one("ProxyPassMatch ^/a\\\\.b() fd:///w$1", "/a.b", "/w", "flush");
        expect_one("ProxyPass /x \\\r\n  FD:///run/w.sock \\\n flusher=flush\n", "/x", "/run/w.sock", "flush");
        assert_int_equal(found.routes.items[0].place.line, 1);
        expect_one("<Location /x>\nProxyPass fd:///w\n</Location>", "/x", "/w", "flush");
        expect_one("#ProxyPass /y fd:///v\nProxyPass /z http://localhost/\nProxyPass /x unix:/v|fd:///w", "/x", "/w", "flush");
        forget();
}

static void test_said(void **state) {
        expect_none("\nProxyPass /x !", 2, "An exception can't be expressed");
        expect_none("ProxyPassMatch ^/a(.*)$ fd:///w$1", 1, "The client's request is part of the socket's path");
        expect_none("ProxyPassMatch /a fd:///w$1", 1, "Path= can't express the expression");
        expect_none("ProxyPassMatch ^/a fd:///w", 1, "httpd answers 500 here");
        expect_none("ProxyPassMatch ^/a$ fd:///w$1", 1, "httpd takes \"/a\" here and no path below it");
        expect_none("ProxyPass /x fd:///w/$1", 1, "\"/w/$1\" is no path of a socket");
        expect_none("ProxyPass /a%2fb fd:///w", 1, "Path= can't express the path");
        expect_none("ProxyPass /x fd://../w", 1, "\"../w\" is no path of a socket");
        expect_none("ProxyPass /x fd:///w flusher=a/b", 1, "Flusher= can't express");
        expect_none("<Location ~ /x>\nProxyPass fd:///w\n</Location>", 2, "Path= can't express the expression");
        expect_none("RewriteRule ^/x fd:///w [P]", 1, "RewriteRule with fd:// can't be expressed");
        expect_none("RewriteRule ^/x /y", 1, "RewriteRule is not read: in httpd it may change or answer a request");
        expect_none("<Location /x>\nredirect http://x/\n</Location>", 2, "redirect is not read");
        expect_none("SetEnvIf Request_URI ^/x no-proxy", 1, "SetEnvIf is not read");
        expect_none("IncludeOptional x/*.conf", 1, "IncludeOptional is not followed");
        expect_none("<IfDefine X>\n" ROUTE, 2,
                    "This line is left out, because by these files \"IfDefine X\" of line 1 is false.");
        expect_none("ProxyPass /${X} fd:///w", 1, "${X} has no value; no unit is printed.");
        expect_none("Use X\n", 1, "No line before defines the macro X");

        parse("ProxyPass /a fd:///v\nProxyPass /a/b fd:///w retry=1");
        assert_int_equal(found.routes.n_items, 1);
        expect_said(2, "retry=1 has no effect with fd:// in httpd, and has none here.");
        expect_said(2, "httpd never comes to this line, because line 1 takes its paths");
        forget();
}

/* In httpd the first line takes a request, and the lines of the server come first. */
static void test_order(void **state) {
        expect_units(PASS("/chat", "one") PASS("/chat", "two"), "/one:/chat");
        expect_said(2, "httpd never comes to this line, because line 1 takes its paths; no unit is printed.");
        expect_units(PASS("/", "one") PASS("/chat", "two"), "/one:/");
        expect_units(PASS("/chat", "two") PASS("/", "one"), "/two:/chat; /one:/");
        expect_said(1, "also takes paths such as \"/chatx\"");
        expect_units(HOST("a", PASS("/", "all")) PASS("/status", "status"), "/status:/status; /all:/");
        expect_units(HOST("a", PASS("/chat", "all")) PASS("/", "status"), "/status:/");
        expect_said(3, "line 5 takes its paths");

        expect_units("ProxyPass /chat/x !\n" PASS("/chat", "one") PASS("/status", "two"), "/two:/status");
        expect_said(2, "In httpd, line 1 takes some of the paths of this line elsewhere");
        expect_units(PASS("/chat", "one") "ProxyPass /chat/x http://b/\n", "/one:/chat");
        expect_units(PASS("/chat/", "one") PASS("/chat", "two"), "/one:/chat");
        expect_said(1, "takes paths below \"/chat\", but not \"/chat\"");
        expect_said(2, "can't tell the paths of this line from those of line 1");

        expect_units(PASS("/", "all") IN("/chat", "ProxyPassMatch fd:///chat$1"), "/chat:/chat; /all:/");
        expect_units(IN("/x/y", "ProxyPassMatch fd:///one$1") IN("/x", "ProxyPassMatch fd:///two$1"), "/two:/x");
        expect_units(IN("/x", "ProxyPassMatch fd:///one$1\nProxyPassMatch fd:///two$1"), "/two:/x");
        expect_said(2, "line 3 of the same section replaces it");
        forget();
}

static void test_expressions(void **state) {
        expect_units("ProxyPassMatch ^/(a|b)/x() fd:///w$2", "/w:/a/x,/b/x");
        expect_units("<LocationMatch \"^/(a|b)/x\">\nProxyPassMatch fd:///w$9\n</LocationMatch>", "/w:/a/x,/b/x");
        expect_units("ProxyPassMatch ^/(a|b) fd:///$1", "/a:/a; /b:/b");
        expect_units("ProxyPassMatch ^/x(/|$)() fd:///w$2", "/w:/x");
        assert_int_equal(found.n_said, 0);
        expect_units("ProxyPassMatch ^/x(/.*)?$ fd:///w$2", "/w:/x");
        assert_int_equal(found.n_said, 0);
        expect_units("ProxyPassMatch ^/(?:a|b)[1-3_]() fd:///w$1", "/w:/a1,/a2,/a3,/a_,/b1,/b2,/b3,/b_");
        expect_units("ProxyPassMatch ^/x|^/y() fd:///w$1", "/w:/x,/y");
        expect_units("ProxyPassMatch ^/xy?z() fd:///w$1", "/w:/xyz,/xz");
        expect_units("ProxyPassMatch ^/x/?() fd:///w$1", "/w:/x");
        expect_units("ProxyPassMatch ^() fd:///w$1", "/w:/");
        expect_units("ProxyPassMatch ^/x(?=/|$)() fd:///w$1", "/w:/x");
        assert_int_equal(found.n_said, 0);
        expect_units("ProxyPassMatch ^/(a|b)() fd:///w$2\n" IN("/b", "Require host x"), "/w:/a");
        expect_said(3, "no unit is printed for line 1 (/b).");

        static const char *const others[] = {
                "/x", "^/x|/y", "^/x.y", "^/x+", "^/x{2}", "^/(x", "^/x)", "^/[^x]", "^/[x", "^/\\d", "^/\\",
        "(?i)^/x", "^/(?!x)",
                "^/.*x", "^/x.*?", "^/[a-z][a-z]", "^/x.", "^/x??", "^/((((((((((((((((((((((x))))))))))))))))))))))",
        };
        char text[256];

        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                (void) snprintf(text, sizeof(text), "ProxyPassMatch %s fd:///w$9", others[i]);
                expect_none(text, 1, "Path= can't express the expression");
        }
        forget();
}

/* Names stand before or behind ProxyPass. The first virtual host gets the clients that name none. */
static void test_hosts(void **state) {
        expect_units("<VirtualHost *:80>\n" ROUTE "ServerName http://A.example:80\nServerAlias *.b.example\n</VirtualHost>\n"
                     HOST("c.example", ROUTE), "/w c.example:/x; /w:/x");
        expect_units(HOST("a", PASS("/x", "one")) HOST("b", PASS("/y", "two")), "/one a:/x; /two b:/y");
        expect_said(3, "httpd also gives this line clients that name none of the virtual hosts");
        expect_units(HOST("a", PASS("/x", "one")) HOST("b", PASS("/", "two")), "/two b:/; /one:/x");
        expect_units(HOST("a", PASS("/x", "one")) HOST("a", PASS("/y", "two")), "/one:/x");
        expect_said(5, "httpd never chooses this virtual host");
        expect_units(HOST("a", PASS("/", "one")) HOST("*.b", PASS("/", "two")) HOST("x.b", PASS("/", "three")),
                     "/two *.b:/; /one:/");
        expect_units(HOST("x.b", "") HOST("*.b", PASS("/", "two")), "");
        expect_said(6, "has no Host=*.b, because it would take paths of x.b");
        expect_units(HOST("a\nServerAlias w?w", PASS("/", "one")) HOST("www", PASS("/", "two")), "/one:/");
        expect_said(3, "Host= can't express the name \"w?w\"");
        expect_units(HOST("a\nServerName b", PASS("/", "one")) HOST("a", PASS("/", "two")), "/two a:/; /one:/");
        expect_units("ServerName m\n<VirtualHost *>\n" ROUTE "</VirtualHost>\n<VirtualHost *>\nServerName m\n" PASS("/y", "two")
                     "</VirtualHost>", "/w:/x");
        forget();
}

static void test_addresses_of_hosts(void **state) {
        expect_units("<VirtualHost 192.0.2.5>\n" ROUTE "</VirtualHost>", "/w:/x@192.0.2.5");
        expect_said(2, "Listener=192.0.2.5 is 192.0.2.5: the public socket there needs FileDescriptorName=192.0.2.5.");
        expect_units("Listen 192.0.2.5:80\n<VirtualHost 192.0.2.5>\n" ROUTE "</VirtualHost>", "/w:/x");
        expect_units("Listen 80\nListen 443 https\n<VirtualHost *:80>\n" ROUTE "</VirtualHost>", "/w:/x@public");
        expect_units("Listen 80\nListen 8080\n<VirtualHost *:80 *:8080>\n" ROUTE "</VirtualHost>", "/w:/x");
        expect_units("Listen 80\nListen 8080\n<VirtualHost *:8080>\n" ROUTE "</VirtualHost>\n" PASS("/y", "m"),
                     "/m:/y; /w:/x@8080");
        expect_units("<VirtualHost [2001:db8::1]:80>\n" ROUTE "</VirtualHost>", "/w:/x@2001-db8--1-80");
        expect_units("Listen 80\n<VirtualHost _default_:81>\n" ROUTE "</VirtualHost>", "");
        expect_said(2, "httpd never chooses this virtual host");
        forget();
}

static void test_variables(void **state) {
        expect_units("Define S run\nDefine W w\nProxyPassMatch ^/x() fd:///${S}/${W}.sock$1", "/run/w.sock:/x");
        assert_int_equal(found.n_said, 1); /* of "/xx" */
        expect_units("Define X\n<IfDefine X>\n" ROUTE "</IfDefine>\n<IfDefine !X>\nProxyPass / fd:///v\n</IfDefine>",
                     "/w:/x");
        expect_units("Define X\nUnDefine X\n<IfDefine !X>\n" ROUTE "</IfDefine>", "/w:/x");
        expect_said(4, "This line is read as if \"IfDefine !X\" of line 3 were true");
        expect_units("Define X\n<IfDefine !X>\n<IfDefine X>\n</IfDefine>\nProxyPass / fd:///v\n</IfDefine>\n" ROUTE,
                     "/w:/x");
        expect_units("<IfDefine !Y>\nDefine X\n</IfDefine>\n<IfDefine X>\n" ROUTE "</IfDefine>", "/w:/x");
        expect_said(5, "This line is read as if \"IfDefine X\" of line 4 were true");
        expect_held(ROUTE "<IfDefine !Y>\nDefine X\n</IfDefine>\n" IN("/", "Require ip 10.1") "<IfDefine X>\n"
                    IN("/x", "Require all granted") "</IfDefine>", 10);
        expect_none("<IfDefine !Y>\nDefine X x\n</IfDefine>\nProxyPass /${X} fd:///w", 4, "${X} has no value");
        expect_units("LoadModule a_module modules/mod_a.so\n<IfModule mod_a.c>\n" ROUTE "</IfModule>\n<IfModule b_module>\n"
                     "ProxyPass /y fd:///v\n</IfModule>", "/w:/x");
        expect_said(6, "This line is left out");
        expect_units("<IfVersion < 2.2>\nProxyPass /y fd:///v\n</IfVersion>\n<IfVersion >= 2.4>\n" ROUTE "</IfVersion>", "/w:/x");
        forget();
}

static void test_macros(void **state) {
        expect_units("<Macro M $p $path @u>\nProxyPassMatch ^/$path() @u\n</Macro>\nUse M a x fd:///w$1\nuse m a y fd:///v$1",
                     "/w:/x; /v:/y");
        assert_int_equal(found.routes.items[1].place.line, 2);
        assert_int_equal(found.routes.items[1].place.use_line, 5);
        expect_units("<Macro A $w>\n" PASS("/x", "$w") "</Macro>\n<Macro B $n $w>\n" HOST("$n",
                                                                                          "Use A $w\n") "</Macro>\n"
                     "Use B a one\nUse B b two", "/two b:/x; /one:/x");
        expect_units("<Macro A>\nUse A\n" ROUTE "</Macro>\nUse A", "/w:/x");
        expect_said(2, "uses itself");
        expect_units("<Macro A $x>\n" ROUTE "</Macro>\nUse A", "");
        expect_said(4, "another number of parameters");
        forget();
}

/* Each has a name of its own, which is one. */
static void test_units(void **state) {
        char name[256], *text = NULL;
        size_t n;
        FILE *f;

        static const char config[] = "<VirtualHost *>\nServerName a.example\nProxyPass /x/y fd:///run/50%.sock\n"
                                     "ProxyPass /x-y fd:///w\n</VirtualHost>\n<VirtualHost *>\nServerName *.example\n"
                                     "ProxyPass /z fd:///w\nProxyPass /x fd:///w\n</VirtualHost>";

        begin("/");
        assert_int_equal(httpd_config_read(found.config, "100%\n.conf", config, strlen(config)), 0);
        assert_int_equal(httpd_config_finish(found.config, &found.routes), 0);
        httpd_unit_name(&found.routes, 0, name, sizeof(name));
        assert_string_equal(name, "httpd-a.example-x-y.target");
        httpd_unit_name(&found.routes, 1, name, sizeof(name));
        assert_string_equal(name, "httpd-a.example-x-y-line4.target");

        f = open_memstream(&text, &n);
        assert_non_null(f);
        httpd_unit_print(&found.routes.items[0], f);
        assert_int_equal(fclose(f), 0);
        assert_string_equal(text, "[Unit]\nDescription=Clients that httpd Passed by Line 3 of 100%%?.conf\n\n"
                                  "[X-FDPass]\nWorker=/run/50%%.sock\nHost=a.example\nPath=/x/y\nFlusher=flush\n\n"
                                  "[Install]\nWantedBy=fdpass.target\n");
        free(text);
        forget();
}

TEST_MAIN(TEST(test_lines),
          TEST(test_said),
          TEST(test_order),
          TEST(test_expressions),
          TEST(test_hosts),
          TEST(test_addresses_of_hosts),
          TEST(test_variables),
          TEST(test_macros),
          TEST(test_addresses),
          TEST(test_sections),
          TEST(test_held),
          TEST(test_other_hosts),
          TEST(test_files),
          TEST(test_units))
