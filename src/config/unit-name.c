/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/unit-name.h"

#include <stdio.h>

static bool unit_name_is_type(const char *s) {
        static const char *const types[] = {
                "automount", "device", "mount",  "path",   "scope", "service",
                "slice",     "socket", "swap",   "target", "timer",
        };

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (streq(s, types[i]))
                        return true;

        return false;
}

static bool unit_name_is_character(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c != '\0' && strchr(":-_.\\@", c));
}

bool unit_name_parse(const char *name, UnitName *ret) {
        const char *dot = strrchr(name, '.'), *at;

        if (!dot || dot == name || strlen(name) > UNIT_NAME_MAX || !unit_name_is_type(dot + 1))
                return false;

        for (const char *p = name; p < dot; p++)
                if (!unit_name_is_character(*p))
                        return false;

        at = memchr(name, '@', (size_t) (dot - name));
        if (at == name)
                return false;

        *ret = (UnitName){
                .name = name,
                .kind = !at ? UNIT_NAME_PLAIN : at + 1 == dot ? UNIT_NAME_TEMPLATE : UNIT_NAME_INSTANCE,
                .n_prefix = (size_t) ((at ? at : dot) - name),
                .n_stem = (size_t) (dot - name),
                .instance = at ? at + 1 : "",
                .n_instance = at ? (size_t) (dot - at - 1) : 0,
                .type = dot + 1,
        };
        return true;
}

void unit_name_template(const UnitName *name, char ret[static UNIT_NAME_SIZE]) {
        (void) snprintf(ret, UNIT_NAME_SIZE, "%.*s@.%s", (int) name->n_prefix, name->name, name->type);
}

bool unit_name_instantiate(const UnitName *template, const UnitName *instance, char ret[static UNIT_NAME_SIZE]) {
        return snprintf(ret, UNIT_NAME_SIZE, "%.*s@%.*s.%s", (int) template->n_prefix, template->name,
                        (int) instance->n_instance, instance->instance, template->type) < UNIT_NAME_SIZE;
}

/*
 * Cuts the prefix of @name after its last dash: "a-b-c.socket" becomes "a-b-.socket", then "a-.socket". The name keeps
 * its instance, but a template becomes a plain name ("a-b@.socket" becomes "a-.socket"). Returns false if no dash is
 * left.
 *
 * Follows unit_file_find_dirs() of systemd (src/shared/dropin.c) in two special cases: it skips one dash at the end
 * ("a--.socket" becomes "a-.socket"), and it ignores a dash at the beginning.
 */
static bool unit_name_cut_prefix(char name[static UNIT_NAME_SIZE]) {
        const char *dash, *rest;
        bool has_skipped = false;
        UnitName u;
        size_t n;

        if (!unit_name_parse(name, &u))
                return false;

        n = u.n_prefix;
        for (;;) {
                dash = memrchr(name, '-', n);
                if (!dash || dash == name)
                        return false;
                if (dash + 1 < name + n || has_skipped)
                        break;

                n--;
                has_skipped = true;
        }

        rest = name + (u.kind == UNIT_NAME_INSTANCE ? u.n_prefix : u.n_stem);
        memmove(name + (dash + 1 - name), rest, strlen(rest) + 1);
        return true;
}

/* Adds @name and its shorter prefixes. Stops at a name that is in the list, because its prefixes are in it too. */
static int unit_name_add_chain(StringList *names, char name[static UNIT_NAME_SIZE]) {
        int r;

        do {
                if (strlist_has(names, name))
                        return 0;

                r = strlist_add(names, name);
                if (r < 0)
                        return r;
        } while (unit_name_cut_prefix(name));

        return 0;
}

int unit_name_dropins(const UnitName *name, StringList *names) {
        char current[UNIT_NAME_SIZE], template[UNIT_NAME_SIZE];
        int r;

        (void) snprintf(current, sizeof(current), "%s", name->name);

        do {
                UnitName u;

                r = strlist_add(names, current);
                if (r < 0)
                        return r;

                if (unit_name_parse(current, &u) && u.kind == UNIT_NAME_INSTANCE) {
                        unit_name_template(&u, template);
                        r = unit_name_add_chain(names, template);
                        if (r < 0)
                                return r;
                }
        } while (unit_name_cut_prefix(current));

        return 0;
}
