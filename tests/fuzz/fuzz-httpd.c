/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The input is a configuration of Apache httpd. Whatever it is, the units that come of it are units: each is read again,
 * and has to be the route that was printed, without a finding.
 */

#include "config/route-config.h"
#include "fdpassctl/httpd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool b) {
        if (!b)
                abort();
}

static void check_message(_unused_ void *userdata, const HttpdPlace *place, const char *message) {
        require(place->line > 0 && *message && !strchr(message, '\n')); /* fdpassctl escapes other control characters */
}

static void no_finding(_unused_ void *userdata, _unused_ ConfigSeverity severity, _unused_ const char *unit,
                       _unused_ const char *path, _unused_ unsigned line, _unused_ const char *message) {
        require(false);
}

static void check_unit(const HttpdRoute *printed, const char *name, char *text, size_t n) {
        _cleanup_(unit_file_freep) UnitFile *f = NULL;
        _cleanup_free_ Assignment **assignments = NULL;
        Reporter reporter = { .report = no_finding };
        RouteConfig route;
        UnitFile *files[1];
        ConfigContext c;
        Unit unit = {};
        size_t k = 0;

        require(unit_file_parse("/x", text, n, &f) == 0 && f->n_findings == 0);
        assignments = calloc(f->n_assignments + 1, sizeof(*assignments));
        require(assignments);
        for (size_t i = 0; i < f->n_assignments; i++)
                assignments[i] = &f->assignments[i];

        files[0] = f;
        unit = (Unit){ .files = files, .n_files = 1, .assignments = assignments, .n_assignments = f->n_assignments,
                       .has_fdpass = true };
        require(strlen(name) < sizeof(unit.id));
        strcpy(unit.id, name);
        require(unit_name_parse(unit.id, &unit.name));
        c = (ConfigContext){ .reporter = &reporter, .unit = &unit,
                             .specifiers = { .unit = &unit.name, .hostname = "host" } };
        require(route_config_read(&c, &route) == 0);

        require(streq(route.worker, printed->worker) && streq(route.flusher, printed->flusher));
        while (route.match.hosts && route.match.hosts[k])
                k++;
        require(k <= printed->hosts.n_items && (k > 0) == (printed->hosts.n_items > 0));
        require(route.match.n_sources == printed->sources.n_items);
        k = 0;
        while (route.match.paths && route.match.paths[k])
                k++;
        require(k == printed->paths.n_items || (k == 0 && streq(printed->paths.items[0], "/")));
        route_config_done(&route);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(httpd_config_freep) HttpdConfig *config = NULL;
        _cleanup_(httpd_routes_done) HttpdRoutes routes = {};

        require(httpd_config_new(&(HttpdOptions){ .server_root = "/etc/apache2", .say = check_message }, &config) == 0);
        require(httpd_config_read(config, "a\\ %i\n.conf\\", (const char *) data, size) == 0);
        require(httpd_config_finish(config, &routes) == 0);

        for (size_t i = 0; i < routes.n_items; i++) {
                char name[256], *text = NULL;
                size_t n = 0;
                FILE *f = open_memstream(&text, &n);

                require(f);
                httpd_unit_name(&routes, i, name, sizeof(name));
                httpd_unit_print(&routes.items[i], f);
                require(fclose(f) == 0);
                check_unit(&routes.items[i], name, text, n); /* consumes the text */
        }

        return 0;
}
