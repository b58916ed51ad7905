/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The service behind a worker's socket: the lines that keep what it is handed from leading anywhere else. */

#include "config/lint.h"

#include <stdio.h>

#include "basic/parse.h"
#include "config/config-table.h"

/* The groups of systemd.exec(5) that the calls below are in. */
static const char *const groups[] = { "@network-io", "@system-service", "@known" };

static bool is_on(const Unit *unit, const char *key) {
        Assignment *a = config_last(unit, SECTION_SERVICE, key);
        bool v;

        return a && parse_bool(a->value, &v) >= 0 && v;
}

static bool has_word(const char *list, const char *word) {
        size_t n = strlen(word), m;

        for (const char *p = list + strspn(list, " \t"); *p; p += strspn(p, " \t")) {
                m = strcspn(p, " \t");
                /* "connect:EPERM" names an error as well. */
                if (m >= n && memcmp(p, word, n) == 0 && (m == n || p[n] == ':'))
                        return true;
                p += m;
        }

        return false;
}

/* RestrictNamespaces= is a boolean, or a list of those that are allowed, or forbidden. */
static bool forbids_user_namespaces(const Unit *unit) {
        Assignment *a = config_last(unit, SECTION_SERVICE, "RestrictNamespaces");
        bool v;

        if (!a || !*a->value)
                return false;
        if (parse_bool(a->value, &v) >= 0)
                return v;

        return a->value[0] == '~' ? has_word(a->value + 1, "user") : !has_word(a->value, "user");
}

static bool names_call(const char *list, const char *call) {
        bool r = has_word(list, call);

        for (size_t i = 0; !r && i < ELEMENTSOF(groups); i++)
                r = has_word(list, groups[i]);

        return r;
}

/* Reads all lines of SystemCallFilter= as systemd does: the first one says whether the list is of what is allowed. */
static bool forbids_call(const Unit *unit, const char *call) {
        bool is_empty = true, forbidden = false;

        for (size_t i = 0; i < unit->n_assignments; i++) {
                const Assignment *a = unit->assignments[i];
                bool inverted = a->value[0] == '~';

                if (a->section != SECTION_SERVICE || !streq(a->key, "SystemCallFilter"))
                        continue;

                if (!*a->value || is_empty)
                        forbidden = *a->value && !inverted;
                is_empty = !*a->value;
                if (names_call(a->value + inverted, call))
                        forbidden = inverted;
        }

        return forbidden;
}

/* A unit that names this call has a program that confines itself: see fdpass_confine(). */
static bool confines_itself(const Unit *unit) {
        for (size_t i = 0; i < unit->n_assignments; i++) {
                const Assignment *a = unit->assignments[i];

                if (a->section == SECTION_SERVICE && streq(a->key, "SystemCallFilter") && has_word(a->value, "landlock_restrict_self"))
                        return true;
        }

        return false;
}

typedef struct Lacks {
        char text[256];
        size_t n;
} Lacks;

static void lacks_add(Lacks *l, const char *separator, const char *what) {
        int n = snprintf(l->text + l->n, sizeof(l->text) - l->n, "%s%s", separator, what);

        l->n = MIN(l->n + (size_t) MAX(n, 0), sizeof(l->text) - 1);
}

static void lacks_line(Lacks *l, bool is_there, const char *line) {
        if (!is_there)
                lacks_add(l, l->n > 0 ? ", " : "", line);
}

static void lacks_calls(Lacks *l, const Unit *service) {
        static const char *const calls[] = { "connect", "bind", "listen" };
        bool is_first = true;

        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                if (forbids_call(service, calls[i]) || (i < 2 && confines_itself(service)))
                        continue;
                if (is_first)
                        lacks_line(l, false, "SystemCallFilter=~");
                lacks_add(l, is_first ? "" : " ", calls[i]);
                is_first = false;
        }
}

static void note_service(Reporter *reporter, const Unit *service) {
        const char *file = strrchr(unit_main_path(service), '/') + 1; /* of a template, not of an instance that is made up */
        Lacks l = {};

        lacks_line(&l, is_on(service, "PrivateNetwork"), "PrivateNetwork=yes");
        lacks_line(&l, is_on(service, "PrivateDevices"), "PrivateDevices=yes");
        lacks_line(&l, forbids_user_namespaces(service), "RestrictNamespaces=yes");
        lacks_calls(&l, service);
        if (l.n > 0)
                reporter_say(reporter, CONFIG_NOTE, service->id, unit_main_path(service), 0,
                             "%s lacks %s: SECURITY in fdpass(7) says what for, LintSandbox=no in the worker's unit ends this note.",
                             file, l.text);
}

/* Service=, or what systemd starts without it: the unit of the same name, and with Accept=yes an instance of its template. */
static bool service_name(const Unit *socket, char ret[static UNIT_NAME_SIZE]) {
        const SpecifierContext specifiers = { .unit = &socket->name, .hostname = "" };
        Assignment *service = config_last(socket, SECTION_SOCKET, "Service"), *accept = config_last(socket, SECTION_SOCKET, "Accept");
        bool v = false, is_template = accept && parse_bool(accept->value, &v) >= 0 && v;
        const char *bad;
        int n;

        if (service && *service->value)
                return specifier_expand(service->value, &specifiers, ret, UNIT_NAME_SIZE, &bad) == 0;

        n = snprintf(ret, UNIT_NAME_SIZE, "%.*s%s.service", (int) socket->name.n_stem, socket->name.name,
                     is_template ? "@0" : "");
        return n > 0 && n < UNIT_NAME_SIZE;
}

int lint_service(const UnitPath *path, Reporter *reporter, const Unit *socket) {
        _cleanup_(unit_freep) Unit *service = NULL;
        char name[UNIT_NAME_SIZE];
        int r;

        if (!service_name(socket, name))
                return 0;

        r = unit_load(path, name, &service);
        if (r != 0)
                return r < 0 ? r : 0; /* systemd says that it is missing */

        /* The instances of a template share the note. */
        if (!service->files[0]->is_noted)
                note_service(reporter, service);
        service->files[0]->is_noted = true;
        return 0;
}
