/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "control/dbus-append.h"

#include <stdarg.h>

#include "basic/utf8.h"

static void dbus_note(DBusWriter *w, int r) {
        if (r < 0)
                w->error = r;
}

DBusWriter dbus_begin_reply(sd_bus_message *call) {
        DBusWriter w = {};

        dbus_note(&w, sd_bus_message_new_method_return(call, &w.message));
        return w;
}

DBusWriter dbus_begin_signal(sd_bus *bus, const char *path, const char *interface, const char *member) {
        DBusWriter w = {};

        dbus_note(&w, sd_bus_message_new_signal(bus, &w.message, path, interface, member));
        return w;
}

int dbus_send(DBusWriter *w) {
        if (w->error >= 0)
                dbus_note(w, sd_bus_send(NULL, w->message, NULL));

        w->message = sd_bus_message_unref(w->message);
        return w->error < 0 ? w->error : 1;
}

void dbus_append(DBusWriter *w, const char *types, ...) {
        va_list ap;

        if (w->error < 0)
                return;

        va_start(ap, types);
        dbus_note(w, sd_bus_message_appendv(w->message, types, ap));
        va_end(ap);
}

void dbus_open(DBusWriter *w, char type, const char *contents) {
        if (w->error >= 0)
                dbus_note(w, sd_bus_message_open_container(w->message, type, contents));
}

void dbus_close(DBusWriter *w) {
        if (w->error >= 0)
                dbus_note(w, sd_bus_message_close_container(w->message));
}

static const char *dbus_shown(const char *s) {
        return utf8_is_valid(s) ? s : "?";
}

void dbus_entry_string(DBusWriter *w, const char *name, const char *value) {
        if (value)
                dbus_append(w, "{sv}", name, "s", dbus_shown(value));
}

void dbus_entry_number(DBusWriter *w, const char *name, uint64_t value) {
        dbus_append(w, "{sv}", name, "t", value);
}

void dbus_entry_integer(DBusWriter *w, const char *name, int64_t value) {
        dbus_append(w, "{sv}", name, "x", value);
}

void dbus_entry_bool(DBusWriter *w, const char *name, bool value) {
        dbus_append(w, "{sv}", name, "b", (int) value);
}

static void dbus_open_entry(DBusWriter *w, const char *name, const char *type) {
        dbus_open(w, 'e', "sv");
        dbus_append(w, "s", name);
        dbus_open(w, 'v', type);
}

static void dbus_close_entry(DBusWriter *w) {
        dbus_close(w);
        dbus_close(w);
}

void dbus_entry_strings(DBusWriter *w, const char *name, char **values) {
        if (!values)
                return;

        dbus_open_entry(w, name, "as");
        dbus_open(w, 'a', "s");
        for (; *values; values++)
                dbus_append(w, "s", dbus_shown(*values));
        dbus_close(w);
        dbus_close_entry(w);
}

void dbus_append_counts(DBusWriter *w, const uint64_t *counts, unsigned n, DBusNameOf name_of) {
        dbus_open(w, 'a', "{st}");
        for (unsigned i = 0; i < n; i++)
                if (counts[i] > 0)
                        dbus_append(w, "{st}", name_of(i), counts[i]);
        dbus_close(w);
}

void dbus_entry_counts(DBusWriter *w, const char *name, const uint64_t *counts, unsigned n, DBusNameOf name_of) {
        dbus_open_entry(w, name, "a{st}");
        dbus_append_counts(w, counts, n, name_of);
        dbus_close_entry(w);
}

void dbus_entry_series(DBusWriter *w, const char *name, const uint64_t *counts, unsigned n) {
        dbus_open_entry(w, name, "at");
        if (w->error >= 0)
                dbus_note(w, sd_bus_message_append_array(w->message, 't', counts, n * sizeof(*counts)));
        dbus_close_entry(w);
}
