/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The syntax of unit files, the names of units, and specifiers: parsers of bytes, without a file. */

#include "test.h"

#include <stdio.h>

#include "config/specifier.h"
#include "config/unit-file.h"
#include "config/unit-name.h"

static UnitFile *parse_bytes(const void *bytes, size_t n) {
        UnitFile *f = NULL;
        char *text = malloc(n + 1);

        assert_non_null(text);
        memcpy(text, bytes, n);
        assert_int_equal(unit_file_parse("/x.socket", text, n, &f), 0);
        assert_int_equal(f->state, UNIT_FILE_LOADED);
        return f;
}

static UnitFile *parse(const char *text) {
        return parse_bytes(text, strlen(text));
}

#define _cleanup_file_ _cleanup_(unit_file_freep)

static void assert_assignment(const UnitFile *f, size_t i, const char *section, unsigned line, const char *key,
                              const char *value) {
        assert_true(i < f->n_assignments);
        assert_string_equal(f->assignments[i].path, "/x.socket");
        assert_ptr_equal(f->assignments[i].section, section);
        assert_string_equal(f->assignments[i].key, key);
        assert_string_equal(f->assignments[i].value, value);
        assert_int_equal(f->assignments[i].line, line);
}

/* The file has one line of interest, which is this one, and nothing is wrong. */
static void assert_one(const char *text, unsigned line, const char *key, const char *value) {
        _cleanup_file_ UnitFile *f = parse(text);

        assert_int_equal(f->n_findings, 0);
        assert_assignment(f, 0, SECTION_FDPASS, line, key, value);
        assert_int_equal(f->n_assignments, 1);
}

/* The file has one thing wrong with it. Returns how many assignments were read all the same. */
static size_t assert_finding(const char *text, size_t n, ConfigSeverity severity, unsigned line, const char *message) {
        _cleanup_file_ UnitFile *f = parse_bytes(text, n);

        assert_int_equal(f->n_findings, 1);
        assert_string_equal(f->findings[0].message, message);
        assert_int_equal(f->findings[0].line, line);
        assert_int_equal(f->findings[0].severity, severity);
        assert_int_equal(f->is_broken, severity == CONFIG_ERROR);
        return f->n_assignments;
}

static void test_sections(_unused_ void **state) {
        _cleanup_file_ UnitFile *f = parse("[Unit]\nA=1\n[X-FDPass]\nB=2\n[Socket]\nC=3\n[X-FDPass-2]\nD=4\n"
                                           "[Mount]\nE=5\n[X-Other]\nF=6\n[X-FDPass]  \nG=7\n[Install]\nH=8");

        assert_int_equal(f->n_findings, 0);
        assert_true(f->has_fdpass);
        assert_assignment(f, 0, SECTION_UNIT, 2, "A", "1");
        assert_assignment(f, 1, SECTION_FDPASS, 4, "B", "2");
        assert_assignment(f, 2, SECTION_SOCKET, 6, "C", "3");
        assert_assignment(f, 3, SECTION_FDPASS, 14, "G", "7");
        assert_assignment(f, 4, SECTION_INSTALL, 16, "H", "8");
        assert_int_equal(f->n_assignments, 5);
}

/* A section that looks like [X-FDPass] is most likely meant for it. Without its keys the route could be too wide. */
static void test_misspelt_section(_unused_ void **state) {
        static const char *const names[] = {
                "x-fdpass", "X-FDPASS", " X-FDPass ", "X-FDPass ", "X-FDPas", "X-FDPasss", "X-FPDass", "FDPass", "X_FDPass",
                "X-FD-Pass", "XFDPass",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_file_ UnitFile *f = NULL;
                char text[64];

                (void) snprintf(text, sizeof(text), "[X-FDPass]\n[%s]\nHost=a\n", names[i]);
                f = parse(text);
                assert_int_equal(f->n_findings, 1);
                assert_int_equal(f->findings[0].severity, CONFIG_ERROR);
                assert_int_equal(f->findings[0].line, 2);
                assert_string_equal(f->findings[0].message,
                                    "systemd and fdpass ignore this section; did you mean [X-FDPass]?");
                assert_int_equal(f->n_assignments, 0);
        }
}

