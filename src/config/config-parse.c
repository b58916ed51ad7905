/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/config-parse.h"

#include <stdarg.h>
#include <stdio.h>

#include "basic/parse.h"
#include "basic/utf8.h"

/* Messages show at most this many bytes of a value. */
#define SHOWN_MAX 80

void config_error(ConfigContext *c, const Assignment *a, const char *format, ...) {
        char message[512];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);

        c->has_failed = true;
        reporter_say(c->reporter, CONFIG_ERROR, c->unit->id, a->path, a->line, "%s", message);
}

void config_bad_value(ConfigContext *c, const Assignment *a, const char *format, ...) {
        size_t shown = utf8_cut(a->value, SHOWN_MAX);
        char wanted[256];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(wanted, sizeof(wanted), format, ap);
        va_end(ap);

        config_error(c, a, "%s= wants %s, not \"%.*s%s\".", a->key, wanted, (int) shown, a->value,
                     a->value[shown] ? "…" : "");
}

bool config_expand(ConfigContext *c, const Assignment *a, const char *s, char ret[static VALUE_SIZE]) {
        const char *bad;

        switch (specifier_expand(s, &c->specifiers, ret, VALUE_SIZE, &bad)) {
        case 0:
                return true;

        case SPECIFIER_UNKNOWN:
                if (bad[1])
                        config_error(c, a, "%s= has the unknown specifier \"%.*s\"; write \"%%%%\" for a percent sign.",
                                     a->key, (int) utf8_cut(bad, 2), bad);
                else
                        config_error(c, a, "%s= ends with a single \"%%\"; write \"%%%%\" for a percent sign.", a->key);
                return false;

        case SPECIFIER_MALFORMED:
                config_error(c, a, "%s= has the specifier \"%.2s\", but the name %s can't be unescaped for it.",
                             a->key, bad, c->unit->id);
                return false;

        default:
                config_error(c, a, "The value of %s= is longer than %u bytes.", a->key, VALUE_SIZE - 1);
                return false;
        }
}

int config_set_string(char **field, const char *value) {
        char *copy = NULL;

        if (*value) {
                copy = strdup(value);
                if (!copy)
                        return -ENOMEM;
        }

        free(*field);
        *field = copy;
        return 0;
}

Assignment *config_last(const Unit *unit, const char *section, const char *key) {
        for (size_t i = unit->n_assignments; i > 0; i--) {
                Assignment *a = unit->assignments[i - 1];

                if (a->section == section && streq(a->key, key))
                        return a;
        }

        return NULL;
}

int config_parse_bool(ConfigContext *c, const Assignment *a, void *field) {
        if (parse_bool(a->value, field) < 0)
                config_bad_value(c, a, "\"yes\" or \"no\"");

        return 0;
}

/* Writes "\"a\", \"b\" or \"c\"". */
static void config_parse_list_choices(const char *const *choices, char *ret, size_t size) {
        size_t n = 0;

        for (size_t i = 0; choices[i] && n < size; i++)
                n += (size_t) snprintf(ret + n, size - n, "%s\"%s\"", i == 0 ? "" : choices[i + 1] ? ", " : " or ",
                                       choices[i]);
}

/* A choice between "yes", "no" and others takes every spelling of a boolean (systemd.syntax(7)). */
int config_parse_choice(ConfigContext *c, const Assignment *a, void *field) {
        const char *const *choices = c->key->choices;
        const char *word = a->value;
        char wanted[128];
        bool b;

        if (parse_bool(word, &b) >= 0)
                word = b ? "yes" : "no";

        for (size_t i = 0; choices[i]; i++)
                if (streq(word, choices[i])) {
                        if (c->key->size == sizeof(bool))
                                *(bool *) field = i > 0;
                        else
                                *(unsigned *) field = (unsigned) i;
                        return 0;
                }

        config_parse_list_choices(choices, wanted, sizeof(wanted));
        config_bad_value(c, a, "%s", wanted);
        return 0;
}

int config_parse_int(ConfigContext *c, const Assignment *a, void *field) {
        if (parse_int(a->value, field) < 0)
                config_bad_value(c, a, "a whole number");

        return 0;
}

int config_parse_unsigned(ConfigContext *c, const Assignment *a, void *field) {
        unsigned v;

        if (parse_unsigned(a->value, &v) < 0 || v < c->key->min || v > c->key->max)
                config_bad_value(c, a, "a number from %u to %u", c->key->min, c->key->max);
        else
                *(unsigned *) field = v;

        return 0;
}

int config_parse_size(ConfigContext *c, const Assignment *a, void *field) {
        uint64_t v;

        if (parse_size(a->value, &v) < 0 || v < c->key->min || v > c->key->max)
                config_bad_value(c, a, "a number of bytes from %u to %u", c->key->min, c->key->max);
        else
                *(unsigned *) field = (unsigned) v;

        return 0;
}

int config_parse_timespan(ConfigContext *c, const Assignment *a, void *field) {
        if (parse_timespan(a->value, field) < 0)
                config_bad_value(c, a, "a time span such as \"30s\" or \"infinity\"");

        return 0;
}

int config_parse_words(ConfigContext *c, const Assignment *a, const char *wants, ConfigTakeWord take, void *field) {
        char word[VALUE_SIZE], expanded[VALUE_SIZE];
        size_t n;
        int r;

        for (const char *s = a->value; *s; s += n, s += strspn(s, WHITESPACE)) {
                n = strcspn(s, WHITESPACE);
                if (n >= sizeof(word)) {
                        config_error(c, a, "A word in %s= is longer than %u bytes.", a->key, VALUE_SIZE - 1);
                        return 0;
                }

                memcpy(word, s, n);
                word[n] = '\0';

                if (!config_expand(c, a, word, expanded))
                        return 0;

                r = take(expanded, field);
                if (r < 0)
                        return r;
                if (r > 0) {
                        config_bad_value(c, a, "%s", wants);
                        return 0;
                }
        }

        return 0;
}

int config_parse_strings(ConfigContext *c, const Assignment *a, void *field) {
        if (!*a->value)
                strlist_clear(field);

        return config_parse_words(c, a, c->key->wants, c->key->take, field);
}
