/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From the text of a file to directives: continuations, variables, words, macros, conditions and included files. */

#include <ctype.h>
#include <stdio.h>

#include "basic/utf8.h"
#include "fdpassctl/httpd-config.h"

/*
 * Reads the next line and its continuations behind backslashes. A line that is too long is cut. Returns the number of
 * lines; 0: the text is at its end.
 */
static unsigned httpd_next_line(const char **p, const char *end, char text[static HTTPD_LINE_MAX], bool *ret_is_cut) {
        unsigned n_lines = 0;
        bool has_more = true;
        size_t n = 0;

        while (has_more && *p < end) {
                const char *nl = memchr(*p, '\n', (size_t) (end - *p)), *stop = nl ? nl : end;
                size_t k = (size_t) (stop - *p);

                if (k > 0 && (*p)[k - 1] == '\r')
                        k--;
                has_more = k > 0 && (*p)[k - 1] == '\\';
                if (has_more)
                        k--;

                k = MIN(k, HTTPD_LINE_MAX - 1 - n);
                memcpy(text + n, *p, k);
                n += k;
                *p = nl ? nl + 1 : end;
                n_lines++;
        }

        /* A NUL would hide the rest of the line. */
        for (size_t i = 0; i < n; i++)
                if (text[i] == '\0')
                        text[i] = '?';
        text[n] = '\0';
        *ret_is_cut = n == HTTPD_LINE_MAX - 1;
        return n_lines;
}

/* Takes one word off *s, as ap_getword_conf() of httpd does: in quotes of either kind, a backslash escapes a quote. */
static char *httpd_next_word(char **s) {
        char *in = *s + strspn(*s, " \t\r\f\v"), *out = in, *word, quote;

        if (!*in)
                return NULL;

        quote = *in == '"' || *in == '\'' ? *in++ : '\0';
        word = out = in;

        while (*in && (quote ? *in != quote : !isspace((unsigned char) *in))) {
                if (*in == '\\' && (in[1] == '\\' || (quote && in[1] == quote)))
                        in++;
                *out++ = *in++;
        }

        *s = *in ? in + 1 : in;
        *out = '\0';
        return word;
}

static void httpd_split(HttpdLine *l) {
        char *s = l->text, *word;
        size_t n;

        /* The ">" of a section does not belong to its last word. */
        s += strspn(s, " \t\r\f\v");
        n = strlen(s);
        while (n > 0 && isspace((unsigned char) s[n - 1]))
                n--;
        if (s[0] == '<' && n > 0 && s[n - 1] == '>')
                s[n - 1] = '\0';

        while (l->n_words < HTTPD_WORDS_MAX && (word = httpd_next_word(&s)))
                l->words[l->n_words++] = word;
        l->is_cut |= l->n_words == HTTPD_WORDS_MAX;
}

static bool httpd_mentions_fd(const HttpdLine *l) {
        for (size_t i = 1; i < l->n_words; i++)
                if (strcasestr(l->words[i], "fd://"))
                        return true;

        return false;
}

/* Reports a line with fd:// that a condition leaves out, or may leave out. Returns whether it is left out. */
static bool httpd_is_left_out(const HttpdConfig *c, const HttpdLine *l) {
        const HttpdCondition *off = httpd_find_condition(c, HTTPD_UNLIKELY), *on = httpd_find_condition(c, HTTPD_MAYBE);

        if (off && httpd_mentions_fd(l))
                httpd_say(c, &l->place, "This line is left out, because by these files \"%.*s\" of line %u is false.",
                          HTTPD_SHOWN(off->text), off->line);
        else if (on && httpd_mentions_fd(l))
                httpd_say(c, &l->place, "This line is read as if \"%.*s\" of line %u were true, which is not known "
                                        "here.",
                          HTTPD_SHOWN(on->text), on->line);

        return off;
}

static void httpd_set_root(HttpdConfig *c, const HttpdLine *l) {
        if (l->n_words < 2 || l->words[1][0] != '/')
                httpd_say(c, &l->place, "ServerRoot wants an absolute path; %s stays.", c->root);
        else
                strcpy(c->root, l->words[1]);
}

/* Returns whether the line may answer or change a request before ProxyPass does. */
static bool httpd_acts_before(const HttpdConfig *c, const HttpdLine *l) {
        for (size_t i = 1; i < l->n_words; i++)
                if (streq(l->words[i], "no-proxy"))
                        return true;

        if (httpd_is(l, "RewriteRule"))
                return true;

        return c->location.number > 0 && strncasecmp(l->words[0], "Redirect", 8) == 0;
}

/* Names directives that are not read, but that may change what clients get. */
static void httpd_check_others(HttpdConfig *c, const HttpdLine *l) {
        HttpdServer *s = &c->servers[c->server];

        if (httpd_is(l, "Header") || httpd_is(l, "RequestHeader"))
                httpd_say(c, &l->place, "%s is not read: ResponseHeader= adds fields to what a flusher writes.",
                          l->words[0]);
        else if (httpd_mentions_fd(l))
                httpd_say(c, &l->place, "%.*s with fd:// can't be expressed; no unit is printed.",
                          HTTPD_SHOWN(l->words[0]));
        else if (httpd_acts_before(c, l) && !s->has_before) {
                s->has_before = true;
                httpd_say(c, &l->place, "%.*s is not read: in httpd it may change or answer a request before "
                                        "ProxyPass.", HTTPD_SHOWN(l->words[0]));
        }
}

