/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test.h"

#include <limits.h>

#include "basic/parse.h"
#include "basic/strlist.h"
#include "basic/utf8.h"

static void test_bool(_unused_ void **state) {
        static const char *const yes[] = { "1", "yes", "YES", "y", "true", "True", "t", "on" };
        static const char *const no[] = { "0", "no", "N", "n", "false", "f", "F", "off" };
        static const char *const bad[] = { "", "2", "01", "yes ", " no", "yess", "enabled", "o" };
        bool b;

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                b = false;
                assert_int_equal(parse_bool(yes[i], &b), 0);
                assert_true(b);
        }

        for (size_t i = 0; i < ELEMENTSOF(no); i++) {
                b = true;
                assert_int_equal(parse_bool(no[i], &b), 0);
                assert_false(b);
        }

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(parse_bool(bad[i], &b), -EINVAL);
}

static void test_unsigned(_unused_ void **state) {
        static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "0x1", "1.0", "a", "1a", "٣" };
        unsigned u = 7;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(parse_unsigned(bad[i], &u), -EINVAL);
        assert_int_equal(parse_unsigned("4294967296", &u), -ERANGE);
        assert_int_equal(parse_unsigned("18446744073709551616", &u), -ERANGE);
        assert_int_equal(u, 7); /* left alone */

        assert_int_equal(parse_unsigned("0", &u), 0);
        assert_int_equal(u, 0);
        assert_int_equal(parse_unsigned("007", &u), 0);
        assert_int_equal(u, 7);
        assert_int_equal(parse_unsigned("4294967295", &u), 0);
        assert_int_equal(u, UINT_MAX);
}

static void test_int(_unused_ void **state) {
        static const char *const bad[] = { "", "-", "--1", "+1", "- 1", " 1", "1 ", "-0x1", "a" };
        int i = 7;

        for (size_t k = 0; k < ELEMENTSOF(bad); k++)
                assert_int_equal(parse_int(bad[k], &i), -EINVAL);
        assert_int_equal(parse_int("2147483648", &i), -ERANGE);
        assert_int_equal(parse_int("-2147483649", &i), -ERANGE);
        assert_int_equal(i, 7);

        assert_int_equal(parse_int("2147483647", &i), 0);
        assert_int_equal(i, INT_MAX);
        assert_int_equal(parse_int("-2147483648", &i), 0);
        assert_int_equal(i, INT_MIN);
        assert_int_equal(parse_int("-0", &i), 0);
        assert_int_equal(i, 0);
}

/* As `systemd-analyze timespan` prints them. */
static void test_timespan(_unused_ void **state) {
        static const struct {
                const char *s;
                usec_t usec;
        } cases[] = {
                { "0", 0 },
                { "30", 30000000 },
                { "  30  ", 30000000 },
                { "500ms", 500000 },
                { "500 msec", 500000 },
                { "7us", 7 },
                { "7µs", 7 },
                { "1min 30s", 90000000 },
                { "1m30", 90000000 },
                { "1.5h", UINT64_C(5400000000) },
                { "0.000001s", 1 },
                { "0.0000019s", 1 },
                { "2 hours 1 hour", UINT64_C(10800000000) },
                { "1d", UINT64_C(86400000000) },
                { "1w", UINT64_C(604800000000) },
                { "1M", UINT64_C(2629800000000) },
                { "1month", UINT64_C(2629800000000) },
                { "1y", UINT64_C(31557600000000) },
                { "infinity", USEC_INFINITY },
        };
        static const char *const bad[] = { "", " ", "s", "-1", "1.", ".5", "1 x", "1ss", "infinity 1", "1 infinity",
                                           "1..5", "1,5", "1S" };
        usec_t usec = 7;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(parse_timespan(cases[i].s, &usec), 0);
                assert_true(usec == cases[i].usec);
        }

        usec = 7;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(parse_timespan(bad[i], &usec), -EINVAL);
        assert_int_equal(parse_timespan("18446744073709551616us", &usec), -ERANGE);
        assert_int_equal(parse_timespan("600000y", &usec), -ERANGE);
        assert_int_equal(parse_timespan("18446744073709551615us 1us", &usec), -ERANGE);
        assert_int_equal(usec, 7);
}

