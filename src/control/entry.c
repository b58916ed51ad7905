/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "control/entry.h"

#include "basic/utf8.h"

static const char *shown(const char *s) {
        return utf8_is_valid(s) ? s : "?";
}

int entry_string(sd_bus_message *m, const char *name, const char *value) {
        return value ? sd_bus_message_append(m, "{sv}", name, "s", shown(value)) : 0;
}

int entry_number(sd_bus_message *m, const char *name, uint64_t value) {
        return sd_bus_message_append(m, "{sv}", name, "t", value);
}

int entry_integer(sd_bus_message *m, const char *name, int64_t value) {
        return sd_bus_message_append(m, "{sv}", name, "x", value);
}

int entry_bool(sd_bus_message *m, const char *name, bool value) {
        return sd_bus_message_append(m, "{sv}", name, "b", (int) value);
}

/* Opens {s v of this type; two closes end it. */
static int open_entry(sd_bus_message *m, const char *name, const char *type) {
        int r;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', type);

        return r;
}

static int close_entry(sd_bus_message *m) {
        int r;

        r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_close_container(m);

        return r;
}

int entry_strings(sd_bus_message *m, const char *name, char **values) {
        int r;

        if (!values)
                return 0;

        r = open_entry(m, name, "as");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "s");
        for (char **v = values; r >= 0 && *v; v++)
                r = sd_bus_message_append_basic(m, 's', shown(*v));
        if (r >= 0)
                r = sd_bus_message_close_container(m);

        return r < 0 ? r : close_entry(m);
}

int append_counts(sd_bus_message *m, const uint64_t *counts, unsigned n, EntryName name_of) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{st}");
        for (unsigned i = 0; r >= 0 && i < n; i++)
                if (counts[i] > 0)
                        r = sd_bus_message_append(m, "{st}", name_of(i), counts[i]);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

int entry_counts(sd_bus_message *m, const char *name, const uint64_t *counts, unsigned n, EntryName name_of) {
        int r;

        r = open_entry(m, name, "a{st}");
        if (r >= 0)
                r = append_counts(m, counts, n, name_of);

        return r < 0 ? r : close_entry(m);
}

int entry_series(sd_bus_message *m, const char *name, const uint64_t *counts, unsigned n) {
        int r;

        r = open_entry(m, name, "at");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 't', counts, n * sizeof(*counts));

        return r < 0 ? r : close_entry(m);
}
