/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/config-table.h"

#include <inttypes.h>
#include <stdio.h>

#include "basic/utf8.h"
#include "config/spelling.h"

/* Messages show at most this many bytes of a key. */
#define SHOWN_MAX 80

static const ConfigKey *config_table_find(const ConfigKind *kind, const char *section, const char *name) {
        for (size_t i = 0; i < kind->n_keys; i++)
                if (kind->keys[i].section == section && streq(kind->keys[i].name, name))
                        return &kind->keys[i];

        return NULL;
}

/* Returns the key of [X-FDPass] with the smallest distance to @name. A third of the letters, or one, may differ. */
static const char *config_table_closest(const ConfigKind *kind, const char *name) {
        size_t n = strlen(name);
        unsigned best = n < 3 ? 2 : (unsigned) n / 3 + 1;
        const char *found = NULL;

        for (size_t i = 0; i < kind->n_keys; i++) {
                const ConfigKey *key = &kind->keys[i];
                unsigned d;

                if (key->section != SECTION_FDPASS)
                        continue;

                d = spelling_distance(name, key->name);
                if (d < best) {
                        best = d;
                        found = key->name;
                }
        }

        return found;
}

/* Returns the place where a key of exactly this name belongs. NULL: it is a key of no unit. */
static const char *config_table_home(const ConfigKind *kind, const ConfigContext *c, const char *name) {
        if (config_table_find(kind, SECTION_SOCKET, name))
                return "[Socket]";

        for (size_t i = 0; c->kinds && c->kinds[i]; i++)
                if (config_table_find(c->kinds[i], SECTION_FDPASS, name))
                        return c->kinds[i]->name;

        return NULL;
}

/* Reports a key of [X-FDPass] in another section, where systemd ignores it. Most often its line is behind [Install]. */
static void config_table_report_misplaced(const ConfigKind *kind, ConfigContext *c, Assignment *a) {
        const ConfigKey *key = config_table_find(kind, SECTION_FDPASS, a->key);

        if (!key || (key->is_of_systemd && a->section == SECTION_SOCKET))
                return;

        if (kind->is_strict)
                config_error(c, a, "%s= in [%s] is ignored; it belongs into [X-FDPass].", a->key, a->section);
        else if (!a->is_reported)
                reporter_say(c->reporter, CONFIG_WARNING, c->unit->id, a->path, a->line,
                             "%s= in [%s] is ignored; it belongs into [X-FDPass].", a->key, a->section);
        a->is_reported = true;
}

/* Reports a key that units of this kind do not have, with a hint: the place where it belongs, or a similar key. */
static void config_table_report_unknown(const ConfigKind *kind, ConfigContext *c, Assignment *a) {
        int shown = (int) utf8_cut(a->key, SHOWN_MAX);
        const char *home, *closest;
        char hint[96] = "; remove it, or take a key of fdpass.unit(5).";

        if (a->section != SECTION_FDPASS) {
                config_table_report_misplaced(kind, c, a);
                return;
        }

        /* systemd accepts keys that begin with "X-" in its own sections, so they are accepted here too. */
        if (startswith(a->key, "X-"))
                return;

        home = config_table_home(kind, c, a->key);
        closest = home ? NULL : config_table_closest(kind, a->key);
        if (home)
                (void) snprintf(hint, sizeof(hint), "; it belongs into %s.", home);
        else if (closest)
                (void) snprintf(hint, sizeof(hint), "; did you mean %s=?", closest);

        if (kind->is_strict) {
                config_error(c, a, "The key \"%.*s\" in [%s] is unknown%s", shown, a->key, a->section, hint);
                return;
        }

        if (a->is_reported)
                return;

        reporter_say(c->reporter, CONFIG_WARNING, c->unit->id, a->path, a->line,
                     "The unknown key \"%.*s\" in [%s] is ignored%s", shown, a->key, a->section, hint);
        a->is_reported = true;
}

static int config_table_apply_one(const ConfigKind *kind, ConfigContext *c, const Assignment *a, void *object) {
        void *field = (char *) object + c->key->offset;

        if (!*a->value && c->key->size > 0) {
                memcpy(field, (const char *) kind->defaults + c->key->offset, c->key->size);
                return 0;
        }

        return c->key->parse(c, a, field);
}

int config_table_apply(const ConfigKind *kind, ConfigContext *c, void *object) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < c->unit->n_assignments; i++) {
                Assignment *a = c->unit->assignments[i];

                c->key = config_table_find(kind, a->section, a->key);
                if (c->key)
                        r = config_table_apply_one(kind, c, a, object);
                else
                        config_table_report_unknown(kind, c, a);
        }

        return r;
}

static void config_table_format_timespan(usec_t v, char *ret, size_t size) {
        if (v == USEC_INFINITY)
                (void) snprintf(ret, size, "infinity");
        else if (v % USEC_PER_SEC == 0)
                (void) snprintf(ret, size, "%" PRIu64 "s", v / USEC_PER_SEC);
        else
                (void) snprintf(ret, size, "%" PRIu64 "us", v);
}

/* Writes the default of a key as text. Returns false if it has none that could be shown. */
static bool config_table_format_default(const ConfigKey *key, const void *defaults, char *ret, size_t size) {
        const void *field = (const char *) defaults + key->offset;

        if (key->shown)
                (void) snprintf(ret, size, "%s", key->shown);
        else if (key->parse == config_parse_bool)
                (void) snprintf(ret, size, "%s", *(const bool *) field ? "yes" : "no");
        else if (key->parse == config_parse_choice)
                (void) snprintf(ret, size, "%s", key->choices[key->size == sizeof(bool) ? *(const bool *) field
                                                                                        : *(const unsigned *) field]);
        else if (key->parse == config_parse_int)
                (void) snprintf(ret, size, "%i", *(const int *) field);
        else if (key->parse == config_parse_unsigned || key->parse == config_parse_size)
                (void) snprintf(ret, size, "%u", *(const unsigned *) field);
        else if (key->parse == config_parse_timespan)
                config_table_format_timespan(*(const usec_t *) field, ret, size);
        else
                return false;

        return true;
}

/* Returns the index of the first assignment that is in effect. SIZE_MAX: none is, because the last one is empty. */
static size_t config_table_first_in_effect(const ConfigKey *key, const Unit *unit) {
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

static void config_table_describe_key(const ConfigKey *key, ConfigContext *c, const void *defaults, ConfigEmit emit,
                                      void *userdata) {
        size_t first = config_table_first_in_effect(key, c->unit);
        char value[VALUE_SIZE];
        const char *bad;

        if (first == SIZE_MAX && config_table_format_default(key, defaults, value, sizeof(value)))
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

void config_table_describe(const ConfigKind *kind, ConfigContext *c, ConfigEmit emit, void *userdata) {
        for (size_t i = 0; i < kind->n_keys; i++)
                config_table_describe_key(&kind->keys[i], c, kind->defaults, emit, userdata);
}
