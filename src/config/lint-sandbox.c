/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The sandbox of a worker's service: the lines that keep a client's socket from being used to reach the network. */

#include <stdio.h>

#include "basic/parse.h"
#include "config/lint-checks.h"

/* Groups of system calls in systemd.exec(5) that contain connect, bind and listen. */
static const char *const lint_sandbox_groups[] = { "@network-io", "@system-service", "@known" };

static bool lint_sandbox_has_word(const char *list, const char *word) {
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
static bool lint_sandbox_forbids_user_namespaces(const Unit *unit) {
        Assignment *a = config_last(unit, SECTION_SERVICE, "RestrictNamespaces");
        bool v;

        if (!a || !*a->value)
                return false;
        if (parse_bool(a->value, &v) >= 0)
                return v;

        return a->value[0] == '~' ? lint_sandbox_has_word(a->value + 1, "user")
                                  : !lint_sandbox_has_word(a->value, "user");
}

static bool lint_sandbox_names_call(const char *list, const char *call) {
        bool r = lint_sandbox_has_word(list, call);

        for (size_t i = 0; !r && i < ELEMENTSOF(lint_sandbox_groups); i++)
                r = lint_sandbox_has_word(list, lint_sandbox_groups[i]);

        return r;
}

/* Combines all lines of SystemCallFilter= as systemd does: the first line decides if the list allows or forbids. */
static bool lint_sandbox_forbids_call(const Unit *unit, const char *call) {
        bool is_empty = true, forbidden = false;

        for (size_t i = 0; i < unit->n_assignments; i++) {
                const Assignment *a = unit->assignments[i];
                bool inverted = a->value[0] == '~';

                if (a->section != SECTION_SERVICE || !streq(a->key, "SystemCallFilter"))
                        continue;

                if (!*a->value || is_empty)
                        forbidden = *a->value && !inverted;
                is_empty = !*a->value;
                if (lint_sandbox_names_call(a->value + inverted, call))
                        forbidden = inverted;
        }

        return forbidden;
}

/* True if the filter names this call: then the program restricts itself by Landlock (fdpass_confine()). */
static bool lint_sandbox_confines_itself(const Unit *unit) {
        for (size_t i = 0; i < unit->n_assignments; i++) {
                const Assignment *a = unit->assignments[i];

                if (a->section == SECTION_SERVICE && streq(a->key, "SystemCallFilter") &&
                    lint_sandbox_has_word(a->value, "landlock_restrict_self"))
                        return true;
        }

        return false;
}

/* Settings that a service lacks, as the text of a note. */
typedef struct Lacks {
        char text[256];
        size_t n;
} Lacks;

static void lint_sandbox_add_lack(Lacks *l, const char *separator, const char *what) {
        int n = snprintf(l->text + l->n, sizeof(l->text) - l->n, "%s%s", separator, what);

        l->n = MIN(l->n + (size_t) MAX(n, 0), sizeof(l->text) - 1);
}

static void lint_sandbox_add_line(Lacks *l, bool is_there, const char *line) {
        if (!is_there)
                lint_sandbox_add_lack(l, l->n > 0 ? ", " : "", line);
}

static void lint_sandbox_add_calls(Lacks *l, const Unit *service) {
        static const char *const calls[] = { "connect", "bind", "listen" };
        bool is_first = true;

        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                if (lint_sandbox_forbids_call(service, calls[i]) || (i < 2 && lint_sandbox_confines_itself(service)))
                        continue;
                if (is_first)
                        lint_sandbox_add_line(l, false, "SystemCallFilter=~");
                lint_sandbox_add_lack(l, is_first ? "" : " ", calls[i]);
                is_first = false;
        }
}

void lint_sandbox(const Lint *l, const Unit *service) {
        /* The name of the file, because the instance of a template may be invented. */
        const char *file = strrchr(unit_main_path(service), '/') + 1;
        Lacks lacks = {};

        /* The instances of a template share one note. */
        if (service->files[0]->linted & LINT_SANDBOX)
                return;

        lint_sandbox_add_line(&lacks, lint_is_on(service, SECTION_SERVICE, "PrivateNetwork"), "PrivateNetwork=yes");
        lint_sandbox_add_line(&lacks, lint_is_on(service, SECTION_SERVICE, "PrivateDevices"), "PrivateDevices=yes");
        lint_sandbox_add_line(&lacks, lint_sandbox_forbids_user_namespaces(service), "RestrictNamespaces=yes");
        lint_sandbox_add_calls(&lacks, service);
        if (lacks.n > 0)
                reporter_say(l->reporter, CONFIG_NOTE, service->id, unit_main_path(service), 0,
                             "%s lacks %s; see SECURITY in fdpass(7). LintSandbox=no in the worker's unit turns this "
                             "note off.", file, lacks.text);
        service->files[0]->linted |= LINT_SANDBOX;
}
