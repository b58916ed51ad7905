/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* <Macro>, Use and UndefMacro (mod_macro of httpd). */

#include <ctype.h>
#include <stdio.h>

#include "basic/array.h"
#include "basic/utf8.h"
#include "fdpassctl/httpd-config.h"

static bool macro_begins(const char *text, const char *word) {
        size_t n = strlen(word);

        return strncasecmp(text, word, n) == 0 && (!text[n] || text[n] == '>' || isspace((unsigned char) text[n]));
}

int httpd_record_macro(HttpdConfig *c, const HttpdPlace *place, const char *text) {
        HttpdMacro *m = c->open_macro;

        if (!m)
                return 0;

        if (macro_begins(text, "</Macro")) {
                c->open_macro = NULL;
                return 1;
        }

        if (m->lines.n_items == 0)
                m->place = *place;
        if (!ARRAY_GROW(m->numbers, m->lines.n_items))
                return -ENOMEM;

        m->numbers[m->lines.n_items] = place->line;
        return strlist_add(&m->lines, text) < 0 ? -ENOMEM : 1;
}

static HttpdMacro *macro_find(const HttpdConfig *c, const char *name) {
        for (size_t i = 0; i < c->n_macros; i++)
                if (strcasecmp(c->macros[i].name, name) == 0)
                        return &c->macros[i];

        return NULL;
}

int httpd_begin_macro(HttpdConfig *c, const HttpdLine *l) {
        HttpdMacro *m;

        if (!httpd_is(l, "<Macro") || l->n_words < 2)
                return 0;

        m = macro_find(c, l->words[1]);

        if (!m) {
                if (!ARRAY_GROW(c->macros, c->n_macros))
                        return -ENOMEM;
                m = &c->macros[c->n_macros++];
                *m = (HttpdMacro){};
        }

        httpd_macro_done(m);
        m->name = strdup(l->words[1]);
        if (!m->name)
                return -ENOMEM;

        for (size_t i = 2; i < l->n_words; i++)
                if (strlist_add(&m->parameters, l->words[i]) < 0)
                        return -ENOMEM;

        c->open_macro = m;
        return 1;
}

/* Returns the index of the longest parameter that @s begins with, or the number of parameters. */
static size_t macro_find_parameter(const HttpdMacro *m, const char *s) {
        size_t found = m->parameters.n_items, n = 0;

        for (size_t i = 0; i < m->parameters.n_items; i++)
                if (startswith(s, m->parameters.items[i]) && strlen(m->parameters.items[i]) > n) {
                        found = i;
                        n = strlen(m->parameters.items[i]);
                }

        return found;
}

bool httpd_macro_line(const HttpdMacro *m, char *const *values, size_t i_line, char ret[static HTTPD_LINE_MAX]) {
        const char *line = m->lines.items[i_line];
        size_t n = 0;

        while (*line) {
                size_t i = macro_find_parameter(m, line);
                bool is_value = i < m->parameters.n_items, has_quotes = is_value && *line == '@';
                const char *from = is_value ? values[i] : line, *quote = has_quotes ? "\"" : "";
                size_t k = is_value ? strlen(from) : 1;

                if (k + 2 * has_quotes >= HTTPD_LINE_MAX - n)
                        break;

                n += (size_t) snprintf(ret + n, HTTPD_LINE_MAX - n, "%s%.*s%s", quote, (int) k, from, quote);
                line += is_value ? strlen(m->parameters.items[i]) : 1;
        }

        ret[n] = '\0';
        return *line;
}

HttpdMacro *httpd_find_macro(const HttpdConfig *c, const HttpdLine *l) {
        HttpdMacro *m;

        if (!httpd_is(l, "Use") || l->n_words < 2)
                return NULL;

        m = macro_find(c, l->words[1]);
        if (m && m->parameters.n_items == l->n_words - 2 && !m->is_open && c->depth < HTTPD_DEPTH_MAX)
                return m;

        if (m)
                httpd_say(c, &l->place, "The macro %.*s has another number of parameters, or uses itself; its lines "
                                        "are missing here.", HTTPD_SHOWN(l->words[1]));
        else
                httpd_say(c, &l->place, "No line before defines the macro %.*s; its lines are missing here.",
                          HTTPD_SHOWN(l->words[1]));
        return NULL;
}
