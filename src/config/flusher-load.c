/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Finds and loads the flushers that routes name, and compares them. */

#include "config/config.h"
#include "config/report.h"
#include "config/route-config.h"
#include "flusher/redirect.h"

static bool flusher_load_texts_differ(const char *a, const char *b) {
        return !a || !b ? a != b : !streq(a, b);
}

bool route_config_flushes_alike(const RouteConfig *a, const RouteConfig *b) {
        return !flusher_load_texts_differ(a->flusher, b->flusher) &&
               !flusher_load_texts_differ(a->flusher_argument, b->flusher_argument) &&
               !flusher_load_texts_differ(a->response_fields, b->response_fields) &&
               !flusher_load_texts_differ(a->response_reason, b->response_reason) &&
               a->response_status == b->response_status;
}

/* Returns the text that follows "Flusher=NAME" in the error for a condition of flusher_load(). */
static const char *flusher_load_describe(int condition) {
        static const char *const texts[] = {
                [FLUSHER_MISSING] = " is not installed in ",
                [FLUSHER_UNUSABLE] = " can't be loaded: ",
                [FLUSHER_VERSION] = " was built for another version of fdpass-flusher.h; rebuild it.",
                [FLUSHER_FOREIGN] = " is not a flusher: its file does not export fdpass_flusher with this name.",
        };

        return texts[condition];
}

/* Sets the provider of the route. Returns 0, -ENOMEM, or a condition of flusher_load(). */
static int flusher_load_find(RouteConfig *route, const char *directory, bool load, const char **ret_why) {
        if (streq(route->flusher, flusher_flush.name) || route->redirects) {
                route->provider = route->redirects ? &flusher_redirect : &flusher_flush;
                return 0;
        }

        return load ? flusher_load(directory, route->flusher, &route->provider, &route->flusher_handle, ret_why)
                    : flusher_find(directory, route->flusher, NULL);
}

static bool flusher_load_takes_argument(const struct fdpass_flusher *flusher, const char *argument) {
        return flusher->check ? flusher->check(argument) == 0 : !*argument;
}

/* Returns 1 if the route has its flusher, 0 after it reported an error, or -ENOMEM. */
static int flusher_load_one(Reporter *reporter, RouteConfig *route, const char *directory, bool load) {
        const char *why = NULL;
        int r;

        r = flusher_load_find(route, directory, load, &why);
        if (r < 0)
                return r;
        if (r > 0) {
                reporter_say(reporter, CONFIG_ERROR, route->unit, route->flusher_path, route->flusher_line,
                             "Flusher=%s%s%s", route->flusher, flusher_load_describe(r),
                             r == FLUSHER_MISSING ? directory : r == FLUSHER_UNUSABLE && why ? why : "");
                return 0;
        }

        if (!route->provider || flusher_load_takes_argument(route->provider, route->flusher_argument))
                return 1;

        reporter_say(reporter, CONFIG_ERROR, route->unit, route->flusher_path, route->flusher_line,
                     "Flusher=%s does not take the argument \"%s\".", route->flusher, route->flusher_argument);
        return 0;
}

int config_load_flushers(Config *config, const char *directory, bool load, ConfigReport report, void *userdata) {
        Reporter reporter = { .report = report, .userdata = userdata };
        size_t n = 0;

        for (size_t i = 0; i < config->n_routes; i++) {
                RouteConfig *route = &config->routes[i], copy;
                int r = route->flusher ? flusher_load_one(&reporter, route, directory, load) : 1;

                if (r < 0)
                        return r;
                if (r == 0) {
                        route_config_done(route);
                        continue;
                }

                copy = *route;
                *route = (RouteConfig){};
                config->routes[n++] = copy;
        }

        config->n_routes = n;
        config->n_errors += reporter.n_errors;
        return 0;
}
