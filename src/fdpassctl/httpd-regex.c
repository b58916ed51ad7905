/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/httpd-regex.h"

#include <ctype.h>

#include "basic/array.h"

#define REGEX_ALTERNATIVES_MAX 64
#define REGEX_DEPTH_MAX 20

/* One text that the expression read so far matches. */
typedef struct RegexWord {
        HttpdAlternative alternative;
        size_t n;         /* bytes of its text */
        bool is_anchored; /* "^" was read */
        bool has_end;     /* "$" was read */
        bool has_rest;    /* ".*" was read */
} RegexWord;

typedef struct RegexWords {
        RegexWord *items;
        size_t n_items;
} RegexWords;

typedef struct RegexReader {
        const char *p;
        unsigned n_groups, depth;
} RegexReader;

/* The functions below return 1, 0 if the expression can't be expanded, or -ENOMEM. */
static int regex_read_alternatives(RegexReader *r, RegexWords *words);

static void regex_words_done(RegexWords *w) {
        free(w->items);
        *w = (RegexWords){};
}

static int regex_add_all(RegexWords *to, const RegexWords *from) {
        for (size_t i = 0; i < from->n_items; i++) {
                if (to->n_items == REGEX_ALTERNATIVES_MAX)
                        return 0;
                if (!ARRAY_GROW(to->items, to->n_items))
                        return -ENOMEM;

                to->items[to->n_items++] = from->items[i];
        }

        return 1;
}

/* Adds one of the characters to each word. */
static int regex_add_characters(RegexWords *words, const char *set, size_t n_set) {
        _cleanup_(regex_words_done) RegexWords old = *words;
        int r = 1;

        *words = (RegexWords){};
        for (size_t i = 0; i < old.n_items && r > 0; i++)
                for (size_t k = 0; k < n_set && r > 0; k++) {
                        RegexWord w = old.items[i];

                        if (w.has_rest || w.n == HTTPD_REGEX_TEXT_MAX)
                                return 0;
                        if (w.has_end)
                                continue; /* nothing matches */

                        w.alternative.text[w.n++] = set[k];
                        r = regex_add_all(words, &(RegexWords){ &w, 1 });
                }

        return r;
}

/* Reads "[a-c_]". */
static int regex_read_set(RegexReader *r, RegexWords *words) {
        char set[REGEX_ALTERNATIVES_MAX];
        size_t n = 0;

        if (*r->p == '^' || *r->p == ']')
                return 0;

        for (; *r->p != ']'; r->p++) {
                char first = *r->p, last = first;

                if (!first || first == '[' || first == '\\')
                        return 0;
                if (r->p[1] == '-' && r->p[2] && r->p[2] != ']') {
                        last = r->p[2];
                        r->p += 2;
                }
                if ((unsigned char) first >= 0x80 || last < first || (size_t) (last - first) >= sizeof(set) - n)
                        return 0;

                while (first <= last)
                        set[n++] = first++;
        }

        r->p++;
        return regex_add_characters(words, set, n);
}

static void regex_close_group(RegexWords *words, unsigned group, bool had_rest) {
        for (size_t i = 0; group > 0 && group < HTTPD_REGEX_GROUPS && i < words->n_items; i++)
                words->items[i].alternative.groups[group].end = words->items[i].has_rest && !had_rest ? -1 :
                                                                (int) words->items[i].n;
}

static int regex_read_group(RegexReader *r, RegexWords *words) {
        bool is_ahead = startswith(r->p, "?=");
        bool is_plain = is_ahead || startswith(r->p, "?:"), had_rest = words->n_items > 0 && words->items[0].has_rest;
        unsigned group = is_plain ? 0 : ++r->n_groups;
        int k;

        if ((*r->p == '?' || *r->p == '*') && !is_plain)
                return 0;

        r->p += is_plain ? 2 : 0;
        for (size_t i = 0; i < words->n_items && group > 0 && group < HTTPD_REGEX_GROUPS; i++) {
                words->items[i].alternative.groups[group].begin = (int) words->items[i].n;
                if (words->items[i].has_rest != had_rest)
                        return 0;
        }

        k = regex_read_alternatives(r, words);
        if (k <= 0)
                return k;
        if (*r->p != ')')
                return 0;

        r->p++;
        regex_close_group(words, group, had_rest);

        /* "(?=/|$)" has to be there, but is not taken, so that only empty groups may follow. */
        for (size_t i = 0; i < words->n_items && is_ahead; i++)
                words->items[i].has_rest |= !words->items[i].has_end;
        return 1;
}

static int regex_read_anchor(RegexWords *words, char anchor) {
        for (size_t i = 0; i < words->n_items; i++) {
                RegexWord *w = &words->items[i];

                if (anchor == '^' && (w->n > 0 || w->has_end || w->has_rest))
                        return 0;

                w->is_anchored |= anchor == '^';
                w->has_end |= anchor == '$';
                w->has_rest |= anchor == '.';
        }

        return 1;
}

