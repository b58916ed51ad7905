/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Units with a section [X-FDPass] that are enabled for another target than the broker's, or not at all. */

#include <stdio.h>

#include "basic/listening.h"
#include "config/lint-checks.h"
#include "config/unit-wants.h"

/* The units whose links enable a worker and a public socket. */
#define TARGET "fdpass.target"
#define SERVICE "fdpass.service"

typedef struct LinkSearch {
        const Lint *lint;
        StringList read;      /* units that the broker reads, sorted */
        StringList listening; /* paths of the sockets on which processes listen, sorted */
} LinkSearch;

static void lint_links_done(LinkSearch *s) {
        strlist_clear(&s->read);
        strlist_clear(&s->listening);
}

/* True for a unit of the package, which needs not be enabled. */
static bool lint_links_is_shipped(const char *name) {
        static const char *const names[] = { "fdpass.socket", "fdpass.service", "fdpass-health.socket", "fdpass-hello.socket", "fdpass-redirect.target",
                                             "fdpass-tls.socket" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(name, names[i]))
                        return true;

        return false;
}

/* Adds the units that the broker reads. */
static int lint_links_add_read(const Lint *l, const char *target, StringList *read) {
        _cleanup_strlist_ StringList wanted = {};
        char id[UNIT_NAME_SIZE];
        int r;

        r = unit_wants_list(l->path, target, &wanted);
        for (size_t i = 0; r >= 0 && i < wanted.n_items; i++)
                if (unit_path_find(l->path, wanted.items[i], id))
                        r = strlist_add(read, id);

        return r;
}

static int lint_links_compare(const void *name, const void *item) {
        return strcmp(name, *(const char *const *) item);
}

/* True if the sorted list has the name. */
static bool lint_links_has(const StringList *read, const char *name) {
        return read->n_items > 0 && bsearch(name, read->items, read->n_items, sizeof(*read->items), lint_links_compare);
}

/* True if the unit is a public socket of the broker. */
static bool lint_links_is_public(const Unit *unit) {
        Assignment *a = lint_in_effect(unit, SECTION_SOCKET, "Service");

        return a && streq(a->value, SERVICE);
}

/* A service of another socket has its keys there; lint_service() checks that. */
static bool lint_links_may_be_route(const Unit *unit) {
        return unit->has_fdpass && !lint_links_is_shipped(unit->id) &&
               (streq(unit->name.type, "socket") || lint_in_effect(unit, SECTION_FDPASS, "Worker"));
}

/* Returns the line that enables the unit for @target. NULL: there is none. */
static Assignment *lint_links_find_line(const Unit *unit, const char *target) {
        static const char *const keys[] = { "WantedBy", "RequiredBy" };

        for (size_t k = 0; k < ELEMENTSOF(keys); k++) {
                Assignment *a;
                size_t i = 0;

                while ((a = lint_next(unit, SECTION_INSTALL, keys[k], &i)))
                        if (lint_has_word(a->value, target))
                                return a;
        }

        return NULL;
}

static const char *lint_links_right_target(const Unit *unit) {
        return lint_links_is_public(unit) ? SERVICE : TARGET;
}

/* @target: another one, which the unit is enabled for. */
static void lint_links_report_other(const Lint *l, const Unit *unit, const char *target) {
        Assignment *a = lint_links_find_line(unit, target);
        const char *right = lint_links_right_target(unit);

        if (a)
                lint_warn(l, unit, a, "This unit is enabled for %s and not for %s, so fdpass does not read its "
                          "[X-FDPass]; write WantedBy=%s, then systemctl reenable %s.", target, right, right, unit->id);
        else
                lint_warn_file(l, unit, LINT_LINK, "This unit is enabled for %s and not for %s, so fdpass does not "
                               "read its [X-FDPass]; write WantedBy=%s in [Install], then systemctl reenable %s.",
                               target, right, right, unit->id);
}

