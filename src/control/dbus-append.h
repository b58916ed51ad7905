/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Writes D-Bus messages. A writer remembers its first error and does nothing after it. So a function appends everything
 * it has, and only the end of the message reports the error.
 *
 * An entry is a member of a dictionary a{sv}. A reader uses the names that it knows, so new names may be added.
 */

#include <systemd/sd-bus.h>

#include "basic/macro.h"

typedef struct DBusWriter {
        sd_bus_message *message;
        int error;               /* first negative errno; 0: none */
} DBusWriter;

/*
 * Begins a reply to @call, or a signal of the object @path on @bus. The writer owns the message until dbus_send(),
 * which has to be called also after an error.
 */
DBusWriter dbus_begin_reply(sd_bus_message *call);
DBusWriter dbus_begin_signal(sd_bus *bus, const char *path, const char *interface, const char *member);

/* Queues the message on its bus and releases it. Returns 1, or the first negative errno of the writer. */
int dbus_send(DBusWriter *w);

/* Appends basic values; as sd_bus_message_append(3). */
void dbus_append(DBusWriter *w, const char *types, ...);

/* Opens a container and closes the innermost one; as sd_bus_message_open_container(3). */
void dbus_open(DBusWriter *w, char type, const char *contents);
void dbus_close(DBusWriter *w);

/* Append an entry. A string that is not UTF-8 is written as "?". A NULL string or list adds no entry. */
void dbus_entry_string(DBusWriter *w, const char *name, const char *value);
void dbus_entry_number(DBusWriter *w, const char *name, uint64_t value);
void dbus_entry_integer(DBusWriter *w, const char *name, int64_t value);
void dbus_entry_bool(DBusWriter *w, const char *name, bool value);
void dbus_entry_strings(DBusWriter *w, const char *name, char **values);

/* Returns the name of the count with index @i. */
typedef const char *(*DBusNameOf)(unsigned i);

/* Appends a dictionary a{st} of the counts above 0, as a value of its own or as an entry. */
void dbus_append_counts(DBusWriter *w, const uint64_t *counts, unsigned n, DBusNameOf name_of);
void dbus_entry_counts(DBusWriter *w, const char *name, const uint64_t *counts, unsigned n, DBusNameOf name_of);

/* Appends an entry with the array at: all @n counts in their order. */
void dbus_entry_series(DBusWriter *w, const char *name, const uint64_t *counts, unsigned n);
