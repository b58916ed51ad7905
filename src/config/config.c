/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/config.h"

#include <stdio.h>
#include <sys/utsname.h>

#include "basic/array.h"
#include "config/broker-config.h"
#include "config/lint.h"
#include "config/listener-config.h"
#include "config/route-config.h"
#include "config/unit-wants.h"

/* A link in the .wants or .requires directory of this unit enables a worker. */
#define TARGET "fdpass.target"

/* The broker's own unit. A link in its directories enables a public socket. */
#define SERVICE "fdpass.service"

/* The first public socket, which is read even if it is not enabled, because it may be started by hand. */
#define FIRST_SOCKET "fdpass.socket"

const char *const config_link_directories[] = {
        TARGET ".wants", TARGET ".requires", SERVICE ".wants", SERVICE ".requires", NULL,
};

static const ConfigKind *const config_kinds[] = {
        &config_kind_route, &config_kind_listener, &config_kind_broker, NULL,
};

/* The load path, and everything else that all units share. */
typedef struct ConfigSource {
        UnitPath *path;
        Reporter reporter;
        const char *also; /* unit that is read as if it were enabled; NULL: none */
        struct utsname uts; /* for the specifier %H */
} ConfigSource;

static void config_source_done(ConfigSource *s) {
        unit_path_free(s->path);
}

static int config_source_init(ConfigSource *s, int root_fd) {
        if (uname(&s->uts) < 0)
                return -errno;

        return unit_path_new(root_fd, &s->reporter, &s->path);
}

static ConfigContext config_context(ConfigSource *s, const Unit *unit) {
        return (ConfigContext){
                .reporter = &s->reporter,
                .unit = unit,
                .specifiers = { .unit = &unit->name, .hostname = s->uts.nodename },
                .kinds = config_kinds,
        };
}

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

        free(config->broker.need.path);
        free(config);
        return NULL;
}

/* Lists the units that @target wants, each once by its own name: an alias is no second route. */
static int config_find_units(const UnitPath *path, const char *target, StringList *units) {
        _cleanup_strlist_ StringList wanted = {};
        int r;

        r = unit_wants_list(path, target, &wanted);
        if (r < 0)
                return r;

        for (size_t i = 0; i < wanted.n_items; i++) {
                char id[UNIT_NAME_SIZE];

                if (!unit_path_find(path, wanted.items[i], id)) {
                        reporter_say(path->reporter, CONFIG_WARNING, wanted.items[i], NULL, 0,
                                     "Enabled for %s, but there is no such unit; install it, or remove its link.",
                                     target);
                        continue;
                }

                r = strlist_add(units, id);
                if (r < 0)
                        return r;
        }

        strlist_sort_unique(units);
        return 0;
}

/* Reports that the unit has no section. A section in the service of the same name is most likely meant for it. */
static int config_report_no_section(ConfigSource *s, const Unit *unit) {
        _cleanup_(unit_freep) Unit *service = NULL;
        char name[UNIT_NAME_SIZE], hint[UNIT_NAME_SIZE + 64] = "add one, or disable the unit";
        Reporter silent = {};
        UnitPath quiet = *s->path;
        int r = 0;

        quiet.reporter = &silent;
        if (snprintf(name, sizeof(name), "%.*s.service", (int) unit->name.n_stem, unit->name.name) < UNIT_NAME_SIZE)
                r = unit_load(&quiet, name, &service);
        if (r < 0)
                return r;
        if (service && service->has_fdpass && !streq(name, unit->id))
                (void) snprintf(hint, sizeof(hint), "%s has one, which must be here: move it", name);

        reporter_say(&s->reporter, CONFIG_WARNING, unit->id, unit_main_path(unit), 0,
                     "%s has no [X-FDPass] section, so no client is routed to it; %s.", unit->id, hint);
        return 0;
}

/* Adds the route of the unit @name, if it has one. */
static int config_load_route(Config *config, ConfigSource *s, const char *name) {
        _cleanup_(unit_freep) Unit *unit = NULL;
        ConfigContext c;
        int r;

        r = unit_load(s->path, name, &unit);
        if (r == UNIT_MISSING)
                reporter_say(&s->reporter, CONFIG_WARNING, name, NULL, 0,
                             "Enabled for " TARGET ", but its unit file is a link to a file that does not exist; "
                             "change the link.");
        if (r != 0)
                return r < 0 ? r : 0;

        if (!ARRAY_GROW(config->routes, config->n_routes))
                return -ENOMEM;

        c = config_context(s, unit);
        r = route_config_read(&c, &config->routes[config->n_routes]);
        if (r == 0)
                config->n_routes++;
        else if (r > 0 && !unit->has_fdpass && !unit->is_broken)
                r = config_report_no_section(s, unit);

        return r < 0 ? r : 0;
}

static int config_load_routes(Config *config, ConfigSource *s) {
        _cleanup_strlist_ StringList units = {};
        int r;

        r = config_find_units(s->path, TARGET, &units);
        if (r >= 0 && s->also && !strlist_has(&units, s->also)) {
                r = strlist_add(&units, s->also);
                strlist_sort_unique(&units);
        }
        for (size_t i = 0; r >= 0 && i < units.n_items; i++)
                r = config_load_route(config, s, units.items[i]);

        return r;
}