static void test_empty_section(_unused_ void **state) {
        _cleanup_file_ UnitFile *f = parse("[X-FDPass]"), *g = parse("[Socket]\n[Install]\n"), *h = parse("");

        assert_true(f->has_fdpass);
        assert_false(g->has_fdpass);
        assert_false(h->has_fdpass);
}

static void test_white_space(_unused_ void **state) {
        assert_one("\n \n\t[X-FDPass]\t\n  Key \t = \t two  words \t \n", 4, "Key", "two  words");
        assert_one("[X-FDPass]\nKey=\n", 2, "Key", "");
        assert_one("[X-FDPass]\nKey==a=b\n", 2, "Key", "=a=b");
        assert_one("[X-FDPass]\nKey=\"a\" 'b' [c]\n", 2, "Key", "\"a\" 'b' [c]");
}

/* Comments are lines of their own: what follows a value belongs to it. */
static void test_comments(_unused_ void **state) {
        assert_one("# a=1\n;b=2\n[X-FDPass]\n  # c=3\n\t;d=4 \\\nKey=value # no comment\n", 6, "Key",
                   "value # no comment");
}

/* A continued line is one with a space; its number is that of its beginning. */
static void test_continuation(_unused_ void **state) {
        assert_one("[X-FDPass]\nKey=a\\\n  b \\\nc\n", 2, "Key", "a   b  c");
        assert_one("[X-FDPass]\n\\\nKey=a\n", 2, "Key", "a");
        assert_one("[X-FDPass]\nK\\\ney=a\n", 2, "K ey", "a");
        assert_one("[X-FDPass]\nKey=a \\\n\n[Mount]\nb=c\n", 2, "Key", "a");

        /* At the end of the file there is nothing to continue with. */
        assert_one("[X-FDPass]\nKey=a\\", 2, "Key", "a");
        assert_one("[X-FDPass]\nKey=a\\\n", 2, "Key", "a");

        /* Two of them are one that means itself; one with a space behind it does too. */
        assert_one("[X-FDPass]\nKey=a\\\\\n#\n", 2, "Key", "a\\\\");
        assert_one("[X-FDPass]\nKey=a\\ \n#\n", 2, "Key", "a\\");
        assert_one("[X-FDPass]\nKey=a\\\\\\\nb\n", 2, "Key", "a\\\\ b");
}

/* Amid a continued line comments are passed over, even one that ends in a backslash itself. */
static void test_continuation_comment(_unused_ void **state) {
        assert_one("[X-FDPass]\nKey=a \\\n# b \\\n; c\n  d\n", 2, "Key", "a    d");
        assert_one("[X-FDPass]\nKey=a \\\n#b", 2, "Key", "a");
}

static void test_line_ends(_unused_ void **state) {
        assert_one("[X-FDPass]\r\n\r\nKey=a\r\n", 3, "Key", "a");
        assert_one("[X-FDPass]\rKey=a\r", 2, "Key", "a");
        assert_one("[X-FDPass]\r\nKey=a \\\r\nb\r\n", 2, "Key", "a  b");
}

static void test_byte_order_mark(_unused_ void **state) {
        assert_one("\xef\xbb\xbf[X-FDPass]\nKey=a\n", 2, "Key", "a");
        assert_one("\xef\xbb\xbf# Comment\n[X-FDPass]\nKey=a\n", 3, "Key", "a");
}

static void test_repeated_sections(_unused_ void **state) {
        _cleanup_file_ UnitFile *f = parse("[X-FDPass]\nA=1\n[X-FDPass]\nA=2\n");

        assert_int_equal(f->n_assignments, 2);
        assert_assignment(f, 1, SECTION_FDPASS, 4, "A", "2");
}

