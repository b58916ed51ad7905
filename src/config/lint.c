/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/lint.h"

#include <stdarg.h>
#include <stdio.h>

#include "basic/parse.h"

/* Limit of a message, in bytes. */
#define MESSAGE_MAX 512

static void lint_say(const Lint *l, const Unit *unit, const char *path, unsigned line, const char *format, va_list ap)
        __attribute__((format(printf, 5, 0)));
static void lint_say(const Lint *l, const Unit *unit, const char *path, unsigned line, const char *format, va_list ap) {
        char message[MESSAGE_MAX];

        (void) vsnprintf(message, sizeof(message), format, ap);
        reporter_say(l->reporter, CONFIG_LINT, unit->id, path, line, "%s", message);
}

void lint_warn(const Lint *l, const Unit *unit, Assignment *a, const char *format, ...) {
        va_list ap;

        if (a->is_reported)
                return;

        va_start(ap, format);
        lint_say(l, unit, a->path, a->line, format, ap);
        va_end(ap);
        a->is_reported = true;
}

void lint_warn_file(const Lint *l, const Unit *unit, unsigned finding, const char *format, ...) {
        va_list ap;

        if (unit->files[0]->linted & finding)
                return;

        va_start(ap, format);
        lint_say(l, unit, unit_main_path(unit), 0, format, ap);
        va_end(ap);
        unit->files[0]->linted |= finding;
}

Assignment *lint_in_effect(const Unit *unit, const char *section, const char *key) {
        Assignment *a = config_last(unit, section, key);

        return a && *a->value ? a : NULL;
}

/* An empty assignment resets the list. Returns the index after the last one. */
static size_t lint_first_in_effect(const Unit *unit, const char *section, const char *key) {
        for (size_t i = unit->n_assignments; i > 0; i--) {
                const Assignment *a = unit->assignments[i - 1];

                if (a->section == section && !*a->value && streq(a->key, key))
                        return i;
        }

        return 0;
}

Assignment *lint_next(const Unit *unit, const char *section, const char *key, size_t *i) {
        if (*i == 0)
                *i = lint_first_in_effect(unit, section, key);

        while (*i < unit->n_assignments) {
                Assignment *a = unit->assignments[(*i)++];

                if (a->section == section && streq(a->key, key))
                        return a;
        }

        return NULL;
}

bool lint_is_on(const Unit *unit, const char *section, const char *key) {
        Assignment *a = lint_in_effect(unit, section, key);
        bool v;

        return a && parse_bool(a->value, &v) >= 0 && v;
}

bool lint_has_word(const char *list, const char *word) {
        size_t n = strlen(word), m;

        for (const char *p = list + strspn(list, WHITESPACE); *p; p += m, p += strspn(p, WHITESPACE)) {
                m = strcspn(p, WHITESPACE);
                if (m == n && memcmp(p, word, n) == 0)
                        return true;
        }

        return false;
}

bool lint_expand(const Lint *l, const Unit *unit, const Assignment *a, char ret[static VALUE_SIZE]) {
        const SpecifierContext specifiers = { .unit = &unit->name, .hostname = l->hostname };
        const char *bad;

        return specifier_expand(a->value, &specifiers, ret, VALUE_SIZE, &bad) == 0;
}

void lint_words(const Lint *l, const Unit *unit, const char *key, LintWord check) {
        char value[VALUE_SIZE];
        Assignment *a;
        size_t i = 0, n;

        while ((a = lint_next(unit, SECTION_FDPASS, key, &i))) {
                if (!lint_expand(l, unit, a, value))
                        continue;

                for (char *p = value + strspn(value, WHITESPACE); *p; p += n, p += strspn(p, WHITESPACE)) {
                        n = strcspn(p, WHITESPACE);
                        if (p[n])
                                p[n++] = '\0';
                        check(l, unit, a, p);
                }
        }
}

Assignment *lint_listen_line(const Unit *unit) {
        static const char *const keys[] = { "ListenStream", "ListenSequentialPacket" };
        Assignment *a = NULL;

        for (size_t i = 0; !a && i < ELEMENTSOF(keys); i++)
                a = lint_in_effect(unit, SECTION_SOCKET, keys[i]);

        return a;
}

static int lint_compare_with_route(const void *unit, const void *route) {
        return strcmp(unit, ((const RouteConfig *) route)->unit);
}

const RouteConfig *lint_find_route(const Lint *l, const char *unit) {
        const Config *c = l->config;

        return c->n_routes == 0 ? NULL
                                : bsearch(unit, c->routes, c->n_routes, sizeof(*c->routes), lint_compare_with_route);
}

bool lint_is_for_listener(const RouteConfig *route, const LintListener *listener) {
        for (char **name = route->match.listeners; name && *name; name++)
                if (streq(*name, listener->config->name))
                        return true;

        return !route->match.listeners;
}

bool lint_has_proxy(const Lint *l, const RouteConfig *route) {
        for (size_t i = 0; i < l->n_listeners; i++)
                if (l->listeners[i].config->proxy_protocol != PROXY_PROTOCOL_NO &&
                    lint_is_for_listener(route, &l->listeners[i]))
                        return true;

        return false;
}
