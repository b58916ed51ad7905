/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-probe.h"

#include <dirent.h>

static ProbeText text;

static const char *text_of(Slice s) {
        (void) probe_text_client(&text, s.p, s.n, 16384);
        return text.text;
}

/* Each protocol by its first bytes, and NEED_MORE for as long as it could be more than one. */
static void test_protocols(void **state _unused_) {
        static const struct {
                Slice s;
                const char *wanted; /* the beginning of the text */
        } cases[] = {
                { SLICE_LITERAL("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "match http host=a" },
                { SLICE_LITERAL("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "match http2" },
                { SLICE_LITERAL("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04"), "match http2" },
                { SLICE_LITERAL("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
                  "match ssh software=OpenSSH_9.2p1\\x20Debian-2" },

                /* Beginnings that several share. */
                { SLICE_LITERAL(""), "need-more unknown" },
                { SLICE_LITERAL("P"), "need-more unknown" },
                { SLICE_LITERAL("PR"), "need-more unknown" },
                { SLICE_LITERAL("PRI * HTTP/2.0\r\n\r\nSM\r\n"), "need-more unknown" },
                { SLICE_LITERAL("S"), "need-more unknown" },
                { SLICE_LITERAL("\r\n\r\n"), "need-more unknown" },
                { SLICE_LITERAL("\x16"), "need-more unknown" },
                { SLICE_LITERAL("\x80"), "need-more unknown" },

                /* Beginnings that only one has. */
                { SLICE_LITERAL("GET "), "need-more http" },
                { SLICE_LITERAL("POST /"), "need-more http" },
                { SLICE_LITERAL("PROPFIND /"), "need-more http" },
                { SLICE_LITERAL("SSH-"), "need-more ssh" },
                { SLICE_LITERAL("\x16\x03"), "need-more tls" },

                { SLICE_LITERAL("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"), "malformed http reason=http-target" },
                { SLICE_LITERAL("PRI * HTTP/1.1\r\nHost: a\r\n\r\n"), "malformed http reason=http-target" },
                { SLICE_LITERAL("GET / HTTP/2.0\r\n\r\n"), "malformed http reason=http-version" },
                { SLICE_LITERAL("\x16\x03\x01\0\0"), "malformed tls reason=tls-record-length" },
                { SLICE_LITERAL("\x80\x2e\x01\0\x02"), "malformed tls reason=tls-sslv2" },
                { SLICE_LITERAL("SSH-1.5-x\r\n"), "malformed ssh reason=ssh-version" },

                /* PROXY headers where none may be; a method of that name is no such thing. */
                { SLICE_LITERAL("PROXY TCP4 192.0.2.1 "), "malformed proxy reason=proxy-unexpected" },
                { SLICE_LITERAL("\r\n\r\n\0\r\nQUIT\n"), "malformed proxy reason=proxy-unexpected" },
                { SLICE_LITERAL("PROXY /x HTTP/1.1\r\nHost: a\r\n\r\n"), "match http host=a" },

                { SLICE_LITERAL("EHLO a\r\n"), "no-match unknown" },
                { SLICE_LITERAL("\xff\xfb\x03"), "no-match unknown" },
                { SLICE_LITERAL("\xff\xfb\x01"), "need-more unknown" }, /* telnet, or a length of SSL 2.0 */
                { SLICE_LITERAL("\xff\xfb\x01\xff"), "no-match unknown" },
                { SLICE_LITERAL("\0\0\0\x08\x04\xd2\x16\x2f"), "no-match unknown" },
                { SLICE_LITERAL("SSHX\r\n"), "no-match unknown" },
                { SLICE_LITERAL("\x16\x02\x01\0\x05"), "no-match unknown" },
                { SLICE_LITERAL("\r\n\r\n\0\r\nQUIT\r"), "no-match unknown" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *got = text_of(cases[i].s);

                if (!startswith(got, cases[i].wanted))
                        assert_string_equal(got, cases[i].wanted);
                (void) assert_split_invariant(cases[i].s.p, cases[i].s.n, 16384, probe_text_client);
        }

        assert_string_equal(probe_protocol_to_string(PROBE_HTTP2), "http2");
        assert_string_equal(probe_protocol_to_string((ProbeProtocol) 77), "unknown");
}

/* Every reason has a name of its own. */
static void test_reasons(void **state _unused_) {
        for (unsigned i = 0; i < _PROBE_REASON_MAX; i++) {
                assert_non_null(probe_reason_to_string((ProbeReason) i));

                for (unsigned k = 0; k < i; k++)
                        assert_string_not_equal(probe_reason_to_string((ProbeReason) i),
                                                probe_reason_to_string((ProbeReason) k));
        }

        assert_string_equal(probe_reason_to_string(_PROBE_REASON_MAX), "unknown");
}

static ProbeVerdict ssh(Slice s, SshFacts *ret) {
        return probe_ssh(s.p, s.n, ret);
}

/* The identification line of RFC 4253 4.2: 255 bytes at most, CR LF or LF, printable ASCII. */
static void test_ssh(void **state _unused_) {
        char line[300];
        SshFacts f;

        assert_int_equal(ssh(SLICE_LITERAL("SSH-2.0-x\r\nmore"), &f), PROBE_MATCH);
        assert_true(slice_equal(f.software, SLICE_LITERAL("x")));
        assert_int_equal(ssh(SLICE_LITERAL("SSH-1.99-x y\n"), &f), PROBE_MATCH);
        assert_true(slice_equal(f.software, SLICE_LITERAL("x y")));
        assert_int_equal(ssh(SLICE_LITERAL("SSH-2.0-x\r"), &f), PROBE_NEED_MORE);
        assert_int_equal(ssh(SLICE_LITERAL("SSH-1."), &f), PROBE_NEED_MORE);
        assert_int_equal(ssh(SLICE_LITERAL("SSH-1.5-x\n"), &f), PROBE_MALFORMED);
        assert_int_equal(f.reason, PROBE_REASON_SSH_VERSION);
        assert_int_equal(ssh(SLICE_LITERAL("SSH-2.0-x\ry\n"), &f), PROBE_MALFORMED);
        assert_int_equal(f.reason, PROBE_REASON_SSH_LINE);
        assert_int_equal(ssh(SLICE_LITERAL("SSH-2.0-x\0\n"), &f), PROBE_MALFORMED);
        assert_int_equal(ssh(SLICE_LITERAL("SSH-2.0-\xc3\xa9\n"), &f), PROBE_MALFORMED);
        assert_int_equal(ssh(SLICE_LITERAL("ssh-2.0-x\n"), &f), PROBE_NO_MATCH);

        /* 255 with its end is the longest; the same line with one more byte is refused at whichever cut. */
        for (size_t n = 250; n < 260; n++) {
                memset(line, 'x', sizeof(line));
                memcpy(line, "SSH-2.0-", 8);
                line[n - 2] = '\r';
                line[n - 1] = '\n';
                assert_int_equal(probe_ssh((const uint8_t *) line, n, &f),
                                 n <= 255 ? PROBE_MATCH : PROBE_MALFORMED);
                (void) assert_split_invariant((const uint8_t *) line, n, 16384, probe_text_client);
        }
}

/* A prefix is any bytes, NUL among them; an empty one takes everybody. */
static void test_prefix(void **state _unused_) {
        static const Slice prefix = SLICE_LITERAL("\0\x01x");

        assert_int_equal(probe_prefix((const uint8_t *) "\0\x01xy", 4, prefix), PROBE_MATCH);
        assert_int_equal(probe_prefix((const uint8_t *) "\0\x01x", 3, prefix), PROBE_MATCH);
        assert_int_equal(probe_prefix((const uint8_t *) "\0\x01", 2, prefix), PROBE_NEED_MORE);
        assert_int_equal(probe_prefix((const uint8_t *) "", 0, prefix), PROBE_NEED_MORE);
        assert_int_equal(probe_prefix((const uint8_t *) "\0\x02", 2, prefix), PROBE_NO_MATCH);
        assert_int_equal(probe_prefix((const uint8_t *) "abc", 3, (Slice){}), PROBE_MATCH);
}

/*
 * Every file of every corpus, cut at every byte and fed byte by byte, to both kinds of probe: no
 * difference.
 */
static void test_corpora_cut(void **state _unused_) {
        static const char *const names[] = { "http", "probe", "proxy", "ssh", "tls" };
        static uint8_t bytes[1 << 16];
        unsigned n_files = 0, n_cuts = 0;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *path = NULL;
                struct dirent *entry;
                DIR *dir;

                assert_true(asprintf(&path, "%s/fuzz/%s", TESTS_DIR, names[i]) > 0);
                dir = opendir(path);
                assert_non_null(dir);

                while ((entry = readdir(dir))) {
                        char file[300];
                        size_t n;

                        if (entry->d_name[0] == '.')
                                continue;

                        (void) snprintf(file, sizeof(file), "fuzz/%s/%s", names[i], entry->d_name);

                        {
                                _cleanup_fclose_ FILE *f = open_tests_file(file);

                                n = fread(bytes, 1, sizeof(bytes), f);
                        }

                        n_cuts += assert_split_invariant(bytes, n, 16384, probe_text_client);
                        n_cuts += assert_split_invariant(bytes, n, 0, text_proxy);
                        n_files++;
                }

                closedir(dir);
        }

        print_message("# %u files, %u cuts\n", n_files, n_cuts);
        assert_true(n_files >= 120);
}

TEST_MAIN(TEST(test_protocols),
          TEST(test_reasons),
          TEST(test_ssh),
          TEST(test_prefix),
          TEST(test_corpora_cut))
