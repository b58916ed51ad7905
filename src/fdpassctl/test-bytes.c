/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/test-bytes.h"

#include <stdio.h>

/* Leaves out what does not fit, and notes that. */
static void test_bytes_add(TestBytes *b, const void *p, size_t n) {
        if (n > sizeof(b->p) - b->n) {
                b->is_overrun = true;
                return;
        }

        if (n > 0)
                memcpy(b->p + b->n, p, n);
        b->n += n;
}

static void test_bytes_add_text(TestBytes *b, const char *s) {
        test_bytes_add(b, s, strlen(s));
}

static void test_bytes_add_u16(TestBytes *b, size_t u) {
        test_bytes_add(b, (uint8_t[]){ (uint8_t) (u >> 8), (uint8_t) u }, 2);
}

static void test_bytes_make_request(const TestRequest *d, TestBytes *b) {
        test_bytes_add(b, d->facts.method.p, d->facts.method.n);
        test_bytes_add_text(b, " ");
        test_bytes_add(b, d->facts.path.p, d->facts.path.n);
        test_bytes_add_text(b, " HTTP/1.1\r\n");
        test_bytes_add_text(b, "Host: ");
        test_bytes_add(b, d->host.text, d->host.n); /* RFC 9112 3.2: the field is empty if there is no host */
        test_bytes_add_text(b, "\r\n");
        test_bytes_add(b, d->facts.fields.p, d->facts.fields.n);
        test_bytes_add_text(b, "\r\n");
}

ProbeReason test_bytes_check_request(const TestRequest *d, size_t max_head_size) {
        TestBytes b = {};
        Probe probe;

        /* Without --host= the question is about routes that need no host, although a request without one is wrong. */
        if (d->host.n == 0)
                return PROBE_REASON_NONE;

        test_bytes_make_request(d, &b);

        return !b.is_overrun && probe_client(b.p, b.n, max_head_size, &probe) == PROBE_MALFORMED ? probe.reason
                                                                                              : PROBE_REASON_NONE;
}

/* Adds the extensions server_name (RFC 6066 3) and ALPN (RFC 7301 3.1). */
static void test_bytes_make_extensions(const TestRequest *d, TestBytes *b) {
        size_t n_name = d->sni ? strlen(d->sni) : 0;

        if (d->sni) {
                test_bytes_add_u16(b, 0);
                test_bytes_add_u16(b, n_name + 5);
                test_bytes_add_u16(b, n_name + 3);
                test_bytes_add(b, "", 1);
                test_bytes_add_u16(b, n_name);
                test_bytes_add(b, d->sni, n_name);
        }
        if (d->n_alpn > 0) {
                test_bytes_add_u16(b, 16);
                test_bytes_add_u16(b, d->n_alpn + 2);
                test_bytes_add_u16(b, d->n_alpn);
                test_bytes_add(b, d->alpn, d->n_alpn);
        }
}

/* Adds the smallest ClientHello (RFC 8446 4.1.2), in one record. */
static void test_bytes_make_hello(const TestRequest *d, TestBytes *b) {
        static const uint8_t random[32];
        TestBytes extensions = {};
        size_t n;

        test_bytes_make_extensions(d, &extensions);
        n = 2 + sizeof(random) + 1 + 4 + 2 + 2 + extensions.n;

        test_bytes_add(b, (uint8_t[]){ 22, 3, 1 }, 3);
        test_bytes_add_u16(b, n + 4);
        test_bytes_add(b, (uint8_t[]){ 1, 0 }, 2);
        test_bytes_add_u16(b, n);
        test_bytes_add(b, (uint8_t[]){ 3, 3 }, 2);
        test_bytes_add(b, random, sizeof(random));
        /* No session; one cipher suite; no compression. */
        test_bytes_add(b, (uint8_t[]){ 0, 0, 2, 0x13, 0x01, 1, 0 }, 7);
        test_bytes_add_u16(b, extensions.n);
        test_bytes_add(b, extensions.p, extensions.n);
        b->is_overrun |= extensions.is_overrun;
}

int test_bytes_make(const TestRequest *d, TestBytes *b) {
        if (d->facts.head.p)
                test_bytes_add(b, d->facts.head.p, d->facts.head.n);
        else if (d->facts.protocol == 1U << PROBE_HTTP)
                test_bytes_make_request(d, b);
        else if (d->facts.protocol == 1U << PROBE_TLS)
                test_bytes_make_hello(d, b);
        else if (d->facts.protocol == 1U << PROBE_HTTP2)
                test_bytes_add_text(b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        else if (d->facts.protocol == 1U << PROBE_SSH)
                test_bytes_add_text(b, "SSH-2.0-test\r\n");
        else if (d->facts.protocol != PROTOCOL_SILENT) {
                fprintf(stderr, "--running needs what the client sends: --host=, --sni=, --bytes= or --protocol=.\n");
                return -EINVAL;
        }

        if (b->is_overrun) {
                fprintf(stderr, "The client's first bytes can be at most 16 KiB.\n");
                return -EINVAL;
        }

        return 0;
}
