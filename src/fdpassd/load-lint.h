/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which findings of CONFIG_LINT the journal gets. Each is logged once, and not again at each reload. */

#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"

/* Limit of the findings that are logged for one load. */
#define LOAD_LINT_LOGGED_MAX 20

/* Hashes of findings, of which at most LOAD_LINT_KNOWN_MAX are kept. */
typedef struct LoadLint {
        uint64_t *before; /* of the load before this one; owned */
        size_t n_before;
        uint64_t *now;    /* of this load; owned */
        size_t n_now;
        size_t n_logged;  /* findings of this load that were logged */
        size_t n_hidden;  /* new findings of this load that were not logged, because of LOAD_LINT_LOGGED_MAX */
} LoadLint;

/* Begins with the next load. */
void load_lint_begin(LoadLint *l);

/* Returns true if the finding is to be logged. @path may be NULL. */
bool load_lint_take(LoadLint *l, const char *unit, const char *path, unsigned line, const char *message);

void load_lint_done(LoadLint *l);