/* True if a process listens on the worker's socket, so the unit is started. */
static bool lint_links_is_started(const LinkSearch *s, const Unit *unit) {
        Assignment *listen = lint_listen_line(unit);
        char path[VALUE_SIZE];

        return listen && lint_expand(s->lint, unit, listen, path) && listening_has(&s->listening, path);
}

static void lint_links_report_disabled(const LinkSearch *s, const Unit *unit) {
        const char *right = lint_links_right_target(unit);
        bool is_started = lint_links_is_started(s, unit);
        char how[3 * UNIT_NAME_SIZE];

        if (lint_links_find_line(unit, right))
                (void) snprintf(how, sizeof(how), "systemctl enable --now %s", unit->id);
        else
                (void) snprintf(how, sizeof(how), "write WantedBy=%s in [Install], then systemctl enable --now %s",
                                right, unit->id);

        reporter_say(s->lint->reporter, is_started ? CONFIG_LINT : CONFIG_NOTE, unit->id, unit_main_path(unit), 0,
                     "%s is %snot enabled, so fdpass does not read its [X-FDPass]: %s.", unit->id,
                     is_started ? "started and " : "", how);
        unit->files[0]->linted |= LINT_LINK;
}

/* Checks the unit @name, unless the broker reads it. @target: what it is enabled for; NULL: nothing is known. */
static int lint_links_check(const LinkSearch *s, const char *name, const char *target) {
        const Lint *l = s->lint;
        _cleanup_(unit_freep) Unit *unit = NULL;
        char id[UNIT_NAME_SIZE];
        int r;

        if (!unit_path_find(l->path, name, id) || lint_links_has(&s->read, id) || lint_find_route(l, id))
                return 0;

        r = unit_load(l->path, id, &unit);
        if (r != 0)
                return r < 0 ? r : 0;

        if (!lint_links_may_be_route(unit))
                return 0;

        if (target)
                lint_links_report_other(l, unit, target);
        else if (unit->name.kind == UNIT_NAME_PLAIN && !(unit->files[0]->linted & LINT_LINK))
                lint_links_report_disabled(s, unit);

        /* The second pass sees the unit again, without a target. */
        unit->files[0]->linted |= LINT_LINK;
        return 0;
}

/* Checks the units that the directory "@target.wants" or "@target.requires" links to. */
static int lint_links_check_target(const LinkSearch *s, DirectoryEntry *entry) {
        const char *suffix = endswith(entry->name, ".wants") ?: endswith(entry->name, ".requires");
        char target[UNIT_NAME_SIZE];
        Directory *listing;
        UnitName u;
        int r;

        if (!suffix)
                return 0;

        (void) snprintf(target, sizeof(target), "%.*s", (int) (suffix - entry->name), entry->name);
        if (!unit_name_parse(target, &u) || streq(target, TARGET) || streq(target, SERVICE))
                return 0;

        r = directory_entry_listing(entry, &listing);
        for (size_t i = 0; r >= 0 && i < listing->n_entries; i++)
                r = lint_links_check(s, listing->entries[i].name, target);

        return r;
}

int lint_links(const Lint *l) {
        _cleanup_(lint_links_done) LinkSearch s = { .lint = l };
        const UnitPath *path = l->path;
        int r;

        r = lint_links_add_read(l, TARGET, &s.read);
        if (r >= 0)
                r = lint_links_add_read(l, SERVICE, &s.read);
        strlist_sort_unique(&s.read);

        /* Another root has no processes. */
        if (r >= 0 && listening_list(path->root_fd, &s.listening) == -ENOMEM)
                r = -ENOMEM;

        for (size_t i = 0; r >= 0 && i < path->n_directories; i++)
                for (size_t k = 0; r >= 0 && k < path->directories[i]->n_entries; k++)
                        r = lint_links_check_target(&s, &path->directories[i]->entries[k]);
        for (size_t i = 0; r >= 0 && i < path->units.n_items; i++)
                r = lint_links_check(&s, path->units.items[i].entry->name, NULL);

        return r;
}
