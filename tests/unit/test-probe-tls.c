/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-probe.h"

#include <dirent.h>

#include "tls-hello.h"

static Bytes hello;

static ProbeVerdict probe_bytes(const Bytes *b, size_t max, TlsFacts *ret) {
        return probe_tls(b->p, b->n, max, ret);
}

static void assert_reason(const TlsFacts *f, ProbeReason wanted) {
        assert_string_equal(probe_reason_to_string(f->reason), probe_reason_to_string(wanted));
}

static void assert_alpn(const TlsFacts *f, const char *wanted) {
        TlsReader alpn = f->alpn;
        TlsProtocol protocol;

        for (const char *p = wanted ?: ""; *p;) {
                size_t n = strcspn(p, ",");

                assert_true(tls_next_alpn(&alpn, &protocol));
                assert_int_equal(protocol.n, n);
                assert_memory_equal(protocol.bytes, p, n);
                p += n + (p[n] == ',');
        }

        assert_false(tls_next_alpn(&alpn, &protocol));
}

/*
 * The probe reads from a hello what was put into it, for any cut into records, with and without GREASE.
 */
static void test_made(void **state _unused_) {
        HelloSpec spec;
        unsigned n = 0;

        for (; made_hello(n, &spec); n++) {
                const char *name = spec.name;
                TlsFacts f;

                if (name && streq(name, "WWW.Example.ORG."))
                        name = "www.example.org";

                make_hello(&spec, &hello);
                assert_int_equal(probe_bytes(&hello, HELLO_MAX, &f), PROBE_MATCH);
                assert_string_equal(f.name.text, name ?: "");
                assert_int_equal(f.name.n, strlen(name ?: ""));
                assert_int_equal(f.version, 0x0304);
                assert_int_equal(f.has_ech, spec.ech);
                assert_int_equal(f.hello_length, hello.n);
                assert_alpn(&f, spec.alpn);
        }

        assert_true(n >= 400);
}

/*
 * The same facts at every cut of the stream. (The largest ones are left out: the square of their size takes
 * too long.)
 */
static void test_made_cut(void **state _unused_) {
        HelloSpec spec;

        for (unsigned i = 0; made_hello(i, &spec); i++) {
                make_hello(&spec, &hello);
                if (hello.n > 1200 && (spec.record < 64 || hello.n > 2000 || i % 16 != 6))
                        continue;

                (void) assert_split_invariant(hello.p, hello.n, HELLO_MAX, probe_text_client);
        }
}

/* Records after the hello (early data, a change of cipher spec) are ignored. */
static void test_more_behind(void **state _unused_) {
        TlsFacts f;
        size_t n;

        make_hello(&(HelloSpec){ .name = "a.example" }, &hello);
        n = hello.n;
        put(&hello, "\x14\x03\x03\0\x01\x01\x17\x03\x03\0\x05", 11);

        assert_int_equal(probe_bytes(&hello, HELLO_MAX, &f), PROBE_MATCH);
        assert_int_equal(f.hello_length, n);
}

/* Old clients: no extensions, SSL 3.0 in the hello, or no version list. */
static void test_old(void **state _unused_) {
        TlsFacts f;

        make_hello(&(HelloSpec){ .no_extensions = true }, &hello);
        assert_int_equal(probe_bytes(&hello, HELLO_MAX, &f), PROBE_MATCH);
        assert_int_equal(f.name.n, 0);
        assert_int_equal(f.version, 0x0303);
        assert_alpn(&f, NULL);

        hello.p[10] = 0; /* legacy_version 3.0 */
        assert_int_equal(probe_bytes(&hello, HELLO_MAX, &f), PROBE_MATCH);
        assert_int_equal(f.version, 0x0300);

        hello.p[9] = 2;
        assert_int_equal(probe_bytes(&hello, HELLO_MAX, &f), PROBE_MALFORMED);
        assert_int_equal(f.reason, PROBE_REASON_TLS_VERSION);
}

/*
 * The limit counts all bytes, record headers too, and is met as soon as the message says that it is longer.
 */
