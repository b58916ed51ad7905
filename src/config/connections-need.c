/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/connections-need.h"

int connections_need_set(ConnectionsNeed *need, const Unit *unit, const char *key) {
        const Assignment *a = config_last(unit, SECTION_FDPASS, key);

        if (!a) /* a value that was set otherwise, and that no unit sets */
                return 0;

        need->path = strdup(a->path);
        if (!need->path)
                return -ENOMEM;

        need->key = key;
        need->line = a->line;
        return 0;
}
