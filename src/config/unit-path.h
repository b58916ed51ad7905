/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The unit load path of the system manager (systemd.unit(5), "Unit File Load Path"), and which file in it
 * stands for which unit.
 */

#include "config/directory.h"
#include "config/report.h"
#include "config/unit-name.h"

/* One more name of the unit, or of the template, @of. */
typedef struct UnitAlias {
        char of[UNIT_NAME_SIZE];
        const char *name;
} UnitAlias;

typedef struct UnitPath {
        int root_fd;        /* borrowed, like the reporter */
        Reporter *reporter;
        Directory **directories; /* the ones that exist, highest priority first */
        size_t n_directories;
        EntryList units;         /* of each name the entry that counts, with ->alias_of */
        UnitAlias *aliases; /* sorted by unit, then by name */
        size_t n_aliases;
} UnitPath;

/*
 * Reads the directories of the load path below @root_fd. One that can't be read, though it exists, is an error
 * to @reporter. Returns 0 or a negative errno (see errno_is_fatal()).
 */
int unit_path_new(int root_fd, Reporter *reporter, UnitPath **ret);

UnitPath *unit_path_free(UnitPath *p);
DEFINE_CLEANUP(UnitPath *, unit_path_free);

/*
 * The file of the unit @name: its own, or that of the unit it is an alias of, or that of the template. NULL
 * where there is none. The unit's own name, which several aliases share, is written to @ret_id.
 */
DirectoryEntry *unit_path_find(const UnitPath *p, const char *name, char ret_id[static UNIT_NAME_SIZE]);

/*
 * Appends all names of the unit that unit_path_find() has named @id and found @entry for: that one first, then
 * its aliases. Returns 0 or -ENOMEM.
 */
int unit_path_names(const UnitPath *p, const char *id, const DirectoryEntry *entry, StringList *names);

/*
 * Lists the units that @target wants or requires by links in its directories, sorted and each once. An entry
 * that is no such link is a warning to the reporter. Returns 0 or a negative errno (see errno_is_fatal()).
 */
int unit_path_wanted(const UnitPath *p, const char *target, StringList *wanted);
