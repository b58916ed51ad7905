/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/connections-refuse.h"

#include "config/report.h"
#include "config/route-config.h"

bool config_enables_connections(const Config *config) {
        for (size_t i = 0; i < config->n_listeners; i++)
                if (config->listeners[i].is_enabled && streq(config->listeners[i].unit, "fdpass-connections.socket"))
                        return true;

        return false;
}

static void connections_refuse_report(const ConnectionsNeed *need, const char *unit, Config *config, ConfigReport report,
                                    void *userdata) {
        Reporter reporter = { .report = report, .userdata = userdata };

        reporter_say(&reporter, CONFIG_ERROR, unit, need->path, need->line,
                     "%s= here needs the kernel's reports about connections: run systemctl "
                     "enable fdpass-connections.socket and systemctl restart fdpass.service, or remove the line.", need->key);
        config->n_errors++;
}

void config_refuse_connections(Config *config, ConfigReport report, void *userdata) {
        size_t n = 0;

        for (size_t i = 0; i < config->n_routes; i++) {
                RouteConfig *route = &config->routes[i];

                if (!route->need.key) {
                        config->routes[n++] = *route;
                        continue;
                }

                connections_refuse_report(&route->need, route->unit, config, report, userdata);
                route_config_done(route);
        }
        config->n_routes = n;

        for (size_t i = 0; i < config->n_listeners; i++) {
                if (config->listeners[i].need.key)
                        connections_refuse_report(&config->listeners[i].need, config->listeners[i].unit, config, report,
                                                  userdata);
                config->listeners[i].max_connections_per_source = 0;
        }

        if (config->broker.need.key)
                connections_refuse_report(&config->broker.need, "fdpass.service", config, report, userdata);
        config->broker.log_connections = false;
}
