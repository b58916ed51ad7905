/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/test-request.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "fdpassctl/options.h"

static const char test_request_help[] =
        "fdpassctl test [OPTIONS...]\n\n"
        "Show which route a client would take, and why no other.\n\n"
        "What the client sends:\n"
        "     --host=NAME          An HTTP request to this host\n"
        "     --path=PATH          An HTTP request for this path (/)\n"
        "     --method=METHOD      An HTTP request with this method (GET)\n"
        "     --header='Name: …'   An HTTP request with this field; may be given several times\n"
        "     --sni=NAME           A TLS ClientHello for this name\n"
        "     --alpn=PROTOCOL      A TLS ClientHello that offers this protocol; may be given several times\n"
        "     --protocol=NAME      http, http2, tls, ssh, silent or unknown\n"
        "     --tls=NAME           The same behind fdpass-tls, which did the handshake for this name; may be empty\n"
        "     --bytes=FILE         Exactly the bytes in this file (-: standard input)\n\n"
        "Where it comes from, and to:\n"
        "     --source=ADDRESS     An IP address\n"
        "     --listener=NAME      A listener (public)\n\n"
        "     --running            Ask the running broker, which knows its workers, not the units\n"
        "     --root=DIR           Read the units below DIR instead of /\n"
        "  -h --help               Show this help\n\n"
        "The exit status is 0 if a route takes the client.\n";

/* Returns -EINVAL after a message. */
static int test_request_fail(const char *option, const char *value, const char *what) {
        fprintf(stderr, "--%s=%s: %s\n", option, value, what);
        return -EINVAL;
}

static int test_request_set_host(void *userdata, const char *value) {
        TestRequest *d = userdata;
        uint16_t port;

        if (!probe_name_set_authority(&d->host, &port, slice_from_string(value)))
                return test_request_fail("host", value, "must be the name of a host.");

        d->facts.host = &d->host;
        d->facts.protocol = 1U << PROBE_HTTP;
        return 1;
}

/* Takes any bytes, because clients send names that are no host names, and the hello is probed. */
static int test_request_set_sni(void *userdata, const char *value) {
        TestRequest *d = userdata;

        d->sni = value;
        d->facts.protocol = 1U << PROBE_TLS;
        return 1;
}

/* As the SSL TLV of a TLS stage, of which routes see the name and that there was TLS. */
static int test_request_set_tls(void *userdata, const char *value) {
        TestRequest *d = userdata;

        if (*value && !probe_name_set(&d->tls_name, slice_from_string(value)))
                return test_request_fail("tls", value, "must be the name of a host, or empty.");

        d->facts.is_tls = true;
        d->facts.tls_name = &d->tls_name;
        if (d->tls_name.n > 0 && !d->facts.host)
                d->facts.host = &d->tls_name;
        return 1;
}

static int test_request_set_path(void *userdata, const char *value) {
        TestRequest *d = userdata;

        if (value[0] != '/')
                return test_request_fail("path", value, "must begin with a slash.");

        for (const char *p = value; *p; p++)
                if (!byte_is_text((uint8_t) *p) || *p == ' ' || *p == '#')
                        return test_request_fail("path", value, "must be as a client sends it, with \"%20\" for a space.");

        d->facts.path = slice_head(slice_from_string(value), strcspn(value, "?"));

        d->facts.protocol = 1U << PROBE_HTTP;
        return 1;
}

static int test_request_set_method(void *userdata, const char *value) {
        TestRequest *d = userdata;

        d->facts.method = slice_from_string(value);
        d->facts.protocol = 1U << PROBE_HTTP;
        return 1;
}

static int test_request_set_protocol(void *userdata, const char *value) {
        TestRequest *d = userdata;
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
                        return 1;
                }

        return test_request_fail("protocol", value, "must be http, http2, tls, ssh, silent or unknown.");
}

