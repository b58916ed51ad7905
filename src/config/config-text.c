/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Worker's units that are not in the load path: a text, and the names of the keys. */

#include <stdio.h>

#include "config/config.h"
#include "config/route-config.h"

static int config_text_set_unit(Unit *u, const char *name, UnitFile *file) {
        (void) snprintf(u->id, sizeof(u->id), "%s", name);
        if (!unit_name_parse(u->id, &u->name))
                return -EINVAL;

        u->files = calloc(1, sizeof(*u->files));
        u->assignments = calloc(MAX(file->n_assignments, (size_t) 1), sizeof(*u->assignments));
        if (!u->files || !u->assignments)
                return -ENOMEM;

        u->files[u->n_files++] = file;
        for (size_t i = 0; i < file->n_assignments; i++)
                u->assignments[u->n_assignments++] = &file->assignments[i];
        u->has_fdpass = file->has_fdpass;
        u->is_broken = file->is_broken;
        return 0;
}

static void config_text_report(Reporter *reporter, const char *name, const UnitFile *file) {
        for (size_t i = 0; i < file->n_findings; i++)
                reporter_say(reporter, file->findings[i].severity, name, file->path, file->findings[i].line, "%s",
                             file->findings[i].message);
}

static int config_text_read_route(Reporter *reporter, const Unit *unit) {
        ConfigContext c = {
                .reporter = reporter,
                .unit = unit,
                .specifiers = { .unit = &unit->name, .hostname = "localhost" },
        };
        RouteConfig route;
        int r;

        r = route_config_read(&c, &route);
        if (r == 0)
                route_config_done(&route);
        return r == ROUTE_NONE ? CONFIG_BAD_UNIT : r;
}

int config_check_text(const char *name, const char *path, const char *text, ConfigReport report, void *userdata) {
        Reporter reporter = { .report = report, .userdata = userdata };
        _cleanup_(unit_file_freep) UnitFile *file = NULL;
        _cleanup_(unit_freep) Unit *unit = NULL;
        size_t n = strlen(text);
        char *copy = malloc(n + 1);
        int r;

        unit = calloc(1, sizeof(*unit));
        if (!unit || !copy) {
                free(copy);
                return -ENOMEM;
        }

        memcpy(copy, text, n + 1);
        r = unit_file_parse(path, copy, n, &file);
        if (r >= 0)
                r = config_text_set_unit(unit, name, file);
        if (r < 0)
                return r;

        config_text_report(&reporter, name, file);
        return config_text_read_route(&reporter, unit);
}

int config_for_each_route_key(int (*take)(void *userdata, const char *key), void *userdata) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < config_kind_route.n_keys; i++)
                if (config_kind_route.keys[i].section == SECTION_FDPASS)
                        r = take(userdata, config_kind_route.keys[i].name);

        return r;
}
