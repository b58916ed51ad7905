/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lines about units: public sockets that the broker has not got, and changes that it has not read. */

#include <stdio.h>

#include "basic/strlist.h"
#include "config/config.h"
#include "fdpassctl/bus.h"

/*
 * Appends the socket units of the broker, sorted and each once: those that @service has as TriggeredBy=, and those that
 * are enabled in @config. @config may be NULL. Returns 0 or -ENOMEM.
 */
int problems_list_sockets(const Value *service, const Config *config, StringList *ret);

/* Writes a line for each public socket that is enabled or failed, and that the broker has not got. */
void problems_print_sockets(FILE *f, const Snapshot *s, sd_bus *manager, const Value *service, const Config *config);

/* Writes lines about units that were changed since the broker, or systemd, has read them. */
void problems_print_changes(FILE *f, const Snapshot *s, sd_bus *manager, const Config *config);
