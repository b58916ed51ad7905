/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Makes the units of a worker live, and takes them out of service. */

#include "fdpassctl/add-types.h"

/* How far add_live_begin() has come, so that it can be undone. */
typedef struct AddLive {
        bool has_loaded;          /* systemd has read the files */
        bool has_disabled_server; /* the server's own unit was disabled or stopped */
        bool has_enabled;         /* the route's unit is enabled */
} AddLive;

/*
 * Has systemd read the units, enables and starts the socket, and has a running broker read its units. Below another
 * root it enables only. Returns 0, or a negative errno after a message.
 */
int add_live_begin(const AddPlan *plan, AddLive *live);

/* Takes the units out of service again. The caller removes the files behind that. */
void add_live_undo(const AddPlan *plan, const AddLive *live);

/* Brings systemd, the server's own unit and the broker back, when the files are removed. */
void add_live_restore(const AddPlan *plan, const AddLive *live);

/* Removes the file of the worker's socket, which systemd leaves. */
void add_live_remove_socket(const char *name);

/* Has running brokers read their units again. Returns 0, or a negative errno after a message. */
int add_live_reload_brokers(void);
