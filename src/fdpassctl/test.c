/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl test: which route would a client take, and what keeps it from the others? */

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "fdpassctl/described.h"

static int help(void) {
        printf("fdpassctl test [OPTIONS...]\n\n"
               "Show which route a client would take, and why no other.\n\n"
               "What the client says:\n"
               "     --host=NAME          An HTTP request to this host\n"
               "     --path=PATH          … for this path\n"
               "     --method=METHOD      … with this method (GET)\n"
               "     --header='Name: …'   … and this field; may be given several times\n"
               "     --sni=NAME           A TLS hello for this name\n"
               "     --alpn=PROTOCOL      … that offers this protocol; may be given several times\n"
               "     --protocol=NAME      http, http2, tls, ssh, silent or unknown\n"
               "     --bytes=FILE         Exactly the bytes in this file (-: standard input)\n\n"
               "Where it comes from, and to:\n"
               "     --source=ADDRESS     An IP address\n"
               "     --listener=NAME      A listener (public)\n\n"
               "     --running            Ask the broker that runs, which knows its workers, instead of the units\n"
               "     --root=DIR           Read the units below DIR instead of /\n"
               "  -h --help               Show this help\n\n"
               "The exit status says whether any route takes it.\n");
        return 0;
}

static int fail(const char *option, const char *value, const char *what) {
        fprintf(stderr, "--%s=%s: %s\n", option, value, what);
        return -EINVAL;
}

static int set_host(Described *d, const char *option, const char *value, ProbeProtocol protocol) {
        uint16_t port;

        if (!probe_name_set_authority(&d->host, &port, slice_from_string(value)))
                return fail(option, value, "this is no name of a host.");

        d->facts.host = &d->host;
        d->facts.protocol = 1U << protocol;
        return 0;
}

static int set_protocol(Described *d, const char *value) {
        static const struct {
                const char *name;
                unsigned bit;
        } names[] = {
                { "http", 1U << PROBE_HTTP }, { "http2", 1U << PROBE_HTTP2 }, { "tls", 1U << PROBE_TLS },
                { "ssh", 1U << PROBE_SSH },   { "silent", PROTOCOL_SILENT },  { "unknown", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(names[i].name, value)) {
                        d->facts.protocol = names[i].bit;
                        return 0;
                }

        return fail("protocol", value, "http, http2, tls, ssh, silent or unknown.");
}

static int set_source(Described *d, const char *value) {
        struct in_addr in;

        d->source_text = value;
        d->source.sin6_family = AF_INET6;
        d->facts.source = (const struct sockaddr *) &d->source;

        /* An IPv4 address in the form that it has on a socket for both (RFC 4291 2.5.5.2). */
        if (inet_pton(AF_INET, value, &in) == 1) {
                d->source.sin6_addr = (struct in6_addr){ .s6_addr = { [10] = 0xff, 0xff } };
                memcpy(d->source.sin6_addr.s6_addr + 12, &in, sizeof(in));
                return 0;
        }

        return inet_pton(AF_INET6, value, &d->source.sin6_addr) == 1 ? 0 : fail("source", value, "this is no IP address.");
}

static int add_header(Described *d, const char *value) {
        size_t n = strlen(d->fields);
        int k;

        if (!strchr(value, ':'))
                return fail("header", value, "this is no field: Name: value.");

        k = snprintf(d->fields + n, sizeof(d->fields) - n, "%s\r\n", value);
        if (k < 0 || (size_t) k >= sizeof(d->fields) - n)
                return fail("header", value, "too many.");

        d->facts.fields = slice_from_string(d->fields);
        d->facts.protocol = 1U << PROBE_HTTP;
        return 0;
}

static int add_alpn(Described *d, const char *value) {
        TlsReader *list = &d->tls.alpn;
        size_t n = strlen(value);

        if (n == 0 || n > UINT8_MAX || list->n + 1 + n > sizeof(d->alpn))
                return fail("alpn", value, "this is no name of a protocol, or one too many.");

        d->alpn[list->n] = (char) n;
        memcpy(d->alpn + list->n + 1, value, n);

        /* One record, so to speak, with nothing else in it. */
        list->n += 1 + n;
        list->in_record = list->n;
        list->bytes = (Slice){ (const uint8_t *) d->alpn, list->n };
        d->facts.tls = &d->tls;
        d->facts.protocol = 1U << PROBE_TLS;
        return 0;
}

static int read_bytes(const char *path, uint8_t *buffer, size_t size, size_t *ret) {
        _cleanup_close_ int opened = -EBADF;
        int fd = STDIN_FILENO;
        size_t n = 0;

        if (!streq(path, "-")) {
                fd = opened = open(path, O_RDONLY | O_CLOEXEC);
                if (fd < 0)
                        return -errno;
        }

        while (n < size) {
                ssize_t k = read(fd, buffer + n, size - n);

                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t) k;
        }

        *ret = n;
        return 0;
}

static int set_bytes(Described *d, const char *path) {
        size_t n = 0;
        int r;

        r = read_bytes(path, d->bytes, sizeof(d->bytes), &n);
        if (r < 0)
                return fail("bytes", path, strerror(-r));

        d->facts.head = (Slice){ d->bytes, n };
        return 0;
}

