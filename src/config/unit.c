/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/unit.h"

#include <limits.h>
#include <stdio.h>

#include "basic/array.h"

Unit *unit_free(Unit *unit) {
        if (!unit)
                return NULL;

        free(unit->files);
        free(unit->assignments);
        free(unit);
        return NULL;
}

/* Adds the drop-ins in the directory "@name.d" of the load path's directory @d. */
static int add_directory(Unit *unit, Reporter *reporter, const Directory *d, const char *name, EntryList *dropins) {
        char dropin_name[NAME_MAX + 1];
        DirectoryEntry *entry;
        Directory *listing;
        int r;

        /* A name of 254 or 255 bytes can't have such a directory. */
        if (snprintf(dropin_name, sizeof(dropin_name), "%s.d", name) > NAME_MAX)
                return 0;

        entry = directory_find(d, dropin_name);
        if (!entry)
                return 0;

        r = directory_entry_listing(entry, &listing);
        if (r < 0)
                return r;

        /* A link that leads nowhere is no directory, to systemd too. */
        if (listing->error < 0 && !errno_is_missing(listing->error)) {
                reporter_say(reporter, CONFIG_ERROR, unit->id, listing->path, 0,
                             "The drop-ins of %s can't be read: %s.", unit->id, strerror(-listing->error));
                unit->broken = true;
        }

        for (size_t i = 0; i < listing->n_entries; i++) {
                if (!endswith(listing->entries[i].name, ".conf"))
                        continue;

                r = entry_list_add(dropins, &listing->entries[i]);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* The directories for one name of the unit: all of them in /etc come before any of them in /usr/lib. */
static int add_directories(Unit *unit, const UnitPath *path, const char *name, EntryList *dropins) {
        _cleanup_strlist_ StringList names = {};
        UnitName u;
        int r;

        if (!unit_name_parse(name, &u))
                return 0;

        r = unit_name_dropins(&u, &names);
        if (r < 0)
                return r;

        for (size_t i = 0; i < path->n_directories; i++)
                for (size_t k = 0; k < names.n_items; k++) {
                        r = add_directory(unit, path->reporter, path->directories[i], names.items[k], dropins);
                        if (r < 0)
                                return r;
                }

        return 0;
}

/*
 * Collects the drop-ins as unit_file_find_dropin_paths() of systemd does (src/shared/dropin.c; systemd.unit(5)
 * tells only half of it): of all files of one name, that in the strongest directory counts, and the ones that
 * count take effect in the order of their names, whatever directories they are in. From strong to weak:
 *
 *   - for the unit's own name, the load path from its strongest directory to its weakest, and in each the
 *     directories of the name, of its template, and of the prefixes that its dashes make;
 *   - the same for each alias;
 *   - the directory of the type ("socket.d"), along the load path.
 */
static int collect_dropins(Unit *unit, const UnitPath *path, const DirectoryEntry *main, EntryList *dropins) {
        _cleanup_strlist_ StringList names = {};
        int r;

        r = unit_path_names(path, unit->id, main, &names);
        if (r < 0)
                return r;

        for (size_t i = 0; i < names.n_items; i++) {
                r = add_directories(unit, path, names.items[i], dropins);
                if (r < 0)
                        return r;
        }

        for (size_t i = 0; i < path->n_directories; i++) {
                r = add_directory(unit, path->reporter, path->directories[i], unit->name.type, dropins);
                if (r < 0)
                        return r;
        }

        entry_list_resolve(dropins);
        return 0;
}

/* An error is told for each unit that it costs its route; a warning once, whoever shares the file. */
static void report_findings(Reporter *reporter, const Unit *unit, UnitFile *f) {
        for (size_t i = 0; i < f->n_findings; i++) {
                const Finding *finding = &f->findings[i];

                if (finding->severity == CONFIG_ERROR || !f->warnings_are_out)
                        reporter_say(reporter, finding->severity, unit->id, f->path, finding->line, "%s",
                                     finding->message);
        }

        f->warnings_are_out = true;
}

static int add_file(Unit *unit, Reporter *reporter, UnitFile *f) {
        report_findings(reporter, unit, f);

        if (!ARRAY_GROW(unit->files, unit->n_files))
                return -ENOMEM;

        unit->files[unit->n_files++] = f;
        unit->broken = unit->broken || f->broken;
        unit->has_fdpass = unit->has_fdpass || f->has_fdpass;

        for (size_t i = 0; i < f->n_assignments; i++) {
                if (!ARRAY_GROW(unit->assignments, unit->n_assignments))
                        return -ENOMEM;

                unit->assignments[unit->n_assignments++] = &f->assignments[i];
        }

        return 0;
}

static int add_dropins(Unit *unit, const UnitPath *path, const DirectoryEntry *main) {
        _cleanup_(entry_list_done) EntryList dropins = {};
        int r;

        r = collect_dropins(unit, path, main, &dropins);
        if (r < 0)
                return r;

        for (size_t i = 0; i < dropins.n_items; i++) {
                UnitFile *f;

                r = directory_entry_file(dropins.items[i].entry, &f);
                if (r < 0)
                        return r;

                if (f->state != UNIT_FILE_LOADED)
                        continue;

                r = add_file(unit, path->reporter, f);
                if (r < 0)
                        return r;
        }

        return 0;
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

        r = add_file(unit, path->reporter, f);
        if (r < 0)
                return r;

        r = add_dropins(unit, path, entry);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(unit);
        return 0;
}