static void test_limit(void **state _unused_) {
        TlsFacts f;

        make_hello(&(HelloSpec){ .name = "a.example", .key_share = 1216 }, &hello);
        assert_int_equal(probe_bytes(&hello, hello.n, &f), PROBE_MATCH);
        assert_int_equal(probe_bytes(&hello, hello.n - 1, &f), PROBE_MALFORMED);
        assert_int_equal(f.reason, PROBE_REASON_TOO_LARGE);
        assert_int_equal(probe_tls(hello.p, 9, 1000, &f), PROBE_MALFORMED);
        assert_int_equal(f.reason, PROBE_REASON_TOO_LARGE);
        assert_int_equal(probe_tls(hello.p, 8, 1000, &f), PROBE_NEED_MORE);

        /* A byte to a record makes it six times as long. */
        make_hello(&(HelloSpec){ .key_share = 15000, .record = 1 }, &hello);
        assert_int_equal(probe_bytes(&hello, 16384, &f), PROBE_MALFORMED);
        assert_int_equal(f.reason, PROBE_REASON_TOO_LARGE);
}

/*
 * A name that is not the name of a host leaves the client without a name, and is no error (rustls#1878 lists clients
 * that send such names). Lenient servers may read some of them as the name of a host, so no part of them is used.
 */
static void test_names(void **state _unused_) {
        static const char *const wrong[] = {
                "", ".", "..", "a..b", ".a", "a..", "192.0.2.1", "192.0.2.1.", "::1", "[::1]", "2001:db8::1",
                "[2001:db8::1]:443", "a:443", "a.example:443", "a:", "a b", " a", "a ", "a/b", "a@b", "*", "*.example",
                "a,b", "a%2e", "caf\xc3\xa9.example", "\xff", "a\x01", "a\n", "a\r\n", "a\t", "a\x7f", "http://a", "a#b",
                "a?b", "a\\b", "'a'", "\"a\"", "a;b", "~",
        };
        static const struct {
                const char *name, *wanted;
        } right[] = {
                { "_dmarc.a_b.example", "_dmarc.a_b.example" }, { "EXAMPLE.org.", "example.org" }, { "a", "a" },
                { "A-1.Example", "a-1.example" }, { "1.2.3.4.5", "1.2.3.4.5" }, { "-a.example", "-a.example" },
                { "xn--bcher-kva.example", "xn--bcher-kva.example" }, { "1.2.3.4.example", "1.2.3.4.example" },
        };
        static char longest[20001];
        TlsFacts f;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                make_hello(&(HelloSpec){ .name = wrong[i], .alpn = "h2" }, &hello);
                assert_int_equal(probe_bytes(&hello, HELLO_MAX, &f), PROBE_MATCH);
                assert_true(f.name_is_unusable);
                assert_int_equal(f.name.n, 0);
                assert_string_equal(f.name.text, "");
                assert_alpn(&f, "h2"); /* the extensions behind it are read */
        }

        for (size_t i = 0; i < ELEMENTSOF(right); i++) {
                make_hello(&(HelloSpec){ .name = right[i].name }, &hello);
                assert_int_equal(probe_bytes(&hello, HELLO_MAX, &f), PROBE_MATCH);
                assert_false(f.name_is_unusable);
                assert_string_equal(f.name.text, right[i].wanted);
        }

        memset(longest, 'a', sizeof(longest) - 1);
        for (size_t n = sizeof(longest) - 1; n >= 256; n /= 3) {
                longest[n] = 0;
                make_hello(&(HelloSpec){ .name = longest }, &hello);
                assert_int_equal(probe_bytes(&hello, HELLO_MAX, &f), PROBE_MATCH);
                assert_true(f.name_is_unusable);
                assert_int_equal(f.name.n, 0);
        }

        longest[255] = 0;
        make_hello(&(HelloSpec){ .name = longest, .record = 100 }, &hello);
        assert_int_equal(probe_bytes(&hello, HELLO_MAX, &f), PROBE_MATCH);
        assert_false(f.name_is_unusable);
        assert_string_equal(f.name.text, longest);
}

#define EXTENSIONS(s) { .extensions = SLICE_LITERAL(s) }