#define ASSERT_FINDING(text, severity, line, message) \
        assert_finding(text, sizeof(text) - 1, severity, line, message)

/* A line that systemd skips with a warning gets a warning here, too, and is an error in [X-FDPass]. */
static void test_broken_lines(_unused_ void **state) {
        assert_int_equal(ASSERT_FINDING("A=1\n[X-FDPass]\nB=2\n", CONFIG_WARNING, 1,
                                        "This line is before the first section; write a header such as [X-FDPass] above it."), 1);
        assert_int_equal(ASSERT_FINDING("[Unit]\nA\n[X-FDPass]\nB=2\n", CONFIG_WARNING, 2,
                                        "This line has no \"=\"; write KEY=VALUE."), 1);
        assert_int_equal(ASSERT_FINDING("[Socket]\n=A\n[X-FDPass]\nB=2\n", CONFIG_WARNING, 2,
                                        "This line has no key before its \"=\"; write KEY=VALUE."), 1);
        assert_int_equal(ASSERT_FINDING("[X-FDPass]\nA\nB=2\n", CONFIG_ERROR, 2, "This line has no \"=\"; write KEY=VALUE."), 1);
        assert_int_equal(ASSERT_FINDING("[X-FDPass]\n=A\nB=2\n", CONFIG_ERROR, 2,
                                        "This line has no key before its \"=\"; write KEY=VALUE."), 1);

        /* Only its owner knows the syntax of another section X-... */
        _cleanup_file_ UnitFile *f = parse("[X-Other]\nA\n=\n");

        assert_int_equal(f->n_findings, 0);
}

/* An error for which systemd rejects the unit ends the file. */
static void test_broken_files(_unused_ void **state) {
        assert_int_equal(ASSERT_FINDING("[X-FDPass]\nA=1\n[Unit\nB\n[X-FDPass]\nB=2\n", CONFIG_ERROR, 3,
                                        "This header of a section does not end with \"]\"."), 1);
        assert_int_equal(ASSERT_FINDING("[X-FDPass] # Comment\nA=1\n", CONFIG_ERROR, 1,
                                        "This header of a section does not end with \"]\"."), 0);
        assert_int_equal(ASSERT_FINDING("[", CONFIG_ERROR, 1, "This header of a section does not end with \"]\"."), 0);
        assert_int_equal(ASSERT_FINDING("[U\"nit]\n[X-FDPass]\nA=1\n", CONFIG_ERROR, 1,
                                        "This name of a section has a control character, a quotation mark or a backslash."), 0);
        assert_int_equal(ASSERT_FINDING("[X-FDPass]\nA=1\n[U\x01]\nB=2\n", CONFIG_ERROR, 3,
                                        "This name of a section has a control character, a quotation mark or a backslash."), 1);
        assert_int_equal(ASSERT_FINDING("[X-FDPass]\nA=\xff\nB=2\n", CONFIG_ERROR, 2,
                                        "This line is not valid UTF-8."), 0);
        assert_int_equal(ASSERT_FINDING("[Unit]\nA=\xc0\x80\n[X-FDPass]\nB=2\n", CONFIG_ERROR, 2,
                                        "This line is not valid UTF-8."), 0);
        assert_int_equal(ASSERT_FINDING("[X-FDPass]\nA=1\0B=2\n", CONFIG_ERROR, 2, "This line has a NUL byte."), 0);
        assert_int_equal(ASSERT_FINDING("#\0\n", CONFIG_ERROR, 1, "This line has a NUL byte."), 0);
}

/* A comment may be in any encoding, to systemd too. */
static void test_utf8(_unused_ void **state) {
        assert_one("# \xff\n[X-FDPass]\nA=\xc3\xa4\xe2\x82\xac\xf0\x9f\x99\x82\n", 3, "A",
                   "\xc3\xa4\xe2\x82\xac\xf0\x9f\x99\x82");
}