/* The broker takes one that it does not know as one of which no unit says anything. */
static const ListenerConfig *find_listener(const Config *config, const Described *d) {
        for (size_t i = 0; i < config->n_listeners; i++)
                if (streq(config->listeners[i].name, d->facts.listener))
                        return &config->listeners[i];

        if (d->has_listener && !arg_quiet)
                fprintf(stderr, "--listener=%s: warning: no public socket of this name is enabled.\n", d->facts.listener);

        return &config->listener_default;
}

static int not_enough(void) {
        fprintf(stderr, "The broker would wait for more: this is only the beginning of a head.\n");
        return -EINVAL;
}

/* Takes off the header that the listener expects, as the broker would. The proxy itself is taken to be trusted. */
static int take_proxy_header(Described *d, const ListenerConfig *listener) {
        ProxyFacts proxy;

        if (listener->proxy_protocol == PROXY_PROTOCOL_NO)
                return 0;

        switch (probe_proxy(d->facts.head.p, d->facts.head.n, &proxy)) {

        case PROBE_NEED_MORE:
                return not_enough();

        case PROBE_MATCH:
                d->facts.head = slice_skip(d->facts.head, proxy.header_length);
                d->proxied = proxy.source;
                if (proxy.source_length > 0)
                        d->facts.source = (const struct sockaddr *) &d->proxied;
                return 0;

        case PROBE_NO_MATCH:
                if (listener->proxy_protocol == PROXY_PROTOCOL_REQUIRE)
                        d->malformed = PROBE_REASON_PROXY_V1;
                return 0;

        case PROBE_MALFORMED:
                d->malformed = proxy.reason;
                return 0;
        }

        return 0;
}

/* Looks at the bytes of --bytes=, or at those of a request, as the broker would at this listener. */
static int probe_bytes(Described *d, const ListenerConfig *listener) {
        Slice *head = &d->facts.head;
        int r;

        if (!head->p) {
                if (d->facts.protocol == 1U << PROBE_HTTP)
                        d->malformed = described_check_request(d, listener->max_head_size);
                return 0;
        }

        r = take_proxy_header(d, listener);
        if (r < 0 || d->malformed != PROBE_REASON_NONE)
                return r;

        switch (probe_client(head->p, head->n, listener->max_head_size, &d->probe)) {

        case PROBE_NEED_MORE:
                return not_enough();

        case PROBE_MALFORMED:
                d->malformed = d->probe.reason;
                return 0;

        case PROBE_MATCH:
                facts_add_probe(&d->facts, &d->probe);
                return 0;

        case PROBE_NO_MATCH:
                return 0;
        }

        return 0;
}

enum {
        ARG_HOST = 0x100, ARG_PATH, ARG_METHOD, ARG_HEADER, ARG_SNI, ARG_ALPN, ARG_PROTOCOL, ARG_BYTES, ARG_SOURCE,
        ARG_LISTENER, ARG_RUNNING,
};

static int set_from_option(Described *d, int option, const char *value) {
        switch (option) {

        case ARG_HOST:
                return set_host(d, "host", value, PROBE_HTTP);

        case ARG_SNI:
                d->facts.tls = &d->tls;
                return set_host(d, "sni", value, PROBE_TLS);

        case ARG_PATH:
                if (value[0] != '/')
                        return fail("path", value, "a path begins with a slash.");
                d->facts.path = slice_from_string(value);
                d->facts.protocol = 1U << PROBE_HTTP;
                return 0;

        case ARG_METHOD:
                d->facts.method = slice_from_string(value);
                d->facts.protocol = 1U << PROBE_HTTP;
                return 0;

        case ARG_HEADER:
                return add_header(d, value);

        case ARG_ALPN:
                return add_alpn(d, value);

        case ARG_PROTOCOL:
                return set_protocol(d, value);

        case ARG_BYTES:
                return set_bytes(d, value);

        case ARG_SOURCE:
                return set_source(d, value);

        case ARG_LISTENER:
                d->facts.listener = value;
                d->has_listener = true;
                return 0;

        case ARG_RUNNING:
                d->running = true;
                return 0;

        default:
                return -ENOTSUP;
        }
}

static int take_option(void *userdata, int option, const char *value) {
        int r;

        if (option == 'h')
                return help();

        r = set_from_option(userdata, option, value);
        return r < 0 ? r : 1;
}

