/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/config-table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "basic/parse.h"
#include "basic/utf8.h"
#include "config/unknown-key.h"

/* So much of a value is shown in a message. */
#define SHOWN_MAX 80

void config_error(ConfigContext *c, const Assignment *a, const char *format, ...) {
        char message[384];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);

        c->failed = true;
        reporter_say(c->reporter, CONFIG_ERROR, c->unit->id, a->path, a->line, "%s", message);
}

void config_bad_value(ConfigContext *c, const Assignment *a, const char *format, ...) {
        size_t shown = utf8_cut(a->value, SHOWN_MAX);
        char wanted[192];
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
                        config_error(c, a, "%s= has an unknown specifier: \"%.*s\".", a->key,
                                     (int) utf8_cut(bad, 2), bad);
                else
                        config_error(c, a, "%s= ends with a single \"%%\"; two make one.", a->key);
                return false;

        case SPECIFIER_MALFORMED:
                config_error(c, a, "%s= has the specifier \"%.2s\", but the name %s can't be unescaped for it.",
                             a->key, bad, c->unit->id);
                return false;

        default:
                config_error(c, a, "The value of %s= is too long.", a->key);
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

int config_parse_bool(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                      const void *fallback) {
        bool v;

        if (!*a->value)
                *(bool *) field = *(const bool *) fallback;
        else if (parse_bool(a->value, &v) < 0)
                config_bad_value(c, a, "\"yes\" or \"no\"");
        else
                *(bool *) field = v;

        return 0;
}

int config_parse_int(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                     const void *fallback) {
        int v;

        if (!*a->value)
                *(int *) field = *(const int *) fallback;
        else if (parse_int(a->value, &v) < 0)
                config_bad_value(c, a, "a whole number");
        else
                *(int *) field = v;

        return 0;
}

int config_parse_unsigned(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                          const void *fallback) {
        unsigned v;

        if (!*a->value)
                *(unsigned *) field = *(const unsigned *) fallback;
        else if (parse_unsigned(a->value, &v) < 0 || v < key->min || v > key->max)
                config_bad_value(c, a, "a number from %u to %u", key->min, key->max);
        else
                *(unsigned *) field = v;

        return 0;
}

int config_parse_timespan(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                          const void *fallback) {
        usec_t v;

        if (!*a->value)
                *(usec_t *) field = *(const usec_t *) fallback;
        else if (parse_timespan(a->value, &v) < 0)
                config_bad_value(c, a, "a time span such as \"30s\" or \"infinity\"");
        else
                *(usec_t *) field = v;

        return 0;
}

int config_parse_size(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                      const void *fallback) {
        uint64_t v;

        if (!*a->value)
                *(unsigned *) field = *(const unsigned *) fallback;
        else if (parse_size(a->value, &v) < 0 || v < key->min || v > key->max)
                config_bad_value(c, a, "a number of bytes from %u to %u", key->min, key->max);
        else
                *(unsigned *) field = (unsigned) v;

        return 0;
}

static const ConfigKey *find_key(const ConfigKeys *keys, const Assignment *a) {
        for (size_t i = 0; i < keys->n; i++)
                if (keys->keys[i].section == a->section && streq(keys->keys[i].name, a->key))
                        return &keys->keys[i];

        return NULL;
}

int config_table_apply(const ConfigKeys *keys, ConfigContext *c, void *object, const void *defaults) {
        for (size_t i = 0; i < c->unit->n_assignments; i++) {
                Assignment *a = c->unit->assignments[i];
                const ConfigKey *key = find_key(keys, a);
                int r;

                if (!key) {
                        config_unknown_key(c, keys, a);
                        continue;
                }

                r = key->parse(c, key, a, (char *) object + key->offset, (const char *) defaults + key->offset);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* The default of a key, where it is more than an empty list. */
static bool format_default(const ConfigKey *key, const void *defaults, char *ret, size_t size) {
        const void *field = (const char *) defaults + key->offset;

        if (key->parse == config_parse_int)
                (void) snprintf(ret, size, "%i", *(const int *) field);
        else if (key->parse == config_parse_unsigned || key->parse == config_parse_size)
                (void) snprintf(ret, size, "%u", *(const unsigned *) field);
        else if (key->parse == config_parse_timespan && *(const usec_t *) field == USEC_INFINITY)
                (void) snprintf(ret, size, "infinity");
        else if (key->parse == config_parse_timespan && *(const usec_t *) field % USEC_PER_SEC == 0)
                (void) snprintf(ret, size, "%" PRIu64 "s", *(const usec_t *) field / USEC_PER_SEC);
        else if (key->parse == config_parse_timespan)
                (void) snprintf(ret, size, "%" PRIu64 "us", *(const usec_t *) field);
        else if (key->shown)
                (void) snprintf(ret, size, "%s", key->shown);
        else
                return false;

        return true;
}

/* The first assignment that is still in force: what comes before the last reset is not. */
static size_t first_in_force(const ConfigKey *key, const Unit *unit) {
        size_t first = SIZE_MAX;

        for (size_t i = 0; i < unit->n_assignments; i++) {
                const Assignment *a = unit->assignments[i];

                if (a->section != key->section || !streq(a->key, key->name))
                        continue;

                if (!*a->value)
                        first = SIZE_MAX;
                else if (first == SIZE_MAX || !key->is_list)
                        first = i;
        }

        return first;
}

static void describe_key(const ConfigKey *key, ConfigContext *c, const void *defaults, ConfigEmit emit,
                         void *userdata) {
        size_t first = first_in_force(key, c->unit);
        char value[VALUE_SIZE];
        const char *bad;

        if (first == SIZE_MAX && format_default(key, defaults, value, sizeof(value)))
                emit(userdata, key->section, key->name, value, NULL, 0);

        for (size_t i = first; i < c->unit->n_assignments; i++) {
                const Assignment *a = c->unit->assignments[i];

                if (a->section != key->section || !streq(a->key, key->name))
                        continue;

                if (specifier_expand(a->value, &c->specifiers, value, sizeof(value), &bad) != 0)
                        (void) snprintf(value, sizeof(value), "%s", a->value);
                emit(userdata, key->section, key->name, value, a->path, a->line);
        }
}

void config_table_describe(const ConfigKeys *keys, ConfigContext *c, const void *defaults, ConfigEmit emit,
                           void *userdata) {
        for (size_t i = 0; i < keys->n; i++)
                describe_key(&keys->keys[i], c, defaults, emit, userdata);
}
