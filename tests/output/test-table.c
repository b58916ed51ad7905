/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Texts and tables with wide and with combining characters: how many columns they have, and where they are cut. */

#include "../unit/test.h"

#include <locale.h>
#include <stdio.h>

#include "fdpassctl/table.h"
#include "fdpassctl/text.h"

#define ACUTE "\xcc\x81" /* combining, of no width */

static void test_width(void **state) {
        assert_int_equal(text_width(""), 0);
        assert_int_equal(text_width("abc"), 3);
        assert_int_equal(text_width("Grüße→…"), 7);
        assert_int_equal(text_width("日本語"), 6);
        assert_int_equal(text_width("e" ACUTE "e" ACUTE), 2);
}

static void expect_fit(const char *s, size_t columns, size_t n, size_t columns_used) {
        size_t used;

        assert_int_equal(text_fit(s, columns, &used), n);
        assert_int_equal(used, columns_used);
}

static void test_fit(void **state) {
        expect_fit("abc", 2, 2, 2);
        expect_fit("abc", 9, 3, 3);
        expect_fit("日本語", 4, 6, 4);
        expect_fit("日本語", 5, 6, 4);           /* half of a character is none */
        expect_fit("e" ACUTE "f", 1, 3, 1);      /* the accent belongs to what it stands behind */
        assert_string_equal(text_fit_end("abc", 2), "bc");
        assert_string_equal(text_fit_end("日本語", 5), "本語");
        assert_string_equal(text_fit_end("e" ACUTE "f", 1), "f");
}

/* Prints a table with this text in its first column, and returns it, to be freed. */
static char *print(const char *text, size_t columns, ColumnFlags flags) {
        const Column titles[] = { { "NAME", COLUMN_SHRINK | flags }, { "N", COLUMN_RIGHT }, { "STATE", COLUMN_LEFT } };
        Table *t = table_new(titles, ELEMENTSOF(titles));
        char *printed = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&printed, &size);

        assert_non_null(t);
        assert_non_null(f);
        table_text(t, text, COLOR_NONE);
        table_number(t, 12, COLOR_NONE);
        table_text(t, "ready", COLOR_NONE);
        table_text(t, "plain", COLOR_NONE);
        table_number(t, 7, COLOR_NONE);
        table_text(t, "gone", COLOR_NONE);
        table_print(t, f, columns, /* with_header= */ true);
        assert_int_equal(fclose(f), 0);
        table_free(t);
        return printed;
}

static void expect_table(const char *text, size_t columns, ColumnFlags flags, const char *expected) {
        _cleanup_free_ char *printed = print(text, columns, flags);

        assert_string_equal(printed, expected);
}

static void test_table(void **state) {
        expect_table("日本語", 0, COLUMN_LEFT, "NAME    N STATE\n日本語 12 ready\nplain   7 gone\n");
        expect_table("e" ACUTE "te" ACUTE, 0, COLUMN_LEFT,
                     "NAME   N STATE\ne" ACUTE "te" ACUTE "   12 ready\nplain  7 gone\n");
        expect_table("日本語日本語", 16, COLUMN_LEFT, "NAME     N STATE\n日本語… 12 ready\nplain    7 gone\n");
        expect_table("日本語日本語", 17, COLUMN_LEFT, "NAME      N STATE\n日本語…  12 ready\nplain     7 gone\n");
        expect_table("日本語日本語", 17, COLUMN_CUT_LEFT, "NAME      N STATE\n…日本語  12 ready\nplain     7 gone\n");
        expect_table("/run/a/worker.sock", 18, COLUMN_CUT_LEFT,
                     "NAME       N STATE\n…ker.sock 12 ready\nplain      7 gone\n");
        expect_table("/run/a/worker.sock", 12, COLUMN_LEFT, "NAME    N\n/run/… 12\nplain   7\n");
        expect_table("\033[31m\xe2\x80\xae", 0, COLUMN_LEFT,
                     "NAME                  N STATE\n"
                     "\\x1b[31m\\xe2\\x80\\xae 12 ready\nplain                 7 gone\n");
}

static void test_bytes(void **state) {
        static const struct {
                uint64_t n;
                const char *text;
        } cases[] = {
                { 0, "0B" }, { 1, "1B" }, { 1023, "1023B" }, { 1024, "1.0K" }, { 1535, "1.4K" }, { 1048575, "1023.9K" },
                { 1048576, "1.0M" }, { 24536678, "23.3M" }, { 1ULL << 40, "1.0T" }, { UINT64_MAX, "15.9E" },
        };
        char text[32];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_string_equal(text_from_bytes(text, cases[i].n), cases[i].text);
}

/* At every width, what stands behind the first column stands below each other, and no line is too long. */
static void test_columns(void **state) {
        static const char *const texts[] = {
                "日本語日本語日本語", "a日b本c語d", "e" ACUTE "日" ACUTE "本語e" ACUTE "xyz", "Grüße, Welt →…",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                for (size_t columns = 15; columns < 40; columns++)
                        for (unsigned flags = COLUMN_LEFT; flags <= COLUMN_CUT_LEFT; flags += COLUMN_CUT_LEFT) {
                                _cleanup_free_ char *printed = print(texts[i], columns, flags);
                                char *row = strchr(printed, '\n') + 1, *state_at = strstr(row, "ready");
                                char *header = strstr(printed, "STATE");
                                size_t width;

                                assert_non_null(state_at);
                                *strchr(row, '\n') = '\0';
                                assert_true(text_width(row) <= columns);
                                *state_at = '\0';
                                width = text_width(row);
                                *header = '\0';
                                assert_int_equal(text_width(printed), width);
                        }
}

int main(void) {
        const struct CMUnitTest tests[] = { TEST(test_width), TEST(test_fit), TEST(test_table), TEST(test_columns),
                                            TEST(test_bytes) };

        (void) setlocale(LC_CTYPE, "C.UTF-8");
        (void) setenv("SYSTEMD_COLORS", "0", 1);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
