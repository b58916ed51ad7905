/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asks the service manager (PID 1) about units. No function prints an error: what is not known is not shown. */

#include <systemd/sd-bus.h>

#include "fdpassctl/value.h"

/*
 * Connects to the service manager: root by its private socket, other users by the system bus. Returns 0 or a negative
 * errno.
 */
int manager_open(sd_bus **ret);

/*
 * Gets properties of a unit as a dictionary: LoadState, ActiveState, SubState, Result, UnitFileState, ExecMainStatus,
 * NRestarts, Triggers and TriggeredBy. A unit that is not loaded yet is loaded; one without a file has
 * the LoadState "not-found". @manager may be NULL: then *ret is empty. Returns 0 or a negative errno.
 */
int manager_get_unit(sd_bus *manager, const char *unit, Value *ret);

/* True if a file of the unit was changed since the manager has read it (NeedDaemonReload=). */
bool manager_needs_reload(sd_bus *manager, const char *unit);

/*
 * Returns the reason for which a start of @unit failed last, from the journal: "Failed to listen on sockets: Address
 * already in use". NULL: it has none, or the user may not read it. The caller frees the text.
 */
char *manager_find_reason(const char *unit);

/*
 * Writes to @ret how the unit is: "active (running)", "failed (exit-code 203: the program can't be executed)". @ret is
 * "" if nothing is known.
 */
void manager_describe(const Value *unit, char *ret, size_t size);
