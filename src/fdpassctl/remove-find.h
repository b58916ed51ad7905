/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finds what fdpassctl add wrote for a name. */

#include "basic/strlist.h"

/* The files of NAME below ADD_DIRECTORY. Paths are relative to it. */
typedef struct Remove {
        const char *name;
        int directory_fd;
        StringList whole;        /* files that are unchanged */
        StringList kept;         /* files that were changed, or that belong to the units and are not add's */
        StringList directories;  /* directories of drop-ins */
        const char *enabled;     /* server's own unit that was enabled before; static. NULL: none */
        bool has_target;         /* there is NAME.target and not NAME.socket */
} Remove;

/* Looks for the files of ->name in ->directory_fd. Returns 0 or a negative errno. */
int remove_find(Remove *m);

void remove_done(Remove *m);
