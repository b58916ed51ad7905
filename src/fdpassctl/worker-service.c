/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/worker-service.h"

#include <stdio.h>

bool worker_service_has(const Unit *service, const char *key, const char *first, const char *second) {
        bool has = false;

        for (size_t i = 0; i < service->n_assignments; i++) {
                const Assignment *a = service->assignments[i];

                if (a->section == SECTION_SERVICE && streq(a->key, key))
                        has = *a->value && (has || (strstr(a->value, first) && strstr(a->value, second)));
        }

        return has;
}

int worker_service_load(const UnitPath *path, const RouteConfig *route, Unit **ret) {
        _cleanup_(unit_freep) Unit *socket = NULL;
        char name[UNIT_NAME_SIZE];
        int r;

        *ret = NULL;
        r = unit_load(path, route->unit, &socket);
        if (r != 0 || !streq(socket->name.type, "socket"))
                return MIN(r, 0);

        (void) snprintf(name, sizeof(name), "%.*s.service", (int) socket->name.n_stem, socket->name.name);
        for (size_t i = 0; i < socket->n_assignments; i++) {
                const Assignment *a = socket->assignments[i];

                if (a->section == SECTION_SOCKET && streq(a->key, "Accept"))
                        return 0;
                if (a->section == SECTION_SOCKET && streq(a->key, "Service"))
                        (void) snprintf(name, sizeof(name), "%s", a->value);
        }

        r = unit_load(path, name, ret);
        return MIN(r, 0);
}