/* A list that has another type of name, or a host name with a NUL, leaves the client without a name. */
static void test_name_lists(void **state _unused_) {
        static const HelloSpec specs[] = {
                EXTENSIONS("\0\0\0\x0e\0\x0c\0\0\x03" "a.b" "\x01\0\x03" "c.d"),
                EXTENSIONS("\0\0\0\x0e\0\x0c\x01\0\x03" "c.d" "\0\0\x03" "a.b"),
                EXTENSIONS("\0\0\0\x08\0\x06\x01\0\x03" "a.b"),
                EXTENSIONS("\0\0\0\x08\0\x06\xff\0\x03" "a.b"),
                EXTENSIONS("\0\0\0\x05\0\x03\x07\0\0"),
                EXTENSIONS("\0\0\0\x0a\0\x08\0\0\x05" "a\0b.c"),
                EXTENSIONS("\0\0\0\x09\0\x07\0\0\x04" "a.b\0"),
                EXTENSIONS("\0\0\0\x05\0\x03\0\0\0"),
        };
        TlsFacts f;

        for (size_t i = 0; i < ELEMENTSOF(specs); i++)
                for (size_t record = 1; record <= 256; record *= 4) {
                        HelloSpec spec = specs[i];

                        spec.record = record;
                        make_hello(&spec, &hello);
                        assert_int_equal(probe_bytes(&hello, HELLO_MAX, &f), PROBE_MATCH);
                        assert_true(f.name_is_unusable);
                        assert_int_equal(f.name.n, 0);
                        (void) assert_split_invariant(hello.p, hello.n, HELLO_MAX, probe_text_client);
                }
}

#define NAMED(s) { .name = "a.example", .alpn = "h2", .extensions = SLICE_LITERAL(s) }

/* Extensions that contradict themselves or each other. */
static void test_extensions(void **state _unused_) {
        static const struct {
                HelloSpec spec;
                ProbeReason reason;
        } cases[] = {
                /* Twice the same type: known ones, an unknown one, and two of GREASE that are equal. */
                { NAMED("\0\0\0\x0e\0\x0c\0\0\x09" "b.example"), PROBE_REASON_TLS_DUPLICATE },
                { NAMED("\0\0\0\x0e\0\x0c\0\0\x09" "a.example"), PROBE_REASON_TLS_DUPLICATE },
                { NAMED("\0\x10\0\x05\0\x03\x02h3"), PROBE_REASON_TLS_DUPLICATE },
                { NAMED("\0\x2b\0\x03\x02\x03\x04"), PROBE_REASON_TLS_DUPLICATE },
                { NAMED("\x12\x34\0\0\x12\x34\0\0"), PROBE_REASON_TLS_DUPLICATE },
                { NAMED("\x5a\x5a\0\0\x5a\x5a\0\0"), PROBE_REASON_TLS_DUPLICATE },
                { NAMED("\xff\xff\0\0\0\x40\0\0\xff\xff\0\0"), PROBE_REASON_TLS_DUPLICATE },

                /* server_name with two names of hosts, of which servers choose different ones. */
                { EXTENSIONS("\0\0\0\x0e\0\x0c\0\0\x03" "a.b" "\0\0\x03" "c.d"), PROBE_REASON_TLS_NAME },
                { EXTENSIONS("\0\0\0\x0e\0\x0c\0\0\x03" "a.b" "\0\0\x03" "a.b"), PROBE_REASON_TLS_NAME },
                { EXTENSIONS("\0\0\0\x0b\0\x09\0\0\0\0\0\x03" "a.b"), PROBE_REASON_TLS_NAME },
                { EXTENSIONS("\0\0\0\x12\0\x10\0\0\x03" "a.b" "\x01\0\x01" "x" "\0\0\x03" "c.d"), PROBE_REASON_TLS_NAME },

                /* Lengths inside that do not fit. */
                { EXTENSIONS("\0\0\0\0"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\0\0\0\x01\0"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\0\0\0\x02\0\0"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\0\0\0\x03\0\x01\0"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\0\0\0\x08\0\x05\0\0\x03" "a.b"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\0\0\0\x08\0\x07\0\0\x03" "a.b"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\0\0\0\x08\0\x06\0\0\x04" "a.b"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\0\0\0\x09\0\x06\0\0\x03" "a.b" "\0"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\0\0\0\x0d\0\x0b\0\0\x03" "a.b" "\x01\0\x03" "c.d"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\0\0\0\x09\0\x07\0\0\x03" "a.b" "\x01"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\0\x10\0\0"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\0\x10\0\x02\0\0"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\0\x10\0\x03\0\x01\0"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\0\x10\0\x05\0\x03\x03h2"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\0\x10\0\x05\0\x03\x01h2"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\0\x10\0\x06\0\x03\x02h2\0"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\0\x10\0\x04\0\x03\x02h"), PROBE_REASON_TLS_DECODE },

                /* An extension that is cut off, and one that runs over the end. */
                { EXTENSIONS("\x12"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\x12\x34\0"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\x12\x34\0\x01"), PROBE_REASON_TLS_DECODE },
                { EXTENSIONS("\x12\x34\xff\xff"), PROBE_REASON_TLS_DECODE },
        };
        TlsFacts f;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                for (size_t record = 1; record <= 256; record *= 4) {
                        HelloSpec spec = cases[i].spec;

                        spec.record = record;
                        make_hello(&spec, &hello);
                        assert_int_equal(probe_bytes(&hello, HELLO_MAX, &f), PROBE_MALFORMED);
                        assert_reason(&f, cases[i].reason);
                        assert_true(probe_reason_tls_alert(f.reason) > 0);
                }
}

