/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The sandbox of a worker's service: the lines that keep a client's socket from being used to reach the network. */

#include "config/lint-service.h"

#include <stdio.h>

#include "basic/parse.h"
#include "config/config-parse.h"

/* Groups of system calls in systemd.exec(5) that contain connect, bind and listen. */
static const char *const lint_service_groups[] = { "@network-io", "@system-service", "@known" };

static bool lint_service_is_on(const Unit *unit, const char *key) {
        Assignment *a = config_last(unit, SECTION_SERVICE, key);
        bool v;

        return a && parse_bool(a->value, &v) >= 0 && v;
}

static bool lint_service_has_word(const char *list, const char *word) {
        size_t n = strlen(word), m;

        for (const char *p = list + strspn(list, WHITESPACE); *p; p += strspn(p, WHITESPACE)) {
                m = strcspn(p, WHITESPACE);
                /* An error may follow the name: "connect:EPERM". */
                if (m >= n && memcmp(p, word, n) == 0 && (m == n || p[n] == ':'))
                        return true;
                p += m;
        }

        return false;
}

/* RestrictNamespaces= is a boolean, a list of allowed kinds, or with "~" a list of forbidden ones (systemd.exec(5)). */
static bool lint_service_forbids_user_namespaces(const Unit *unit) {
        Assignment *a = config_last(unit, SECTION_SERVICE, "RestrictNamespaces");
        bool v;

        if (!a || !*a->value)
                return false;
        if (parse_bool(a->value, &v) >= 0)
                return v;

        return a->value[0] == '~' ? lint_service_has_word(a->value + 1, "user")
                                  : !lint_service_has_word(a->value, "user");
}

static bool lint_service_names_call(const char *list, const char *call) {
        bool r = lint_service_has_word(list, call);

        for (size_t i = 0; !r && i < ELEMENTSOF(lint_service_groups); i++)
                r = lint_service_has_word(list, lint_service_groups[i]);

        return r;
}

/* Combines all lines of SystemCallFilter= as systemd does: the first line decides if the list allows or forbids. */
static bool lint_service_forbids_call(const Unit *unit, const char *call) {
        bool is_empty = true, forbidden = false;

        for (size_t i = 0; i < unit->n_assignments; i++) {
                const Assignment *a = unit->assignments[i];
                bool inverted = a->value[0] == '~';

                if (a->section != SECTION_SERVICE || !streq(a->key, "SystemCallFilter"))
                        continue;

                if (!*a->value || is_empty)
                        forbidden = *a->value && !inverted;
                is_empty = !*a->value;
                if (lint_service_names_call(a->value + inverted, call))
                        forbidden = inverted;
        }

        return forbidden;
}

/* True if the filter names this call: then the program restricts itself by Landlock (fdpass_confine()). */
static bool lint_service_confines_itself(const Unit *unit) {
        for (size_t i = 0; i < unit->n_assignments; i++) {
                const Assignment *a = unit->assignments[i];

                if (a->section == SECTION_SERVICE && streq(a->key, "SystemCallFilter") &&
                    lint_service_has_word(a->value, "landlock_restrict_self"))
                        return true;
        }

        return false;
}

/* Settings that a service lacks, as the text of a note. */
typedef struct Lacks {
        char text[256];
        size_t n;
} Lacks;

static void lint_service_add_lack(Lacks *l, const char *separator, const char *what) {
        int n = snprintf(l->text + l->n, sizeof(l->text) - l->n, "%s%s", separator, what);

        l->n = MIN(l->n + (size_t) MAX(n, 0), sizeof(l->text) - 1);
}

static void lint_service_add_line(Lacks *l, bool is_there, const char *line) {
        if (!is_there)
                lint_service_add_lack(l, l->n > 0 ? ", " : "", line);
}

static void lint_service_add_calls(Lacks *l, const Unit *service) {
        static const char *const calls[] = { "connect", "bind", "listen" };
        bool is_first = true;

        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                if (lint_service_forbids_call(service, calls[i]) || (i < 2 && lint_service_confines_itself(service)))
                        continue;
                if (is_first)
                        lint_service_add_line(l, false, "SystemCallFilter=~");
                lint_service_add_lack(l, is_first ? "" : " ", calls[i]);
                is_first = false;
        }
}

static void lint_service_note(Reporter *reporter, const Unit *service) {
        /* The name of the file, because the instance of a template may be invented. */
        const char *file = strrchr(unit_main_path(service), '/') + 1;
        Lacks l = {};

        lint_service_add_line(&l, lint_service_is_on(service, "PrivateNetwork"), "PrivateNetwork=yes");
        lint_service_add_line(&l, lint_service_is_on(service, "PrivateDevices"), "PrivateDevices=yes");
        lint_service_add_line(&l, lint_service_forbids_user_namespaces(service), "RestrictNamespaces=yes");
        lint_service_add_calls(&l, service);
        if (l.n > 0)
                reporter_say(reporter, CONFIG_NOTE, service->id, unit_main_path(service), 0,
                             "%s lacks %s; see SECURITY in fdpass(7). LintSandbox=no in the worker's unit turns this "
                             "note off.", file, l.text);
}

/*
 * Writes the name of the service that systemd starts: that of Service=, otherwise the unit of the same name, or with
 * Accept=yes an instance of its template. Returns false if there is no valid name.
 */
static bool lint_service_name(const Unit *socket, char ret[static UNIT_NAME_SIZE]) {
        const SpecifierContext specifiers = { .unit = &socket->name, .hostname = "" };
        Assignment *service = config_last(socket, SECTION_SOCKET, "Service");
        Assignment *accept = config_last(socket, SECTION_SOCKET, "Accept");
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

        if (!lint_service_name(socket, name))
                return 0;

        r = unit_load(path, name, &service);
        if (r != 0)
                return r < 0 ? r : 0; /* systemd reports a missing service */

        /* The instances of a template share one note. */
        if (!service->files[0]->has_note)
                lint_service_note(reporter, service);
        service->files[0]->has_note = true;
        return 0;
}
