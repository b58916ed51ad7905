/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The keys that say which clients a route takes, and those of public sockets: values, their forms, their errors. */

#include "test.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "basic/fd.h"
#include "config/config.h"
#include "probe/probe.h"

static struct {
        char root[32];
        char findings[4096];
} t;

static void write_unit(const char *name, const char *text) {
        char path[256];
        FILE *f;

        (void) snprintf(path, sizeof(path), "%s/etc/systemd/system/%s", t.root, name);
        f = fopen(path, "we");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static void make_directory(const char *name) {
        char path[256];

        (void) snprintf(path, sizeof(path), "%s/%s", t.root, name);
        assert_int_equal(mkdir(path, 0755), 0);
}

static int setup(void **state) {
        char path[256];

        (void) snprintf(t.root, sizeof(t.root), "/tmp/test-config-XXXXXX");
        assert_non_null(mkdtemp(t.root));
        make_directory("etc");
        make_directory("etc/systemd");
        make_directory("etc/systemd/system");
        make_directory("etc/systemd/system/fdpass.target.wants");
        (void) snprintf(path, sizeof(path), "%s/etc/systemd/system/fdpass.target.wants/a.socket", t.root);
        assert_int_equal(symlink("../a.socket", path), 0);
        t.findings[0] = 0;

        return remember_fds(state);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static int teardown(void **state) {
        (void) nftw(t.root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        return compare_fds(state);
}

static void report(void *userdata, ConfigSeverity severity, const char *unit, const char *path, unsigned line,
                   const char *message) {
        size_t n = strlen(t.findings);

        (void) snprintf(t.findings + n, sizeof(t.findings) - n, "%u:%s\n", line, message);
}

static Config *load(void) {
        _cleanup_close_ int fd = open(t.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        Config *config;

        assert_true(fd >= 0);
        assert_int_equal(config_load(fd, report, NULL, &config), 0);
        return config;
}

/* The route of a worker whose [X-FDPass] section is @keys. */
static Config *load_route(const char *keys) {
        char text[2048];

        (void) snprintf(text, sizeof(text), "[Socket]\nListenStream=/run/a.sock\n[X-FDPass]\n%s\n", keys);
        write_unit("a.socket", text);
        return load();
}

static void expect_list(char **list, const char *expected) {
        char text[512] = "";

        for (char **i = list; i && *i; i++) {
                size_t n = strlen(text);

                (void) snprintf(text + n, sizeof(text) - n, "%s%s", n > 0 ? " " : "", *i);
        }
        assert_string_equal(text, expected);
}

/* Names are kept in the form in which the probes find them, sorted, each once. */
static void test_strings(void **state) {
        _cleanup_(config_freep) Config *config =
                load_route("Host=WWW.Example.org. *.example.org\nHost=www.example.org [2001:DB8::0001]\n"
                           "Path=/b/ /a /\nMethod=POST GET\nALPN=h2 http/1.1\nListener=public 443\nInternalName=stream");
        RouteMatch *m;

        assert_string_equal(t.findings, "");
        assert_int_equal(config->n_routes, 1);
        m = &config->routes[0].match;
        expect_list(m->hosts, "*.example.org [2001:db8::1] www.example.org");
        expect_list(m->paths, "/ /a /b");
        expect_list(m->methods, "GET POST");
        expect_list(m->alpns, "h2 http/1.1");
        expect_list(m->listeners, "443 public");
        assert_string_equal(m->name, "stream");
}

/* A pattern for a field whose names have no case is kept in lower case, so that all spellings are one pool. */
static void test_list_fields(void **state) {
        _cleanup_(config_freep) Config *config = load_route("Header=UPGRADE: WebSocket\nHeader=Cookie: A=B\nHeader=TE: [A-C]*");
        const RouteMatch *m = &config->routes[0].match;

        assert_string_equal(t.findings, "");
        assert_int_equal(m->n_headers, 3);
        assert_string_equal(m->headers[0].glob, "A=B");
        assert_string_equal(m->headers[1].glob, "[a-c]*");
        assert_string_equal(m->headers[2].glob, "websocket");
}

static void test_tls(void **state) {
        static const struct {
                const char *text;
                TlsMatch tls;
                bool allows;
        } cases[] = {
                { "", TLS_MATCH_ANY, false }, { "TLS=any", TLS_MATCH_ANY, false }, { "TLS=yes\nHostMismatch=allow", TLS_MATCH_YES, true },
                { "TLS=0\nHostMismatch=refuse", TLS_MATCH_NO, false }, { "TLS=off", TLS_MATCH_NO, false },
                { "TLS=true\nTLS=\nHostMismatch=allow\nHostMismatch=", TLS_MATCH_ANY, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(config_freep) Config *config = load_route(cases[i].text);

                assert_string_equal(t.findings, "");
                assert_int_equal(config->routes[0].match.tls, cases[i].tls);
                assert_int_equal(config->routes[0].match.allows_other_host, cases[i].allows);
        }
}

/* An empty assignment takes back what was before it. */
static void test_reset(void **state) {
        _cleanup_(config_freep) Config *config =
                load_route("Host=a\nHost=\nHost=b\nProtocol=tls\nProtocol=\nProtocol=ssh silent\nSource=10.0.0.1\nSource=\n"
                           "Header=A: b\nHeader=\nPrefix=x\nPrefix=\nInternalName=n\nInternalName=");
        RouteMatch *m = &config->routes[0].match;

        expect_list(m->hosts, "b");
        assert_int_equal(m->protocols, 1U << PROBE_SSH | PROTOCOL_SILENT);
        assert_int_equal(m->n_sources + m->n_headers + m->n_prefixes, 0);
        assert_null(m->name);
}

/* "any" takes nothing away, in whatever order. Alone it is no key. */
static void test_any_protocol(void **state) {
        static const struct {
                const char *lines;
                unsigned protocols;
        } cases[] = {
                { "Protocol=any", 0 },
                { "Protocol=http\nProtocol=any", 0 },
                { "Protocol=any ssh", 0 },
                { "Protocol=any silent", PROTOCOL_ANY | PROTOCOL_SILENT },
                { "Protocol=silent any", PROTOCOL_ANY | PROTOCOL_SILENT },
                { "Protocol=any silent\nProtocol=\nProtocol=tls", 1U << PROBE_TLS },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(config_freep) Config *config = load_route(cases[i].lines);

                assert_string_equal(t.findings, "");
                assert_int_equal(config->routes[0].match.protocols, cases[i].protocols);
        }
}

static void test_others(void **state) {
        _cleanup_(config_freep) Config *config =
                load_route("Source=192.0.2.0/24 2001:db8::/32 10.0.0.1\nHeader=X-Two: b *\nHeader=Accept:text/*\n"
                           "Prefix=\\x00\\101\\s\\\\ HELO");
        RouteMatch *m = &config->routes[0].match;

        assert_string_equal(t.findings, "");
        assert_int_equal(m->n_sources, 3);
        for (size_t i = 0; i < m->n_sources; i++)
                assert_int_equal(m->sources[i].n_bits, m->sources[i].family == AF_INET6 ? 32 :
                                                       m->sources[i].address[0] == 10   ? 32 : 24);

        assert_int_equal(m->n_headers, 2);
        assert_string_equal(m->headers[0].name, "accept");
        assert_string_equal(m->headers[0].glob, "text/*");
        assert_string_equal(m->headers[1].name, "x-two");
        assert_string_equal(m->headers[1].glob, "b *");

        assert_int_equal(m->n_prefixes, 2);
        assert_int_equal(m->prefixes[0].n, 4);
        assert_memory_equal(m->prefixes[0].p, "\0A \\", 4);
        assert_memory_equal(m->prefixes[1].p, "HELO", 4);
}

/* A wrong value is reported with its line, and its route is not used. */
static void test_errors(void **state) {
        static const char *const wrong[] = {
                "Host=exa mple..org",   "Host=a:80",         "Host=*.*.org",       "Host=user@a",   "Path=chat",
                "Path=/a/../b",         "Path=/a?b",         "Path=/%2e",          "Method=G(T",    "Protocol=gopher",
                "Source=192.0.2.1/24",  "Source=1.2.3",      "Source=1.2.3.4/33",  "Source=::1/x",  "Header=NoColon",
                "Header=: x",           "Prefix=\\q",        "Prefix=\\x1",        "InternalName=two words", "Host=%q",
        };

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                _cleanup_(config_freep) Config *config = NULL;

                t.findings[0] = 0;
                config = load_route(wrong[i]);
                assert_int_equal(config->n_errors, 1);
                assert_int_equal(config->n_routes, 0);
                assert_non_null(startswith(t.findings, "4:"));
        }
}

/* The public socket's own section, by its FileDescriptorName=. */
/* Writes a unit with so many hosts and paths, of which the last line is the 5th, and loads it. */
static Config *load_pairs(unsigned n_hosts, unsigned n_paths) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        assert_true(fputs("[Socket]\nListenStream=/run/a.sock\n[X-FDPass]\nHost=h0", f) >= 0);
        for (unsigned i = 1; i < n_hosts; i++)
                assert_true(fprintf(f, " h%u", i) > 0);
        assert_true(fputs("\nPath=/0", f) >= 0);
        for (unsigned i = 1; i < n_paths; i++)
                assert_true(fprintf(f, " /%u", i) > 0);
        assert_int_equal(fclose(f), 0);

        write_unit("a.socket", text);
        return load();
}

/* Each host of a unit with each of its paths is an entry of the index of routes: there is an end to that. */
static void test_pairs(void **state) {
        _cleanup_(config_freep) Config *most = load_pairs(256, 256), *more = NULL;

        assert_string_equal(t.findings, "");
        assert_int_equal(most->n_routes, 1);

        more = load_pairs(257, 256);
        assert_string_equal(t.findings, "5:257 values of Host= and 256 of Path= are 65792 pairs, but a unit may have 65536; use several units.\n");
        assert_int_equal(more->n_routes, 0);
        assert_int_equal(more->n_errors, 1);
}

static void test_listener(void **state) {
        _cleanup_(config_freep) Config *config = NULL;

        write_unit("fdpass.socket", "[Socket]\nListenStream=80\nFileDescriptorName=public\n[X-FDPass]\n"
                                    "ProxyProtocol=require\nTrustedProxies=10.0.0.0/8\nHeadTimeoutSec=3\nMaxHeadSize=8K\n"
                                    "MaxClientsPerSource=7\nRateLimitPerSource=100/1min 30s\nSilentTimeoutSec=500ms\nInspect=no\n");
        config = load_route("");

        assert_string_equal(t.findings, "");
        assert_int_equal(config->n_listeners, 1);
        assert_string_equal(config->listeners[0].name, "public");
        assert_int_equal(config->listeners[0].proxy_protocol, PROXY_PROTOCOL_REQUIRE);
        assert_true(config->listeners[0].is_unread);
        assert_int_equal(config->listeners[0].source_rate.n, 100);
        assert_int_equal(config->listeners[0].source_rate.interval, 90 * USEC_PER_SEC);
        assert_false(config->listener_default.is_unread);
        assert_int_equal(config->listeners[0].n_trusted_proxies, 1);
        assert_int_equal(config->listeners[0].head_timeout_usec, 3 * USEC_PER_SEC);
        assert_int_equal(config->listeners[0].max_head_size, 8192);
        assert_int_equal(config->listeners[0].max_clients_per_source, 7);
        assert_int_equal(config->listeners[0].silent_timeout_usec, 500 * USEC_PER_MSEC);
}

/* TrustedProxies= may have AF_UNIX. Source= may not, and an unknown word is an error with its line. */
static void test_trusted_unix(void **state) {
        static const char *const wrong[] = { "unix/32", "Unix", "unix:", "local", "AF_UNIX", "10.0.0.1/8", "@unix", "*", "any" };
        _cleanup_(config_freep) Config *config = NULL;
        char text[256], finding[512];

        write_unit("fdpass.socket", "[Socket]\nListenStream=/run/x\n[X-FDPass]\nProxyProtocol=require\n"
                                    "TrustedProxies=192.0.2.1 unix\nTrustedProxies=\nTrustedProxies=unix 2001:db8::/32\n");
        config = load_route("");
        assert_string_equal(t.findings, "");
        assert_int_equal(config->listeners[0].n_trusted_proxies, 2);
        assert_int_equal(config->listeners[0].trusted_proxies[0].family, AF_UNIX);
        assert_int_equal(config->listeners[0].trusted_proxies[1].family, AF_INET6);

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                _cleanup_(config_freep) Config *bad = NULL;

                (void) snprintf(text, sizeof(text), "[X-FDPass]\nProxyProtocol=require\nTrustedProxies=10.0.0.1\nTrustedProxies=%s\n",
                                wrong[i]);
                (void) snprintf(finding, sizeof(finding),
                                "4:TrustedProxies= wants IP addresses, networks such as 192.0.2.0/24 with no host bits set, or "
                                "\"unix\", not \"%s\".\n",
                                wrong[i]);
                t.findings[0] = 0;
                write_unit("fdpass.socket", text);
                bad = load_route("");
                assert_string_equal(t.findings, finding);
        }

        t.findings[0] = 0;
        write_unit("fdpass.socket", "[X-FDPass]\n");
        config_free(config);
        config = load_route("Source=unix\n");
        assert_string_equal(t.findings,
                            "4:Source= wants IP addresses, or networks such as 192.0.2.0/24 with no host bits set, not \"unix\".\n");
}

/* RateLimitPerSource= is a number, a slash and a time. An empty value ends the limit. */
static void test_listener_rate(void **state) {
        static const char *const wrong[] = { "100", "100/", "/10s", "0/10s", "-1/10s", "100/10s/5s", "100/ten", "1e3/10s", "100:10s",
                                             "4294967296/1s", "99999999999999999999/1s", "100/0", "100/9ms", "100/2d",
                                             "100/infinity", "no" };
        static const struct {
                const char *text;
                unsigned n;
                usec_t interval;
        } right[] = {
                { "100/10s", 100, 10 * USEC_PER_SEC }, { "1/10ms", 1, 10 * USEC_PER_MSEC }, { "5/2", 5, 2 * USEC_PER_SEC },
                { "4294967295/1d", UINT32_MAX, 86400 * USEC_PER_SEC }, { "3/1.5s", 3, 1500 * USEC_PER_MSEC },
                { "9/1s\nRateLimitPerSource=", 0, 0 },
        };
        char text[256];

        for (size_t i = 0; i < ELEMENTSOF(wrong) + ELEMENTSOF(right); i++) {
                const char *value = i < ELEMENTSOF(wrong) ? wrong[i] : right[i - ELEMENTSOF(wrong)].text;
                _cleanup_(config_freep) Config *config = NULL;

                (void) snprintf(text, sizeof(text), "[X-FDPass]\nRateLimitPerSource=%s\n", value);
                t.findings[0] = 0;
                write_unit("fdpass.socket", text);
                config = load_route("");
                if (i < ELEMENTSOF(wrong)) {
                        assert_non_null(startswith(t.findings, "2:RateLimitPerSource= wants a "));
                        continue;
                }
                assert_string_equal(t.findings, "");
                assert_int_equal(config->listeners[0].source_rate.n, right[i - ELEMENTSOF(wrong)].n);
                assert_int_equal(config->listeners[0].source_rate.interval, right[i - ELEMENTSOF(wrong)].interval);
        }
}

/* An instance that is enabled by a link to its template's file. */
static void test_listener_instance(void **state) {
        _cleanup_(config_freep) Config *config = NULL;
        char path[256];

        make_directory("etc/systemd/system/fdpass.service.wants");
        (void) snprintf(path, sizeof(path), "%s/etc/systemd/system/fdpass.service.wants/fdpass@443.socket", t.root);
        assert_int_equal(symlink("../fdpass@.socket", path), 0);
        write_unit("fdpass@.socket", "[Socket]\nListenStream=%i\nFileDescriptorName=%i\n[X-FDPass]\nMaxHeadSize=32K\n");
        config = load_route("");

        assert_string_equal(t.findings, "");
        assert_int_equal(config->n_listeners, 1);
        assert_string_equal(config->listeners[0].name, "443");
        assert_int_equal(config->listeners[0].max_head_size, 32768);
}

/* A PROXY header without trusted proxies is an error, and so is a size that no buffer has. */
static void test_listener_errors(void **state) {
        _cleanup_(config_freep) Config *config = NULL;

        write_unit("fdpass.socket", "[X-FDPass]\nProxyProtocol=optional\nMaxHeadSize=1M\nProxyProtocol=yes\n");
        config = load_route("");
        assert_int_equal(config->n_errors, 3);
}

#define CONFIG_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

TEST_MAIN(CONFIG_TEST(test_strings),
          CONFIG_TEST(test_tls),
          CONFIG_TEST(test_list_fields),
          CONFIG_TEST(test_reset),
          CONFIG_TEST(test_any_protocol),
          CONFIG_TEST(test_others),
          CONFIG_TEST(test_errors),
          CONFIG_TEST(test_listener),
          CONFIG_TEST(test_trusted_unix),
          CONFIG_TEST(test_listener_rate),
          CONFIG_TEST(test_listener_instance),
          CONFIG_TEST(test_listener_errors),
          CONFIG_TEST(test_pairs))
