/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A unit: its main file and its drop-ins, merged as systemd merges them. */

#include "config/unit-path.h"

/* The files and their contents belong to the UnitPath that the unit was loaded from, which must live longer. */
typedef struct Unit {
        char id[UNIT_NAME_SIZE]; /* own name of the unit, even if it was loaded by an alias */
        UnitName name;           /* prefix, instance and suffix of @id */

        UnitFile **files; /* main file, then the drop-ins in the order in which they take effect */
        size_t n_files;

        Assignment **assignments; /* assignments of all files; later ones override or extend earlier ones */
        size_t n_assignments;

        uint64_t stamp;  /* hash of all files, in their order; it differs if a file was changed, added or removed */
        bool has_fdpass; /* one of the files has a section [X-FDPass] */
        bool is_broken;  /* one of the files has an error, which was reported */
} Unit;

/* Conditions of unit_load() */
enum {
        UNIT_MISSING = 1, /* there is no file for it */
        UNIT_MASKED,      /* the file is empty or /dev/null */
};

/*
 * Loads the unit @name, which the caller frees. Findings about its files go to the reporter of @path. Returns 0, a
 * condition above, or a negative errno (errno_is_fatal()).
 */
int unit_load(const UnitPath *path, const char *name, Unit **ret);

Unit *unit_free(Unit *unit);
DEFINE_CLEANUP(Unit *, unit_free);

/* Returns the path of the main file, below the root directory. */
static inline const char *unit_main_path(const Unit *unit) {
        return unit->files[0]->path;
}
