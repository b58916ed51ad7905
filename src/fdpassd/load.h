/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads the units for the broker, and logs what is wrong with them. */

#include "control/control.h"
#include "fdpassd/load-lint.h"

typedef struct Loader {
        Broker *broker;    /* borrowed */
        const char *root;  /* the directory that stands for "/"; borrowed */
        LoadReport report; /* result of the last time; loader_done() frees it */
        LoadLint lint;     /* warnings of the last time; loader_done() frees it */
        LoadLint known;    /* errors and other findings of the last time, likewise */
        bool is_automatic; /* the load that goes on was not asked for */
        bool is_harmful;   /* it has an error in a unit that is in use, or in no unit */
} Loader;

void loader_done(Loader *l);

/*
 * Reads the units at the start. Units with errors are left out. Returns 0 or a negative errno, which it logs: then the
 * broker has no routes.
 */
int loader_load(Loader *l);

/*
 * Reads the units again. If any of them has an error, the old routes stay and LoadReport.has_failed is true. Logs its
 * errors.
 */
void loader_reload(Loader *l);

/*
 * Reads the units again, because one was enabled or disabled. Units with errors are left out, as at the start, because
 * they must not keep others from being routed. The old routes stay if an error is in a unit that is in use. Logs an error
 * only if the last load did not have it.
 */
void loader_reload_automatically(Loader *l);