static int config_load_listener(Config *config, ConfigSource *s, const char *name, bool is_enabled) {
        _cleanup_(unit_freep) Unit *unit = NULL;
        ConfigContext c;
        int r;

        r = unit_load(s->path, name, &unit);
        if (r != 0)
                return r < 0 ? r : 0;

        if (!streq(unit->name.type, "socket"))
                return 0;

        if (!ARRAY_GROW(config->listeners, config->n_listeners))
                return -ENOMEM;

        c = config_context(s, unit);
        r = listener_config_read(&c, &config->listeners[config->n_listeners]);
        if (r < 0)
                return r;

        config->listeners[config->n_listeners++].is_enabled = is_enabled;
        return 0;
}

static int config_load_listeners(Config *config, ConfigSource *s) {
        _cleanup_strlist_ StringList units = {};
        int r;

        config->listener_default = listener_config_default();

        r = config_find_units(s->path, SERVICE, &units);
        if (r >= 0 && !strlist_has(&units, FIRST_SOCKET))
                r = config_load_listener(config, s, FIRST_SOCKET, /* is_enabled= */ false);
        for (size_t i = 0; r >= 0 && i < units.n_items; i++)
                r = config_load_listener(config, s, units.items[i], /* is_enabled= */ true);

        return r;
}

/* A broker without a unit, which was started by hand, has the defaults. */
static int config_load_broker(Config *config, ConfigSource *s) {
        _cleanup_(unit_freep) Unit *unit = NULL;
        ConfigContext c;
        int r;

        config->broker = broker_config_default();

        r = unit_load(s->path, SERVICE, &unit);
        if (r != 0)
                return r < 0 ? r : 0;

        c = config_context(s, unit);
        return broker_config_read(&c, &config->broker);
}

/* Runs the checks. They load units again, with a reporter that reports nothing, because the first load has reported all. */
static int config_lint(const Config *config, ConfigSource *s, Lint *lint) {
        Reporter silent = {};
        UnitPath quiet = *s->path;
        int r;

        quiet.reporter = &silent;
        lint->config = config;
        lint->path = &quiet;
        lint->reporter = &s->reporter;
        lint->hostname = s->uts.nodename;
        r = lint_config(lint);
        lint->path = NULL;
        return r;
}

/* @lint: what checks the units besides; NULL: nothing does. */
static int config_load_with(ConfigSource *s, int root_fd, Lint *lint, Config **ret) {
        _cleanup_(config_freep) Config *config = calloc(1, sizeof(*config));
        int r;

        if (!config)
                return -ENOMEM;

        r = config_source_init(s, root_fd);
        if (r >= 0)
                r = config_load_routes(config, s);
        if (r >= 0)
                r = config_load_listeners(config, s);
        if (r >= 0)
                r = config_load_broker(config, s);
        if (r >= 0 && lint)
                r = config_lint(config, s, lint);
        if (r < 0)
                return r;

        config->n_errors = s->reporter.n_errors;
        *ret = TAKE_PTR(config);
        return 0;
}

int config_load(int root_fd, ConfigReport report, void *userdata, Config **ret) {
        _cleanup_(config_source_done) ConfigSource s = { .reporter = { .report = report, .userdata = userdata } };

        return config_load_with(&s, root_fd, NULL, ret);
}

int config_check(int root_fd, bool sees_files, ConfigReport report, void *userdata, Config **ret) {
        return config_check_with(root_fd, sees_files, NULL, report, userdata, ret);
}

int config_check_with(int root_fd, bool sees_files, const char *unit, ConfigReport report, void *userdata,
                      Config **ret) {
        _cleanup_(config_source_done) ConfigSource s = {
                .reporter = { .report = report, .userdata = userdata },
                .also = unit,
        };
        _cleanup_(lint_done) Lint lint = { .sees_files = sees_files };

        return config_load_with(&s, root_fd, &lint, ret);
}

int config_describe(int root_fd, const char *unit, bool is_listener, ConfigEmit emit, void *userdata) {
        const ConfigKind *kind = is_listener           ? &config_kind_listener
                                 : streq(unit, SERVICE) ? &config_kind_broker
                                                        : &config_kind_route;
        _cleanup_(config_source_done) ConfigSource s = {};
        _cleanup_(unit_freep) Unit *u = NULL;
        ConfigContext c;
        int r;

        r = config_source_init(&s, root_fd);
        if (r < 0)
                return r;

        r = unit_load(s.path, unit, &u);
        if (r != 0)
                return r < 0 ? r : CONFIG_NO_UNIT;

        c = config_context(&s, u);
        config_table_describe(kind, &c, emit, userdata);
        return 0;
}

const ListenerConfig *config_listener(const Config *config, const char *name) {
        for (size_t i = 0; i < config->n_listeners; i++)
                if (streq(config->listeners[i].name, name))
                        return &config->listeners[i];

        return &config->listener_default;
}