static void test_size(_unused_ void **state) {
        static const struct {
                const char *s;
                uint64_t size;
        } cases[] = {
                { "0", 0 },           { "4096", 4096 },         { "4096B", 4096 },
                { "16K", 16384 },     { "16 K", 16384 },        { "1.5M", 1572864 },
                { "2G", 2147483648 }, { "1T", 1099511627776 },
        };
        static const char *const bad[] = { "", "K", "-1", "1k", "1KB", "1K 1", "1.K", "infinity" };
        uint64_t size = 7;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(parse_size(cases[i].s, &size), 0);
                assert_true(size == cases[i].size);
        }

        size = 7;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(parse_size(bad[i], &size), -EINVAL);
        assert_int_equal(parse_size("16777216T", &size), -ERANGE);
        assert_int_equal(size, 7);
}

static void test_utf8(_unused_ void **state) {
        static const char *const good[] = {
                "", "abc", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd",
                "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbd",
        };
        static const char *const bad[] = {
                "\x80",             /* a continuation alone */
                "a\xc3",            /* cut off */
                "\xe2\x82",         /* likewise */
                "\xf0\x9f\x99",     /* likewise */
                "\xc3(",            /* no continuation */
                "\xc0\x80",         /* overlong forms, of two … */
                "\xc1\xbf",         /* … */
                "\xe0\x9f\xbf",     /* … three … */
                "\xf0\x8f\xbf\xbf", /* … and four bytes */
                "\xed\xa0\x80",     /* surrogates */
                "\xed\xbf\xbf",     /* likewise */
                "\xf4\x90\x80\x80", /* above U+10FFFF */
                "\xf5\x80\x80\x80", /* likewise */
                "\xff",             /* no such byte */
                "\xef\xb7\x90",     /* U+FDD0, a non-character */
                "\xef\xbf\xbe",     /* U+FFFE */
                "\xf0\x9f\xbf\xbf", /* U+1FFFF */
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(utf8_is_valid(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(utf8_is_valid(bad[i]));

        assert_int_equal(utf8_cut("abc", 3), 3);
        assert_int_equal(utf8_cut("abcd", 3), 3);
        assert_int_equal(utf8_cut("ab\xc3\xa4", 3), 2);
        assert_int_equal(utf8_cut("ab\xc3\xa4", 4), 4);
        assert_int_equal(utf8_cut("\xf0\x9f\x99\x82", 3), 0);
        assert_int_equal(utf8_cut("", 0), 0);
}

static void test_strlist(_unused_ void **state) {
        _cleanup_strlist_ StringList l = {};
        char s[2] = "a";

        strlist_sort_unique(&l);
        assert_null(l.items);
        assert_false(strlist_has(&l, "a"));

        for (unsigned i = 0; i < 100; i++) {
                s[0] = (char) ('z' - i % 26);
                assert_int_equal(strlist_add(&l, s), 0);
                assert_int_equal(l.n_items, i + 1);
                assert_null(l.items[i + 1]);
        }

        assert_true(strlist_has(&l, "a"));
        assert_false(strlist_has(&l, "aa"));

        strlist_sort_unique(&l);
        assert_int_equal(l.n_items, 26);
        assert_null(l.items[26]);
        assert_string_equal(l.items[0], "a");
        assert_string_equal(l.items[25], "z");

        /* It grows again from there. */
        for (unsigned i = 0; i < 100; i++)
                assert_int_equal(strlist_add_n(&l, "xyz", 2), 0);
        assert_string_equal(l.items[125], "xy");
        assert_null(l.items[126]);

        strlist_clear(&l);
        assert_int_equal(l.n_items, 0);
}

TEST_MAIN(TEST(test_bool),
          TEST(test_unsigned),
          TEST(test_int),
          TEST(test_timespan),
          TEST(test_size),
          TEST(test_utf8),
          TEST(test_strlist))