/* Returns 1 to go on, 0 after --help, or -EINVAL. */
static int parse_argv(int argc, char *argv[], Described *d) {
        static const struct option options[] = {
                { "host", required_argument, NULL, ARG_HOST },
                { "path", required_argument, NULL, ARG_PATH },
                { "method", required_argument, NULL, ARG_METHOD },
                { "header", required_argument, NULL, ARG_HEADER },
                { "sni", required_argument, NULL, ARG_SNI },
                { "alpn", required_argument, NULL, ARG_ALPN },
                { "protocol", required_argument, NULL, ARG_PROTOCOL },
                { "bytes", required_argument, NULL, ARG_BYTES },
                { "source", required_argument, NULL, ARG_SOURCE },
                { "listener", required_argument, NULL, ARG_LISTENER },
                { "running", no_argument, NULL, ARG_RUNNING },
                {},
        };
        int i;

        i = parse_options(argc, argv, options, "", take_option, d);
        if (i <= 0)
                return i;

        if (i < argc) {
                fprintf(stderr, "test takes options only, but got %s.\n", argv[i]);
                return -EINVAL;
        }

        /* A request has a path and a method, whether they were given or not. */
        if (d->facts.protocol == 1U << PROBE_HTTP) {
                if (d->facts.path.n == 0 && d->facts.head.n == 0)
                        d->facts.path = SLICE_LITERAL("/");
                if (d->facts.method.n == 0)
                        d->facts.method = SLICE_LITERAL("GET");
        }

        return 1;
}

static const char *criterion_to_string(MatchCriterion criterion) {
        switch (criterion) {

        case MATCH_BY_PRIORITY:
                return "its RoutePriority= is lower";

        case MATCH_BY_HOST:
                return "its Host= is less specific";

        case MATCH_BY_PATH:
                return "its Path= is shorter";

        case MATCH_BY_KEYS:
                return "it has fewer keys";

        case MATCH_BY_LISTENER:
                return "it does not name the listener";

        case MATCH_BY_SOURCE:
                return "its Source= is wider";

        case MATCH_BY_NAME:
                break;
        }

        return "it takes the same, and its unit's name comes later";
}

static void print_candidate(const RouteConfig *route, const RouteConfig *winner, const Facts *facts) {
        MatchKey miss = match_first_miss(&route->match, facts);
        char why[128];

        if (miss != MATCH_ALL)
                (void) snprintf(why, sizeof(why), "%s does not match", match_key_to_string(miss));
        else if (match_compare(&route->match, &winner->match) == 0)
                (void) snprintf(why, sizeof(why), "%s", route == winner ? "takes it" : "takes it, in one pool with the first");
        else
                (void) snprintf(why, sizeof(why), "%s",
                                criterion_to_string(match_why_behind(&route->match, &winner->match, facts)));

        printf("%s %-32s %s\n", route == winner ? "→" : " ", route->unit, why);
}

/* The winner among all routes, by the index that the broker uses as well. */
static int find_winner(const Config *config, const Facts *facts, MatchResult *ret) {
        _cleanup_(match_index_freep) MatchIndex *index = NULL;
        int r;

        r = match_index_new(&index);
        for (size_t i = 0; r >= 0 && i < config->n_routes; i++)
                r = match_index_add(index, &config->routes[i].match, config->routes[i].unit, i);
        if (r >= 0)
                r = match_index_finish(index);
        if (r < 0)
                return r;

        match_index_find(index, facts, ret);
        return 0;
}

/* With -q the exit status alone says it. */
static int refused(const char *format, ...) _printf_(1, 2);
static int refused(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        if (!arg_quiet)
                vprintf(format, ap);
        va_end(ap);

        return EXIT_FAILURE;
}

static int print_result(const Config *config, const Described *d) {
        const Facts *facts = &d->facts;
        const RouteConfig *winner;
        MatchResult result;

        if (find_winner(config, facts, &result) < 0) {
                fprintf(stderr, "Out of memory.\n");
                return EXIT_FAILURE;
        }

        if (result.ambiguous_path)
                return refused("The broker would refuse this: servers do not agree on what the path %.*s means.\n",
                               (int) facts->path.n, (const char *) facts->path.p);

        winner = result.found ? &config->routes[result.pool] : NULL;

        if (d->malformed != PROBE_REASON_NONE && (!winner || winner->match.n_prefixes == 0))
                return refused("The broker would refuse this: %s.\n", probe_reason_to_string(d->malformed));

        if (arg_quiet)
                return winner ? EXIT_SUCCESS : EXIT_FAILURE;

        if (winner)
                print_candidate(winner, winner, facts);
        else
                printf("No route takes this client.\n");

        for (size_t i = 0; i < config->n_routes; i++)
                if (&config->routes[i] != winner)
                        print_candidate(&config->routes[i], winner, facts);

        return winner ? EXIT_SUCCESS : EXIT_FAILURE;
}

int verb_test(int argc, char *argv[]) {
        _cleanup_(config_freep) Config *config = NULL;
        _cleanup_free_ Described *d = calloc(1, sizeof(*d));
        int r;

        if (!d)
                return EXIT_FAILURE;

        d->facts.listener = "public";

        r = parse_argv(argc, argv, d);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        if (d->running)
                return test_running(d);

        if (arg_json != JSON_OFF) {
                fprintf(stderr, "test has no --json= for what the units say, but with --running.\n");
                return EXIT_FAILURE;
        }

        config = units_load();
        if (!config)
                return EXIT_FAILURE;

        r = probe_bytes(d, find_listener(config, d));
        if (r < 0)
                return EXIT_FAILURE;

        return print_result(config, d);
}
