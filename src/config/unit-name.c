/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/unit-name.h"

#include <stdio.h>

static bool is_type(const char *s) {
        static const char *const types[] = {
                "automount", "device", "mount",  "path",   "scope", "service",
                "slice",     "socket", "swap",   "target", "timer",
        };

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (streq(s, types[i]))
                        return true;

        return false;
}

static bool is_name_character(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c != '\0' && strchr(":-_.\\@", c));
}

bool unit_name_parse(const char *name, UnitName *ret) {
        const char *dot = strrchr(name, '.'), *at;

        if (!dot || dot == name || strlen(name) > UNIT_NAME_MAX || !is_type(dot + 1))
                return false;

        for (const char *p = name; p < dot; p++)
                if (!is_name_character(*p))
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
 * Cuts the prefix of @name behind its last dash: "a-b-c.socket" becomes "a-b-.socket", and that "a-.socket". An
 * instance stays; of a template only the prefix does ("a-b@.socket" becomes "a-.socket"). False where no
 * dash is left.
 *
 * This is what unit_file_find_dirs() of systemd does (src/shared/dropin.c), down to its oddities: a dash at
 * the end is passed over once ("a--.socket" becomes "a-.socket"), one at the beginning does not count.
 */
static bool cut_prefix(char name[static UNIT_NAME_SIZE]) {
        const char *dash, *rest;
        bool passed = false;
        UnitName u;
        size_t n;

        if (!unit_name_parse(name, &u))
                return false;

        n = u.n_prefix;
        for (;;) {
                dash = memrchr(name, '-', n);
                if (!dash || dash == name)
                        return false;
                if (dash + 1 < name + n || passed)
                        break;

                n--;
                passed = true;
        }

        rest = name + (u.kind == UNIT_NAME_INSTANCE ? u.n_prefix : u.n_stem);
        memmove(name + (dash + 1 - name), rest, strlen(rest) + 1);
        return true;
}

/* Adds @name and what it becomes when it is cut, up to the first one that is there: so are the ones behind it. */
static int add_chain(StringList *names, char name[static UNIT_NAME_SIZE]) {
        int r;

        do {
                if (strlist_has(names, name))
                        return 0;

                r = strlist_add(names, name);
                if (r < 0)
                        return r;
        } while (cut_prefix(name));

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
                        r = add_chain(names, template);
                        if (r < 0)
                                return r;
                }
        } while (cut_prefix(current));

        return 0;
}