/* Reads the files of a line Include. Returns whether all were read, or -ENOMEM. */
static int httpd_read_includes(HttpdConfig *c, const HttpdLine *l) {
        _cleanup_strlist_ StringList paths = {};
        int r = httpd_find_includes(c, l, &paths), k = 0;
        bool is_whole = r > 0;

        for (size_t i = 0; i < paths.n_items && r >= 0 && k != -ENOMEM; i++) {
                bool is_argument = strlist_has(&c->arguments, paths.items[i]);
                _cleanup_free_ char *text = NULL;
                size_t n = 0;

                k = is_argument ? -EEXIST : httpd_load_file(paths.items[i], &text, &n);
                if (k < 0 && k != -ENOMEM) {
                        httpd_say(c, &l->place, "%.*s: %s. Its lines are missing here, and may keep clients out.",
                                  HTTPD_SHOWN(paths.items[i]),
                                  is_argument ? "fdpassctl has read it before this file" : strerror(-k));
                        is_whole = false;
                        continue;
                }

                c->depth++;
                r = k < 0 ? k : httpd_read_text(c, paths.items[i], text, n);
                c->depth--;
        }

        return r < 0 ? r : is_whole;
}

/* Reads the lines of the macro that a line Use names. Returns whether there is one, or -ENOMEM. */
static int httpd_read_macro(HttpdConfig *c, const HttpdLine *l) {
        HttpdMacro *m = httpd_find_macro(c, l);
        size_t index = m ? (size_t) (m - c->macros) : 0;
        _cleanup_free_ char *text = m ? malloc(HTTPD_LINE_MAX) : NULL;
        HttpdPlace place;
        int r = m && !text ? -ENOMEM : 0;

        if (!m || r < 0)
                return r;

        place = m->place;
        place.use_file = l->place.use_file ?: l->place.file;
        place.use_line = l->place.use_file ? l->place.use_line : l->place.line;

        c->depth++;
        m->is_open = true;
        /* A line may define macros, so the array moves. */
        for (size_t i = 0; i < c->macros[index].lines.n_items && r >= 0; i++) {
                bool is_cut = httpd_macro_line(&c->macros[index], l->words + 2, i, text);

                place.line = c->macros[index].numbers[i];
                r = httpd_read_line(c, &place, text, is_cut);
        }
        c->macros[index].is_open = false;
        c->depth--;

        return r < 0 ? r : 1;
}

/* Reads a directive that is neither a condition nor part of a macro. */
static int httpd_read_directive(HttpdConfig *c, const HttpdLine *l) {
        int r = httpd_read_includes(c, l);

        if (r == 0)
                r = httpd_access_read(&c->access, &l->place, l->words, l->n_words, l->is_cut);
        else if (r > 0)
                return 0;
        if (r < 0 || httpd_is_left_out(c, l))
                return r;

        r = httpd_read_server(c, l);
        if (r == 0)
                r = httpd_read_pass(c, l);
        if (r != 0)
                return MIN(r, 0);

        if (httpd_is(l, "ServerRoot"))
                httpd_set_root(c, l);
        else
                httpd_check_others(c, l);
        return 0;
}

static int httpd_read_words(HttpdConfig *c, HttpdLine *l) {
        int r;

        r = httpd_read_condition(c, l);
        if (r == 0)
                r = httpd_read_define(c, l);
        if (r == 0)
                r = httpd_begin_macro(c, l);
        if (r == 0)
                r = httpd_read_macro(c, l);

        return r != 0 ? MIN(r, 0) : httpd_read_directive(c, l);
}

int httpd_read_line(HttpdConfig *c, const HttpdPlace *place, const char *text, bool is_cut) {
        _cleanup_free_ HttpdLine *l = NULL;
        int r;

        text += strspn(text, " \t\r\f\v");
        if (httpd_skip(c, text))
                return 0;

        r = httpd_record_macro(c, place, text);
        if (r != 0)
                return MIN(r, 0);
        if (!*text || *text == '#')
                return 0;

        l = malloc(sizeof(*l));
        if (!l)
                return -ENOMEM;

        l->place = *place;
        l->n_words = 0;
        l->is_cut = is_cut;
        httpd_expand(c, text, l);
        httpd_split(l);
        l->words[l->n_words] = NULL;
        return l->n_words > 0 ? httpd_read_words(c, l) : 0;
}

int httpd_read_text(HttpdConfig *c, const char *name, const char *text, size_t n) {
        _cleanup_free_ char *line = malloc(HTTPD_LINE_MAX);
        HttpdPlace place = { .line = 1 };
        const char *p = text;
        int r = line ? strlist_add(&c->files, name) : -ENOMEM;
        bool is_cut;

        if (r < 0)
                return r;

        /* Messages name the file. A line break in its name would begin another message. */
        utf8_mask(c->files.items[c->files.n_items - 1]);
        place.file = c->files.items[c->files.n_items - 1];
        while (r >= 0) {
                unsigned n_lines = httpd_next_line(&p, text + n, line, &is_cut);

                if (n_lines == 0)
                        break;

                r = httpd_read_line(c, &place, line, is_cut);
                place.line += n_lines;
        }

        return r;
}
