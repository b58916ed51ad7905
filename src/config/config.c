/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/config.h"

#include <sys/utsname.h>

#include "basic/array.h"
#include "config/broker-config.h"
#include "config/listener-config.h"
#include "config/route-config.h"

/* Workers are enabled by a link in the directories of this unit. */
#define TARGET "fdpass.target"

/* The broker's own unit. The public sockets are enabled by a link in its directories, like workers in TARGET's … */
#define SERVICE "fdpass.service"

/* … but for the first one, which may be started without being enabled. */
#define FIRST_SOCKET "fdpass.socket"

Config *config_free(Config *config) {
        if (!config)
                return NULL;

        for (size_t i = 0; i < config->n_routes; i++)
                route_config_done(&config->routes[i]);
        free(config->routes);

        for (size_t i = 0; i < config->n_listeners; i++)
                listener_config_done(&config->listeners[i]);
        free(config->listeners);
        listener_config_done(&config->listener_default);

        free(config);
        return NULL;
}

/* Replaces the names that @target wants by those that the units have themselves: an alias is no second route. */
static int find_units(const UnitPath *path, const char *target, StringList *units) {
        _cleanup_strlist_ StringList wanted = {};
        int r;

        r = unit_path_wanted(path, target, &wanted);
        if (r < 0)
                return r;

        for (size_t i = 0; i < wanted.n_items; i++) {
                char id[UNIT_NAME_SIZE];

                if (!unit_path_find(path, wanted.items[i], id)) {
                        reporter_say(path->reporter, CONFIG_WARNING, wanted.items[i], NULL, 0,
                                     "Enabled for %s, but there is no such unit.", target);
                        continue;
                }

                r = strlist_add(units, id);
                if (r < 0)
                        return r;
        }

        strlist_sort_unique(units);
        return 0;
}

/* Adds the route of the unit @name, if it has one. */
static int load_route(Config *config, const UnitPath *path, const char *name, const char *hostname) {
        _cleanup_(unit_freep) Unit *unit = NULL;
        int r;

        r = unit_load(path, name, &unit);
        if (r == UNIT_MISSING)
                reporter_say(path->reporter, CONFIG_WARNING, name, NULL, 0,
                             "Enabled for " TARGET ", but its unit file is a link that leads nowhere.");
        if (r != 0)
                return r < 0 ? r : 0;

        r = route_config_read(path->reporter, unit, hostname, &config->routes[config->n_routes]);
        if (r < 0)
                return r;

        if (r == 0)
                config->n_routes++;

        return 0;
}

static int load_routes(Config *config, const UnitPath *path, const char *hostname) {
        _cleanup_strlist_ StringList units = {};
        int r;

        r = find_units(path, TARGET, &units);
        if (r < 0 || units.n_items == 0)
                return r;

        config->routes = calloc(units.n_items, sizeof(*config->routes));
        if (!config->routes)
                return -ENOMEM;

        for (size_t i = 0; i < units.n_items; i++) {
                r = load_route(config, path, units.items[i], hostname);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int load_listener(Config *config, const UnitPath *path, const char *name, const char *hostname) {
        _cleanup_(unit_freep) Unit *unit = NULL;
        int r;

        r = unit_load(path, name, &unit);
        if (r != 0)
                return r < 0 ? r : 0;

        if (!streq(unit->name.type, "socket"))
                return 0;

        if (!ARRAY_GROW(config->listeners, config->n_listeners))
                return -ENOMEM;

        r = listener_config_read(path->reporter, unit, hostname, &config->listeners[config->n_listeners]);
        if (r < 0)
                return r;

        config->n_listeners++;
        return 0;
}

static int load_listeners(Config *config, const UnitPath *path, const char *hostname) {
        _cleanup_strlist_ StringList units = {};
        int r;

        r = find_units(path, SERVICE, &units);
        if (r >= 0 && !strlist_has(&units, FIRST_SOCKET))
                r = strlist_add(&units, FIRST_SOCKET);
        if (r < 0)
                return r;

        for (size_t i = 0; i < units.n_items; i++) {
                r = load_listener(config, path, units.items[i], hostname);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* Without a unit of its own, the broker has its defaults: somebody runs it by hand. */
static int load_broker(Config *config, const UnitPath *path, const char *hostname) {
        _cleanup_(unit_freep) Unit *unit = NULL;
        int r;

        config->broker = broker_config_default();

        r = unit_load(path, SERVICE, &unit);
        if (r != 0)
                return r < 0 ? r : 0;

        return broker_config_read(path->reporter, unit, hostname, &config->broker);
}

int config_load(int root_fd, ConfigReport report, void *userdata, Config **ret) {
        _cleanup_(config_freep) Config *config = calloc(1, sizeof(*config));
        _cleanup_(unit_path_freep) UnitPath *path = NULL;
        Reporter reporter = { .report = report, .userdata = userdata };
        struct utsname uts;
        int r;

        if (!config)
                return -ENOMEM;

        if (uname(&uts) < 0)
                return -errno;

        r = unit_path_new(root_fd, &reporter, &path);
        if (r < 0)
                return r;

        r = load_routes(config, path, uts.nodename);
        if (r < 0)
                return r;

        config->listener_default = listener_config_default();
        r = load_listeners(config, path, uts.nodename);
        if (r < 0)
                return r;

        r = load_broker(config, path, uts.nodename);
        if (r < 0)
                return r;

        config->n_errors = reporter.n_errors;
        *ret = TAKE_PTR(config);
        return 0;
}

int config_describe(int root_fd, const char *unit, bool is_listener, ConfigEmit emit, void *userdata) {
        _cleanup_(unit_path_freep) UnitPath *path = NULL;
        _cleanup_(unit_freep) Unit *u = NULL;
        Reporter reporter = {};
        struct utsname uts;
        int r;

        if (uname(&uts) < 0)
                return -errno;

        r = unit_path_new(root_fd, &reporter, &path);
        if (r < 0)
                return r;

        r = unit_load(path, unit, &u);
        if (r != 0)
                return r < 0 ? r : CONFIG_NO_UNIT;

        if (is_listener)
                listener_config_describe(u, uts.nodename, emit, userdata);
        else if (streq(unit, SERVICE))
                broker_config_describe(u, uts.nodename, emit, userdata);
        else
                route_config_describe(u, uts.nodename, emit, userdata);

        return 0;
}