/* Versions: the highest, GREASE apart; a list that is empty or cut off is refused. */
static void test_versions(void **state _unused_) {
        static const struct {
                Slice list;
                ProbeVerdict verdict;
                uint16_t version;
        } cases[] = {
                { SLICE_LITERAL("\x02\x03\x04"), PROBE_MATCH, 0x0304 },
                { SLICE_LITERAL("\x04\x03\x03\x03\x01"), PROBE_MATCH, 0x0303 },
                { SLICE_LITERAL("\x06\xfa\xfa\x03\x02\x03\x03"), PROBE_MATCH, 0x0303 },
                { SLICE_LITERAL("\x02\x0a\x0a"), PROBE_MATCH, 0 },
                { SLICE_LITERAL(""), PROBE_MALFORMED, 0 },
                { SLICE_LITERAL("\0"), PROBE_MALFORMED, 0 },
                { SLICE_LITERAL("\x03\x03\x04\x03"), PROBE_MALFORMED, 0 },
                { SLICE_LITERAL("\x04\x03\x04"), PROBE_MALFORMED, 0 },
                { SLICE_LITERAL("\x02\x03\x04\x03"), PROBE_MALFORMED, 0 },
        };
        static Bytes message;
        TlsFacts f;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                size_t end, length;

                /* The message without extensions, and this one alone behind it. */
                make_message(&(HelloSpec){ .no_extensions = true }, &message);
                length = begin_length(&message, 2);
                put_number(&message, 43, 2);
                put_number(&message, cases[i].list.n, 2);
                put(&message, cases[i].list.p, cases[i].list.n);
                end_length(&message, length, 2);
                end = message.n;
                message.n = 1;
                put_number(&message, end - 4, 3);
                message.n = end;

                hello.n = 0;
                put_records(&hello, message.p, message.n, 16384);
                assert_int_equal(probe_bytes(&hello, HELLO_MAX, &f), cases[i].verdict);
                if (cases[i].verdict == PROBE_MATCH)
                        assert_int_equal(f.version, cases[i].version);
                else
                        assert_int_equal(f.reason, PROBE_REASON_TLS_DECODE);
        }
}

/* The body before the extensions, with one byte of it changed. */
static void test_body(void **state _unused_) {
        static const struct {
                size_t offset; /* of the hello in one record */
                uint8_t value;
                ProbeReason reason;
        } cases[] = {
                { 5, 2, PROBE_REASON_TLS_MESSAGE },   /* ServerHello */
                { 5, 0, PROBE_REASON_TLS_MESSAGE },   /* HelloRequest */
                { 6, 1, PROBE_REASON_TOO_LARGE },     /* 64 KiB more */
                { 9, 4, PROBE_REASON_TLS_VERSION },
                { 43, 33, PROBE_REASON_TLS_DECODE },  /* a session id of 33 bytes */
                { 43, 255, PROBE_REASON_TLS_DECODE },
                { 77, 0, PROBE_REASON_TLS_DECODE },   /* no ciphers */
                { 77, 5, PROBE_REASON_TLS_DECODE },   /* half a cipher */
                { 76, 255, PROBE_REASON_TLS_DECODE },
                { 84, 0, PROBE_REASON_TLS_DECODE },   /* no compression method */
                { 84, 255, PROBE_REASON_TLS_DECODE },
                { 87, 200, PROBE_REASON_TLS_DECODE }, /* more extensions than there are */
                { 87, 1, PROBE_REASON_TLS_DECODE },   /* fewer */
        };
        TlsFacts f;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                make_hello(&(HelloSpec){ .name = "a.example" }, &hello);
                hello.p[cases[i].offset] = cases[i].value;
                assert_int_equal(probe_bytes(&hello, 16384, &f), PROBE_MALFORMED);
                assert_reason(&f, cases[i].reason);
        }

        /* Messages that end inside their fixed part. */
        for (size_t n = 0; n < 40; n++) {
                make_hello(&(HelloSpec){}, &hello);
                hello.p[4] = (uint8_t) (4 + n);
                hello.p[3] = 0;
                hello.p[8] = (uint8_t) n;
                hello.p[7] = 0;
                assert_int_equal(probe_tls(hello.p, 9 + n, 16384, &f), PROBE_MALFORMED);
                assert_int_equal(f.reason, PROBE_REASON_TLS_DECODE);
        }
}

