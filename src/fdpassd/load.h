/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading the units for the broker, and telling the log what is wrong with them. */

#include "control/control.h"

typedef struct Loader {
        Broker *broker;
        const char *root;  /* the directory that stands for "/" */
        LoadReport report; /* what was found the last time; loader_done() frees it */
} Loader;

void loader_done(Loader *l);

/* The first time: what is right is used, what is wrong is logged. Logs its errors. */
int load_routes(Loader *l);

/* Again: all of it, or, where anything is wrong, nothing: the old routes stay. Logs its errors. */
void reload_routes(Loader *l);
