/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tables of keys: one line for each key that a kind of unit may have. */

#include "config/config-parse.h"

/* A kind of unit: a worker's, a public socket's, or the broker's own. */
struct ConfigKind {
        const char *name;     /* "a worker's unit": where a misplaced key belongs */
        const ConfigKey *keys;
        size_t n_keys;
        const void *defaults; /* object that the offsets of the keys refer to */
        bool is_strict;       /* an unknown key is an error, otherwise a warning */
};

/*
 * Parses all assignments of the unit into the fields of @object, which begins as a copy of the defaults. Reports keys
 * of [X-FDPass] that are not in the table. Other sections have keys that only systemd reads, and those are skipped.
 * Returns 0, also after it reported errors (ConfigContext.has_failed), or a negative errno.
 */
int config_table_apply(const ConfigKind *kind, ConfigContext *c, void *object);

/* Emits the lines that are in effect, in the order of the table. */
void config_table_describe(const ConfigKind *kind, ConfigContext *c, ConfigEmit emit, void *userdata);