/*
 * Records: handshake ones only until the hello is complete, none empty, none too long, and nothing behind
 * it in the last.
 */
static void test_records(void **state _unused_) {
        static Bytes message;
        TlsFacts f;

        make_message(&(HelloSpec){ .name = "a.example" }, &message);

        for (unsigned i = 0; i < 8; i++) {
                static const struct {
                        Slice between;
                        ProbeReason reason;
                } cases[] = {
                        { SLICE_LITERAL("\x14\x03\x03\0\x01\x01"), PROBE_REASON_TLS_RECORD_TYPE },
                        { SLICE_LITERAL("\x15\x03\x03\0\x02\x01\0"), PROBE_REASON_TLS_RECORD_TYPE },
                        { SLICE_LITERAL("\x17\x03\x03\0\x01\0"), PROBE_REASON_TLS_RECORD_TYPE },
                        { SLICE_LITERAL("G"), PROBE_REASON_TLS_RECORD_TYPE },
                        { SLICE_LITERAL("\x16\x03\x01\0\0"), PROBE_REASON_TLS_RECORD_LENGTH },
                        { SLICE_LITERAL("\x16\x03\x01\x40\x01"), PROBE_REASON_TLS_RECORD_LENGTH },
                        { SLICE_LITERAL("\x16\x02\x01\0\x01"), PROBE_REASON_TLS_VERSION },
                        { SLICE_LITERAL("\x16\x03\x01\x0f\0"), PROBE_REASON_TLS_TRAILING },
                };

                hello.n = 0;
                put_records(&hello, message.p, 20, 7);
                put(&hello, cases[i].between.p, cases[i].between.n);
                put_records(&hello, message.p + 20, message.n - 20, 16384);

                assert_int_equal(probe_bytes(&hello, HELLO_MAX, &f), PROBE_MALFORMED);
                assert_reason(&f, cases[i].reason);
                (void) assert_split_invariant(hello.p, hello.n, HELLO_MAX, probe_text_client);
        }

        /* One byte behind the message in its record. */
        put_number(&message, 0, 1);
        hello.n = 0;
        put_records(&hello, message.p, message.n, 16384);
        assert_int_equal(probe_bytes(&hello, HELLO_MAX, &f), PROBE_MALFORMED);
        assert_int_equal(f.reason, PROBE_REASON_TLS_TRAILING);

        /* An empty record, and one too long, as the first. */
        assert_int_equal(probe_tls((const uint8_t *) "\x16\x03\x01\0\0", 5, 16384, &f), PROBE_MALFORMED);
        assert_int_equal(f.reason, PROBE_REASON_TLS_RECORD_LENGTH);
        assert_int_equal(probe_tls((const uint8_t *) "\x16\x03\x01\x40\x01", 5, 16384, &f), PROBE_MALFORMED);
        assert_int_equal(f.reason, PROBE_REASON_TLS_RECORD_LENGTH);
}

static ProbeVerdict probe_literal(Slice s, TlsFacts *ret) {
        return probe_tls(s.p, s.n, 16384, ret);
}

