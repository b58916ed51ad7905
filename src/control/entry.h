/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Entries of lists, as dictionaries: a{sv}. A reader takes the names that he knows, and more may come. */

#include <systemd/sd-bus.h>

#include "basic/macro.h"

/* Each returns 0 or more, or a negative errno. What is no UTF-8 is shown as "?", and NULL left out. */
int entry_string(sd_bus_message *m, const char *name, const char *value);
int entry_number(sd_bus_message *m, const char *name, uint64_t value);
int entry_integer(sd_bus_message *m, const char *name, int64_t value);
int entry_bool(sd_bus_message *m, const char *name, bool value);
int entry_strings(sd_bus_message *m, const char *name, char **values);

/* A dictionary of names and counts: a{st}; those that are 0 are left out. */
typedef const char *(*EntryName)(unsigned i);
int entry_counts(sd_bus_message *m, const char *name, const uint64_t *counts, unsigned n, EntryName name_of);

/* Counts in their order: at. */
int entry_series(sd_bus_message *m, const char *name, const uint64_t *counts, unsigned n);

/* The inside of the dictionary: as a property's value it stands alone. */
int append_counts(sd_bus_message *m, const uint64_t *counts, unsigned n, EntryName name_of);
