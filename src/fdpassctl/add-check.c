/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/add-check.h"

#include <stdio.h>

#include "fdpassctl/add-units.h"
#include "fdpassctl/load-units.h"
#include "fdpassctl/options.h"
#include "fdpassctl/verify.h"

/* The lines of files that are not written yet tell nothing. */
static void add_check_report(void *userdata, ConfigSeverity severity, const char *unit, const char *path, unsigned line,
                             const char *message) {
        if (severity == CONFIG_ERROR)
                fprintf(stderr, "%s\n", message);
}

int add_check_keys(const AddPlan *plan, const AddFiles *files) {
        char unit[256];
        int r = config_check_text(add_unit_name(plan, unit), files->items[0].path, files->items[0].text,
                                  add_check_report, NULL);

        if (r < 0)
                fprintf(stderr, "Failed to check the keys: %s.\n", strerror(-r));
        return r > 0 ? -EINVAL : r;
}

/* Lists the units and files that are new. A server's own unit counts too, because it has new drop-ins. */
static int add_check_list(const AddPlan *plan, const AddFiles *files, StringList *ret) {
        char unit[256];
        int r = strlist_add(ret, add_unit_name(plan, unit));

        for (size_t i = 0; r >= 0 && i < files->n_items; i++) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s/%s", ADD_DIRECTORY, files->items[i].path) < 0)
                        path = NULL;
                r = path ? strlist_add(ret, path) : -ENOMEM;
        }

        return r;
}

/* Tells of another unit with the same match keys, because two units then share their clients. */
static void add_check_pool(const Config *config, const RouteConfig *route) {
        for (size_t i = 0; i < config->n_routes; i++)
                if (&config->routes[i] != route && match_compare(&config->routes[i].match, &route->match) == 0) {
                        fprintf(stderr, "Note: %s has the same match keys, so both share these clients.\n",
                                config->routes[i].unit);
                        return;
                }
}

Config *add_check_units(const AddPlan *plan, const AddFiles *files) {
        _cleanup_(config_freep) Config *config = NULL;
        _cleanup_strlist_ StringList only = {};
        const RouteConfig *route;
        char unit[256];

        if (add_check_list(plan, files, &only) < 0) {
                fprintf(stderr, "Out of memory.\n");
                return NULL;
        }

        load_only = &only;
        config = load_units_and_lint_with(add_unit_name(plan, unit));
        if (config && verify_config(config) < 0)
                config = config_free(config);
        load_only = NULL;

        route = config ? load_find_route(config, unit) : NULL;
        if (config && (load_n_errors > 0 || !route)) {
                fprintf(stderr, "The new units have errors. Nothing was changed.\n");
                return NULL;
        }

        if (route && !arg_quiet)
                add_check_pool(config, route);
        return TAKE_PTR(config);
}