/* SSL 2.0 is recognised with its fifth byte, for any version that it offers. Anything else is another protocol. */
static void test_other(void **state _unused_) {
        TlsFacts f;

        assert_int_equal(probe_literal(SLICE_LITERAL("\x80\x2e\x01\0\x02\0\x15"), &f), PROBE_MALFORMED);
        assert_int_equal(f.reason, PROBE_REASON_TLS_SSLV2);
        assert_int_equal(probe_reason_tls_alert(f.reason), 70);
        assert_int_equal(probe_literal(SLICE_LITERAL("\x80\x2e\x01\x03\x01"), &f), PROBE_MALFORMED);
        assert_int_equal(f.reason, PROBE_REASON_TLS_SSLV2);
        assert_int_equal(probe_literal(SLICE_LITERAL("\xff\xff\x01\x03\x03"), &f), PROBE_MALFORMED);
        assert_int_equal(probe_literal(SLICE_LITERAL("\x80\x2e\x01\x03"), &f), PROBE_NEED_MORE);
        assert_int_equal(probe_literal(SLICE_LITERAL("\x80\x2e\x01\x07\x01"), &f), PROBE_NO_MATCH);
        assert_int_equal(probe_literal(SLICE_LITERAL("\x80\x2e\x02\0\x02"), &f), PROBE_NO_MATCH);
        assert_int_equal(probe_literal(SLICE_LITERAL("\xff\xfb\x03"), &f), PROBE_NO_MATCH);

        assert_int_equal(probe_literal(SLICE_LITERAL(""), &f), PROBE_NEED_MORE);
        assert_int_equal(probe_literal(SLICE_LITERAL("\x16"), &f), PROBE_NEED_MORE);
        assert_int_equal(probe_literal(SLICE_LITERAL("\x16\x03"), &f), PROBE_NEED_MORE);
        assert_int_equal(probe_literal(SLICE_LITERAL("\x16\x04"), &f), PROBE_NO_MATCH);
        assert_int_equal(probe_literal(SLICE_LITERAL("\x15\x03\x01\0\x02"), &f), PROBE_NO_MATCH);
        assert_int_equal(probe_literal(SLICE_LITERAL("GET / HTTP/1.1\r\n"), &f), PROBE_NO_MATCH);
        assert_int_equal(probe_reason_tls_alert(PROBE_REASON_HTTP_HOST), -1);
        assert_int_equal(probe_reason_tls_alert(_PROBE_REASON_MAX), -1);
}

/* A reader whose record headers were never checked stops at the end of its bytes. */
static void test_reader(void **state _unused_) {
        TlsProtocol protocol;
        TlsReader r;

        r = (TlsReader){ .bytes = SLICE_LITERAL("\x16\x03\x01"), .n = 10 };
        assert_false(tls_next_alpn(&r, &protocol));
        r = (TlsReader){ .bytes = SLICE_LITERAL("\x16\x03\x01\0\0\x02h2"), .n = 10 };
        assert_false(tls_next_alpn(&r, &protocol));
        r = (TlsReader){ .bytes = SLICE_LITERAL("\x02h"), .in_record = 10, .n = 10 };
        assert_false(tls_next_alpn(&r, &protocol));
}

/*
 * Hellos of real clients, which all asked for "capture.example" where their file's name does not say
 * otherwise.
 */
static void test_real(void **state _unused_) {
        _cleanup_free_ char *path = NULL;
        struct dirent *entry;
        unsigned n = 0;
        DIR *dir;

        assert_true(asprintf(&path, "%s/fuzz/tls", TESTS_DIR) > 0);
        dir = opendir(path);
        assert_non_null(dir);

        while ((entry = readdir(dir))) {
                const char *wanted = "capture.example", *name = startswith(entry->d_name, "real-");
                char file[300];
                TlsFacts f;

                if (!name)
                        continue;
                if (strstr(name, "-no") && !startswith(name, "chromium"))
                        wanted = "";
                else if (endswith(name, "-ip"))
                        wanted = "";
                else if (endswith(name, "-idn"))
                        wanted = "xn--bcher-kva.example";

                (void) snprintf(file, sizeof(file), "fuzz/tls/%s", entry->d_name);

                {
                        _cleanup_fclose_ FILE *in = open_tests_file(file);

                        hello.n = fread(hello.p, 1, sizeof(hello.p), in);
                }

                n++;

                assert_int_equal(probe_bytes(&hello, 16384, &f), PROBE_MATCH);
                assert_int_equal(f.name_is_unusable, streq(name, "openssl-ip")); /* s_client sends an address, too */
                assert_int_equal(f.hello_length, hello.n);
                if (streq(name, "openssl-long"))
                        assert_int_equal(f.name.n, 253);
                else
                        assert_string_equal(f.name.text, wanted);
                if (strstr(name, "chromium")) {
                        assert_true(f.has_ech || strstr(name, "noech"));
                        assert_alpn(&f, "h2,http/1.1");
                }
        }

        closedir(dir);
        assert_true(n >= 30);
}

TEST_MAIN(TEST(test_made),
          TEST(test_made_cut),
          TEST(test_more_behind),
          TEST(test_old),
          TEST(test_limit),
          TEST(test_names),
          TEST(test_name_lists),
          TEST(test_extensions),
          TEST(test_versions),
          TEST(test_body),
          TEST(test_records),
          TEST(test_other),
          TEST(test_reader),
          TEST(test_real))