static int test_request_set_source(void *userdata, const char *value) {
        TestRequest *d = userdata;
        struct in_addr in;

        d->source_text = value;
        d->source.sin6_family = AF_INET6;
        d->facts.source = (const struct sockaddr *) &d->source;

        /* An IPv4-mapped address, as a socket for both families reports it (RFC 4291 2.5.5.2). */
        if (inet_pton(AF_INET, value, &in) == 1) {
                d->source.sin6_addr = (struct in6_addr){ .s6_addr = { [10] = 0xff, 0xff } };
                memcpy(d->source.sin6_addr.s6_addr + 12, &in, sizeof(in));
                return 1;
        }

        if (inet_pton(AF_INET6, value, &d->source.sin6_addr) != 1)
                return test_request_fail("source", value, "must be an IP address.");

        return 1;
}

static int test_request_add_header(void *userdata, const char *value) {
        TestRequest *d = userdata;
        size_t n = strlen(d->fields);
        int k;

        if (!strchr(value, ':'))
                return test_request_fail("header", value, "must be a field: Name: value.");

        k = snprintf(d->fields + n, sizeof(d->fields) - n, "%s\r\n", value);
        if (k < 0 || (size_t) k >= sizeof(d->fields) - n)
                return test_request_fail("header", value, "the fields are longer than 4 KiB.");

        d->facts.fields = slice_from_string(d->fields);
        d->facts.protocol = 1U << PROBE_HTTP;
        return 1;
}

static int test_request_add_alpn(void *userdata, const char *value) {
        TestRequest *d = userdata;
        size_t n = strlen(value);

        if (n == 0 || n > UINT8_MAX || d->n_alpn + 1 + n > sizeof(d->alpn))
                return test_request_fail("alpn", value, "must be the name of a protocol, and all must fit into 1 KiB.");

        d->alpn[d->n_alpn] = (char) n;
        memcpy(d->alpn + d->n_alpn + 1, value, n);
        d->n_alpn += 1 + n;
        d->facts.protocol = 1U << PROBE_TLS;
        return 1;
}

static int test_request_set_bytes(void *userdata, const char *path) {
        bool is_stdin = streq(path, "-");
        _cleanup_close_ int opened = is_stdin ? -EBADF : open(path, O_RDONLY | O_CLOEXEC);
        TestRequest *d = userdata;
        ssize_t n;

        n = opened < 0 && !is_stdin ? -errno : fd_read(is_stdin ? STDIN_FILENO : opened, d->bytes, sizeof(d->bytes));
        if (n < 0)
                return test_request_fail("bytes", path, strerror((int) -n));

        d->facts.head = (Slice){ d->bytes, (size_t) n };
        return 1;
}

int test_request_parse(int argc, char *argv[], TestRequest *d) {
        const VerbOption options[] = {
                { "host", .take = test_request_set_host },
                { "path", .take = test_request_set_path },
                { "method", .take = test_request_set_method },
                { "header", .take = test_request_add_header },
                { "sni", .take = test_request_set_sni },
                { "alpn", .take = test_request_add_alpn },
                { "protocol", .take = test_request_set_protocol },
                { "tls", .take = test_request_set_tls },
                { "bytes", .take = test_request_set_bytes },
                { "source", .take = test_request_set_source },
                { "listener", .text = &d->facts.listener },
                { "running", .flag = &d->is_for_broker },
                {},
        };
        int i;

        i = parse_options(argc, argv, test_request_help, options, d);
        if (i <= 0)
                return i;

        if (i < argc) {
                fprintf(stderr, "test takes options only, but got %s.\n", argv[i]);
                return -EINVAL;
        }

        if (d->is_for_broker && d->facts.is_tls)
                return test_request_fail("tls", d->tls_name.text, "can't be asked of the running broker. Leave --running out.");

        d->has_listener = d->facts.listener;
        if (!d->has_listener)
                d->facts.listener = "public";

        /* Every request has a path and a method, so those that were not given get a default. */
        if (d->facts.protocol == 1U << PROBE_HTTP) {
                if (d->facts.path.n == 0 && d->facts.head.n == 0)
                        d->facts.path = SLICE_LITERAL("/");
                if (d->facts.method.n == 0)
                        d->facts.method = SLICE_LITERAL("GET");
        }

        return 1;
}
