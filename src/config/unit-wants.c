/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Follows process_deps() of systemd (src/core/load-dropin.c). */

#include "config/unit-wants.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>

static void unit_wants_ignore(const UnitPath *p, const DirectoryEntry *entry, const char *why) {
        char path[PATH_MAX];

        (void) snprintf(path, sizeof(path), "%s/%s", entry->directory->path, entry->name);
        reporter_say(p->reporter, CONFIG_WARNING, entry->name, path, 0, "The entry is ignored: %s.", why);
}

static int unit_wants_add(const UnitPath *p, const DirectoryEntry *entry, StringList *wanted) {
        bool masked;
        UnitName u;
        int r;

        r = directory_entry_is_masked(entry, &masked);
        if (r < 0)
                return r;

        if (masked)
                return 0;

        if (!unit_name_parse(entry->name, &u))
                unit_wants_ignore(p, entry, "it is not named like a unit");
        else if (u.kind == UNIT_NAME_TEMPLATE)
                unit_wants_ignore(p, entry, "it names a template without an instance");
        else if (entry->type != DT_LNK)
                unit_wants_ignore(p, entry, "it is not a symbolic link");
        else
                return strlist_add(wanted, entry->name);

        return 0;
}

/* Adds the entries of the directory @name in the directory @d of the load path. */
static int unit_wants_list_links(const UnitPath *p, const Directory *d, const char *name, EntryList *links) {
        DirectoryEntry *entry = directory_find(d, name);
        Directory *listing;
        int r;

        if (!entry)
                return 0;

        r = directory_entry_listing(entry, &listing);
        if (r < 0)
                return r;

        if (listing->error < 0 && !errno_is_missing(listing->error))
                reporter_say(p->reporter, CONFIG_ERROR, NULL, listing->path, 0, "The directory can't be read: %s.",
                             strerror(-listing->error));

        for (size_t i = 0; r >= 0 && i < listing->n_entries; i++)
                r = entry_list_add(links, &listing->entries[i]);

        return r;
}

static int unit_wants_collect(const UnitPath *p, const char *target, const char *suffix, StringList *wanted) {
        _cleanup_(entry_list_done) EntryList links = {};
        char name[NAME_MAX + 1];
        int r = 0;

        (void) snprintf(name, sizeof(name), "%s.%s", target, suffix);

        for (size_t i = 0; r >= 0 && i < p->n_directories; i++)
                r = unit_wants_list_links(p, p->directories[i], name, &links);
        entry_list_resolve(&links);
        for (size_t i = 0; r >= 0 && i < links.n_items; i++)
                r = unit_wants_add(p, links.items[i].entry, wanted);

        return r;
}

int unit_wants_list(const UnitPath *p, const char *target, StringList *wanted) {
        int r;

        /* The two are separate, because a unit that is masked in .wants may still be in .requires. */
        r = unit_wants_collect(p, target, "wants", wanted);
        if (r >= 0)
                r = unit_wants_collect(p, target, "requires", wanted);

        strlist_sort_unique(wanted);
        return r;
}
