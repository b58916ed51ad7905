/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The unit load path of the system manager (systemd.unit(5), "Unit File Load Path"), and the files of units in it. */

#include "config/directory.h"
#include "config/report.h"
#include "config/unit-name.h"

/* An alias of a unit or template. */
typedef struct UnitAlias {
        char of[UNIT_NAME_SIZE]; /* name of the unit or template */
        const char *name;        /* its other name; borrowed from the entry */
} UnitAlias;

typedef struct UnitPath {
        int root_fd;             /* directory that stands for "/"; borrowed */
        Reporter *reporter;      /* borrowed */
        Directory **directories; /* directories that exist, highest priority first */
        size_t n_directories;
        EntryList units;         /* for each name the entry with the highest priority; ->alias_of is set */
        UnitAlias *aliases;      /* sorted by @of, then by @name */
        size_t n_aliases;
} UnitPath;

/* The load path of systemd, highest priority first. The last member is NULL. */
extern const char *const unit_path_load_path[];

/*
 * Reads the directories of the load path below @root_fd. Reports a directory that exists and can't be read as an error.
 * Returns 0 or a negative errno (errno_is_fatal()).
 */
int unit_path_new(int root_fd, Reporter *reporter, UnitPath **ret);

UnitPath *unit_path_free(UnitPath *p);
DEFINE_CLEANUP(UnitPath *, unit_path_free);

/*
 * Returns the entry of the file of the unit @name: its own file, that of the unit it is an alias of, or that of its
 * template. NULL: there is none. Writes the unit's own name, which all its aliases share, to @ret_id.
 */
DirectoryEntry *unit_path_find(const UnitPath *p, const char *name, char ret_id[static UNIT_NAME_SIZE]);

/* Appends @id and the aliases of the unit. unit_path_find() has returned @id and @entry. Returns 0 or -ENOMEM. */
int unit_path_names(const UnitPath *p, const char *id, const DirectoryEntry *entry, StringList *names);