static void test_long_line(_unused_ void **state) {
        static const char head[] = "[X-FDPass]\nKey=\\\n";
        size_t n = strlen(head) + UNIT_FILE_LINE_MAX;
        _cleanup_free_ char *text = malloc(n);

        assert_non_null(text);
        memset(text, 'a', n);
        memcpy(text, head, strlen(head));
        assert_int_equal(assert_finding(text, n, CONFIG_ERROR, 2, "This line is longer than 64 KiB with its continuation lines."), 0);

        /* "Key=\" takes five of them. */
        _cleanup_file_ UnitFile *f = parse_bytes(text, n - 5);

        assert_int_equal(f->n_findings, 0);
        assert_int_equal(strlen(f->assignments[0].value), UNIT_FILE_LINE_MAX - 5);
}

/* The findings are limited, each kind by itself: many warnings don't hide the error. */
static void test_many_findings(_unused_ void **state) {
        char text[4096] = "[Unit]\n";

        for (unsigned i = 0; i < 100; i++)
                strcat(text, "a\n");
        strcat(text, "[X-FDPass]\n");
        for (unsigned i = 0; i < 100; i++)
                strcat(text, "a\n");

        _cleanup_file_ UnitFile *f = parse(text);

        assert_int_equal(f->n_findings, 2 * UNIT_FILE_FINDINGS_MAX);
        assert_int_equal(f->findings[UNIT_FILE_FINDINGS_MAX].severity, CONFIG_ERROR);
        assert_int_equal(f->findings[UNIT_FILE_FINDINGS_MAX].line, 103);
        assert_true(f->is_broken);
}

static void test_unit_names(_unused_ void **state) {
        static const char *const bad[] = {
                "",        "a",         "socket",   ".socket", "a.sock",  "a.Socket", "@.socket", "@a.socket",
                "a b.socket", "a/b.socket", "a.socket ", "ä.socket", "a.socket/", "a.",      "a%.socket", "a\n.socket",
        };
        char longest[UNIT_NAME_MAX + 2];
        UnitName u;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(unit_name_parse(bad[i], &u));

        memset(longest, 'a', sizeof(longest));
        strcpy(longest + UNIT_NAME_MAX - strlen(".path"), ".path");
        assert_true(unit_name_parse(longest, &u));
        strcpy(longest + UNIT_NAME_MAX + 1 - strlen(".path"), ".path");
        assert_false(unit_name_parse(longest, &u));

        assert_true(unit_name_parse("a:b_c.d\\x2d.socket", &u));
        assert_int_equal(u.kind, UNIT_NAME_PLAIN);
        assert_int_equal(u.n_prefix, strlen("a:b_c.d\\x2d"));
        assert_int_equal(u.n_instance, 0);
        assert_string_equal(u.type, "socket");

        assert_true(unit_name_parse("a@.service", &u));
        assert_int_equal(u.kind, UNIT_NAME_TEMPLATE);
        assert_int_equal(u.n_prefix, 1);
        assert_int_equal(u.n_stem, 2);

        assert_true(unit_name_parse("a@b@c.d.mount", &u));
        assert_int_equal(u.kind, UNIT_NAME_INSTANCE);
        assert_int_equal(u.n_prefix, 1);
        assert_int_equal(u.n_instance, strlen("b@c.d"));
        assert_memory_equal(u.instance, "b@c.d", u.n_instance);
        assert_string_equal(u.type, "mount");
}

static void test_unit_instantiate(_unused_ void **state) {
        char name[UNIT_NAME_SIZE], template[UNIT_NAME_SIZE];
        UnitName a, b;

        assert_true(unit_name_parse("long-long-prefix@.socket", &a));
        assert_true(unit_name_parse("b@i.socket", &b));
        assert_true(unit_name_instantiate(&a, &b, name));
        assert_string_equal(name, "long-long-prefix@i.socket");

        unit_name_template(&b, template);
        assert_string_equal(template, "b@.socket");

        memset(name, 'i', sizeof(name));
        memcpy(name, "b@", 2);
        strcpy(name + UNIT_NAME_MAX - strlen(".socket"), ".socket");
        assert_true(unit_name_parse(name, &b));
        assert_false(unit_name_instantiate(&a, &b, template));
}