static int regex_read_atom(RegexReader *r, RegexWords *words) {
        char c = *r->p++;

        switch (c) {

        case '^':
        case '$':
                return regex_read_anchor(words, c);

        case '.':
                if (*r->p != '*' || (r->p[1] && strchr("?+", r->p[1])))
                        return 0;
                r->p++;
                return regex_read_anchor(words, c);

        case '(':
                return regex_read_group(r, words);

        case '[':
                return regex_read_set(r, words);

        case '*':
        case '+':
        case '?':
        case '{':
                return 0;

        case '\\':
                if (!ispunct((unsigned char) *r->p))
                        return 0;
                return regex_add_characters(words, r->p++, 1);

        default:
                return regex_add_characters(words, &c, 1);
        }
}

/* Reads an atom, and "?" behind it: the words with the atom come first. */
static int regex_read_piece_of_one(RegexReader *r, RegexWords *words) {
        _cleanup_(regex_words_done) RegexWords without = {};
        int k = regex_add_all(&without, words);

        if (k > 0)
                k = regex_read_atom(r, words);
        if (k <= 0 || !*r->p || !strchr("*+?{", *r->p))
                return k;
        if (*r->p++ != '?' || (*r->p && strchr("*+?{", *r->p)))
                return 0;

        return regex_add_all(words, &without);
}

/* Reads the same bytes for each word, because what comes of one word stays together in the order of preference. */
static int regex_read_piece(RegexReader *r, RegexWords *words) {
        _cleanup_(regex_words_done) RegexWords all = {}, old = *words;
        RegexReader begin = *r;
        int k = 1;

        *words = (RegexWords){};
        for (size_t i = 0; i < MAX(old.n_items, (size_t) 1) && k > 0; i++) {
                _cleanup_(regex_words_done) RegexWords one = {};

                *r = begin;
                if (old.n_items > 0)
                        k = regex_add_all(&one, &(RegexWords){ &old.items[i], 1 });
                if (k > 0)
                        k = regex_read_piece_of_one(r, &one);
                if (k > 0)
                        k = regex_add_all(&all, &one);
        }

        *words = all;
        all = (RegexWords){};
        return k;
}

static int regex_read_branch(RegexReader *r, RegexWords *words) {
        int k = 1;

        while (k > 0 && *r->p && *r->p != '|' && *r->p != ')')
                k = regex_read_piece(r, words);

        return k;
}

static int regex_read_alternatives(RegexReader *r, RegexWords *words) {
        _cleanup_(regex_words_done) RegexWords all = {};
        int k = 1;

        if (r->depth == REGEX_DEPTH_MAX)
                return 0;

        r->depth++;
        for (bool has_more = true; has_more && k > 0;) {
                _cleanup_(regex_words_done) RegexWords branch = {};

                k = regex_add_all(&branch, words);
                if (k > 0)
                        k = regex_read_branch(r, &branch);
                if (k > 0)
                        k = regex_add_all(&all, &branch);
                has_more = *r->p == '|';
                r->p += has_more;
        }
        r->depth--;

        regex_words_done(words);
        *words = all;
        all = (RegexWords){};
        return k;
}

static int regex_take_alternatives(const RegexWords *words, HttpdAlternative **ret, size_t *ret_n) {
        HttpdAlternative *a = calloc(words->n_items + 1, sizeof(*a));

        if (!a)
                return -ENOMEM;

        for (size_t i = 0; i < words->n_items; i++) {
                const RegexWord *w = &words->items[i];

                a[i] = w->alternative;
                a[i].kind = w->has_end && !w->has_rest ? HTTPD_AREA_EXACT : HTTPD_AREA_BEGIN;
                a[i].groups[0].end = w->has_rest ? -1 : (int) w->n;
                if (!w->is_anchored) {
                        free(a);
                        return 0;
                }
        }

        *ret = a;
        *ret_n = words->n_items;
        return 1;
}

int httpd_regex_expand(const char *regex, HttpdAlternative **ret, size_t *ret_n) {
        _cleanup_(regex_words_done) RegexWords words = {};
        RegexWord first = {};
        RegexReader r = { .p = regex };
        int k = regex_add_all(&words, &(RegexWords){ &first, 1 });

        if (k > 0)
                k = regex_read_alternatives(&r, &words);
        if (k > 0 && *r.p)
                k = 0;

        return k > 0 ? regex_take_alternatives(&words, ret, ret_n) : k;
}

size_t httpd_regex_prefix(const char *regex) {
        size_t n = regex[0] == '^' ? strcspn(regex + 1, "()[]{}.*+?|$^\\@%") : 0;

        if (n > 0 && regex[1 + n] && strchr("*?{", regex[1 + n]))
                n--;

        return strchr(regex, '|') ? 0 : n;
}
