/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A unit: its main file and its drop-ins, merged. */

#include "config/unit-path.h"

/* The files, and what is in them, belong to the UnitPath that the unit was loaded from: it must stay longer. */
typedef struct Unit {
        char id[UNIT_NAME_SIZE]; /* its own name, whatever alias it was loaded by */
        UnitName name;           /* the same, taken apart */

        UnitFile **files; /* the main file, then the drop-ins in the order in which they take effect */
        size_t n_files;

        Assignment **assignments; /* of all of them: later ones override or extend earlier ones */
        size_t n_assignments;

        bool has_fdpass; /* one of the files has a section [X-FDPass] */
        bool broken;     /* one of the files can't be understood: an error was reported */
} Unit;

/* unit_load() */
enum {
        UNIT_MISSING = 1, /* there is no file for it */
        UNIT_MASKED,
};

/*
 * Loads the unit @name. What is wrong with its files goes to the reporter of @path. Returns 0, a condition
 * above, or a negative errno (see errno_is_fatal()).
 */
int unit_load(const UnitPath *path, const char *name, Unit **ret);

Unit *unit_free(Unit *unit);
DEFINE_CLEANUP(Unit *, unit_free);

/* The path of the main file. */
static inline const char *unit_main_path(const Unit *unit) {
        return unit->files[0]->path;
}