/* Each dash of an instance makes three directories, however many there are; one at the end makes none. */
static void test_dropin_names(_unused_ void **state) {
        _cleanup_strlist_ StringList names = {}, many = {};
        char name[UNIT_NAME_SIZE];
        UnitName u;

        assert_true(unit_name_parse("a-b@i.socket", &u));
        assert_int_equal(unit_name_dropins(&u, &names), 0);
        assert_int_equal(names.n_items, 5);
        assert_string_equal(names.items[0], "a-b@i.socket");
        assert_string_equal(names.items[1], "a-b@.socket");
        assert_string_equal(names.items[2], "a-.socket");
        assert_string_equal(names.items[3], "a-@i.socket");
        assert_string_equal(names.items[4], "a-@.socket");

        for (size_t i = 0; i < UNIT_NAME_MAX; i++)
                name[i] = i % 2 == 0 ? 'a' : '-';
        strcpy(name + UNIT_NAME_MAX - strlen("@i.socket"), "@i.socket");
        assert_true(unit_name_parse(name, &u));
        assert_int_equal(unit_name_dropins(&u, &many), 0);
        assert_int_equal(many.n_items, 3 * 122 + 2);
}

static void assert_expanded(const char *s, const char *expected) {
        const char *bad;
        char out[64];
        UnitName u;

        assert_true(unit_name_parse("foo-bar@x-y.socket", &u));
        assert_int_equal(specifier_expand(s, &(SpecifierContext){ &u, "host" }, out, sizeof(out), &bad), 0);
        assert_string_equal(out, expected);
}

static void assert_not_expanded(const char *s, size_t size, int condition, size_t offset) {
        const char *bad = NULL;
        char out[64];
        UnitName u;

        assert_true(unit_name_parse("foo\\@x-y\\x0g.socket", &u));
        assert_int_equal(specifier_expand(s, &(SpecifierContext){ &u, "host" }, out, size, &bad), condition);
        assert_int_equal(bad - s, offset);
}

static void test_specifiers(_unused_ void **state) {
        assert_expanded("", "");
        assert_expanded("%i%i", "x-yx-y");
        assert_expanded("%%i %% %I", "%i % x/y");
        assert_expanded("%n|%N|%p|%P", "foo-bar@x-y.socket|foo-bar@x-y|foo-bar|foo/bar");
        assert_expanded("%j|%J|%t|%H", "bar|bar|/run|host");

        assert_not_expanded("a%", 64, SPECIFIER_UNKNOWN, 1);
        assert_not_expanded("ab%xc", 64, SPECIFIER_UNKNOWN, 2);
        assert_not_expanded("%i%I", 64, SPECIFIER_MALFORMED, 2);
        assert_not_expanded("%P", 64, SPECIFIER_MALFORMED, 0);

        /* The NUL needs its place. */
        assert_not_expanded("a%H", 5, SPECIFIER_TOO_LONG, 1);
        assert_not_expanded("abc", 3, SPECIFIER_TOO_LONG, 0);
}

TEST_MAIN(TEST(test_sections),
          TEST(test_misspelt_section),
          TEST(test_empty_section),
          TEST(test_white_space),
          TEST(test_comments),
          TEST(test_continuation),
          TEST(test_continuation_comment),
          TEST(test_line_ends),
          TEST(test_byte_order_mark),
          TEST(test_repeated_sections),
          TEST(test_broken_lines),
          TEST(test_broken_files),
          TEST(test_utf8),
          TEST(test_long_line),
          TEST(test_many_findings),
          TEST(test_unit_names),
          TEST(test_unit_instantiate),
          TEST(test_dropin_names),
          TEST(test_specifiers))
