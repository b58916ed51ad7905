/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/unit.h"

#include <limits.h>
#include <stdio.h>

#include "basic/array.h"
#include "basic/hash.h"

Unit *unit_free(Unit *unit) {
        if (!unit)
                return NULL;

        free(unit->files);
        free(unit->assignments);
        free(unit);
        return NULL;
}

/* Adds the drop-ins in the directory "@name.d" of the load path's directory @d. */
static int unit_add_dropin_directory(Unit *unit, Reporter *reporter, const Directory *d, const char *name,
                                     EntryList *dropins) {
        char dropin_name[NAME_MAX + 1];
        DirectoryEntry *entry;
        Directory *listing;
        int r;

        /* A name of 254 or 255 bytes has no such directory, because its name would be too long. */
        if (snprintf(dropin_name, sizeof(dropin_name), "%s.d", name) > NAME_MAX)
                return 0;

        entry = directory_find(d, dropin_name);
        if (!entry)
                return 0;

        r = directory_entry_listing(entry, &listing);
        if (r < 0)
                return r;

        /* systemd ignores a link to a missing directory too. */
        if (listing->error < 0 && !errno_is_missing(listing->error)) {
                reporter_say(reporter, CONFIG_ERROR, unit->id, listing->path, 0,
                             "The drop-ins of %s can't be read: %s.", unit->id, strerror(-listing->error));
                unit->is_broken = true;
        }

        for (size_t i = 0; r >= 0 && i < listing->n_entries; i++)
                if (endswith(listing->entries[i].name, ".conf"))
                        r = entry_list_add(dropins, &listing->entries[i]);

        return r;
}

/* Adds the drop-in directories for one name of the unit. All in /etc have priority over all in /usr/lib. */
static int unit_add_dropin_directories(Unit *unit, const UnitPath *path, const char *name, EntryList *dropins) {
        _cleanup_strlist_ StringList names = {};
        UnitName u;
        int r;

        if (!unit_name_parse(name, &u))
                return 0;

        r = unit_name_dropins(&u, &names);
        for (size_t i = 0; i < path->n_directories; i++)
                for (size_t k = 0; r >= 0 && k < names.n_items; k++)
                        r = unit_add_dropin_directory(unit, path->reporter, path->directories[i], names.items[k],
                                                      dropins);

        return r;
}

/*
 * Collects the drop-ins as unit_file_find_dropin_paths() of systemd does (src/shared/dropin.c). systemd.unit(5)
 * describes only a part of the rules. Of several files with one name, the one with the highest priority is used. The
 * files take effect in the order of their names. Directories in the order of their priority:
 *
 *   1. The directories of the unit's own name, of its template, and of the prefixes that end at a dash. All of them in
 *      one directory of the load path come before those in the next.
 *   2. The same for each alias.
 *   3. The directory of the type ("socket.d") in each directory of the load path.
 */
static int unit_collect_dropins(Unit *unit, const UnitPath *path, const DirectoryEntry *main, EntryList *dropins) {
        _cleanup_strlist_ StringList names = {};
        int r;

        r = unit_path_names(path, unit->id, main, &names);
        for (size_t i = 0; r >= 0 && i < names.n_items; i++)
                r = unit_add_dropin_directories(unit, path, names.items[i], dropins);
        for (size_t i = 0; r >= 0 && i < path->n_directories; i++)
                r = unit_add_dropin_directory(unit, path->reporter, path->directories[i], unit->name.type, dropins);
        if (r < 0)
                return r;

        entry_list_resolve(dropins);
        return 0;
}

/* Reports errors for each unit, because each loses its route, and warnings once for all units that share the file. */
static void unit_report_findings(Reporter *reporter, const Unit *unit, UnitFile *f) {
        for (size_t i = 0; i < f->n_findings; i++) {
                const UnitFileFinding *finding = &f->findings[i];

                if (finding->severity == CONFIG_ERROR || !f->has_reported_warnings)
                        reporter_say(reporter, finding->severity, unit->id, f->path, finding->line, "%s",
                                     finding->message);
        }

        f->has_reported_warnings = true;
}

static int unit_add_file(Unit *unit, Reporter *reporter, UnitFile *f) {
        unit_report_findings(reporter, unit, f);

        if (!ARRAY_GROW(unit->files, unit->n_files))
                return -ENOMEM;

        unit->files[unit->n_files++] = f;
        unit->stamp = mix64(unit->stamp ^ f->stamp);
        unit->is_broken = unit->is_broken || f->is_broken;
        unit->has_fdpass = unit->has_fdpass || f->has_fdpass;

        for (size_t i = 0; i < f->n_assignments; i++) {
                if (!ARRAY_GROW(unit->assignments, unit->n_assignments))
                        return -ENOMEM;

                unit->assignments[unit->n_assignments++] = &f->assignments[i];
        }

        return 0;
}

static int unit_add_dropins(Unit *unit, const UnitPath *path, const DirectoryEntry *main) {
        _cleanup_(entry_list_done) EntryList dropins = {};
        int r;

        r = unit_collect_dropins(unit, path, main, &dropins);
        for (size_t i = 0; r >= 0 && i < dropins.n_items; i++) {
                UnitFile *f;

                r = directory_entry_file(dropins.items[i].entry, &f);
                if (r >= 0 && f->state == UNIT_FILE_LOADED)
                        r = unit_add_file(unit, path->reporter, f);
        }

        return r;
}

int unit_load(const UnitPath *path, const char *name, Unit **ret) {
        _cleanup_(unit_freep) Unit *unit = calloc(1, sizeof(*unit));
        DirectoryEntry *entry;
        UnitFile *f;
        int r;

        if (!unit)
                return -ENOMEM;

        entry = unit_path_find(path, name, unit->id);
        if (!entry || !unit_name_parse(unit->id, &unit->name))
                return UNIT_MISSING;

        r = directory_entry_file(entry, &f);
        if (r < 0)
                return r;

        if (f->state != UNIT_FILE_LOADED)
                return f->state == UNIT_FILE_MASKED ? UNIT_MASKED : UNIT_MISSING;

        r = unit_add_file(unit, path->reporter, f);
        if (r >= 0)
                r = unit_add_dropins(unit, path, entry);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(unit);
        return 0;
}
