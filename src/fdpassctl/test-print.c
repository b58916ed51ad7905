/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/test-print.h"

#include <stdio.h>

#include "fdpassctl/json.h"
#include "fdpassctl/options.h"

static const char *test_print_criterion(MatchCriterion criterion) {
        switch (criterion) {

        case MATCH_BY_PRIORITY:
                return "its RoutePriority= is lower";

        case MATCH_BY_HOST:
                return "its Host= is less specific";

        case MATCH_BY_PATH:
                return "its Path= is shorter";

        case MATCH_BY_KEYS:
                return "it has fewer keys";

        case MATCH_BY_LISTENER:
                return "it does not name the listener";

        case MATCH_BY_SOURCE:
                return "its Source= is wider";

        case MATCH_BY_NAME:
                break;
        }

        return "it takes the same clients, and the name of its unit comes later";
}

static bool test_print_is_in_pool(const RouteConfig *route, const RouteConfig *winner) {
        return winner && match_compare(&route->match, &winner->match) == 0;
}

/* Writes to @buffer why the route takes the client or not, and returns it. @winner is NULL if no route takes the client. */
static const char *test_print_why(const RouteConfig *route, const RouteConfig *winner, const ClientFacts *facts,
                                  char buffer[static 128]) {
        MatchKey miss = match_first_miss(&route->match, facts);

        if (miss != MATCH_NO_MISS)
                (void) snprintf(buffer, 128, "%s does not match", match_key_to_string(miss));
        else
                (void) snprintf(buffer, 128, "%s",
                                route == winner                        ? "takes it"
                                : test_print_is_in_pool(route, winner) ? "takes it, in one pool with the first"
                                : test_print_criterion(match_explain_loss(&route->match, &winner->match, facts)));

        return buffer;
}

static void test_print_route(const RouteConfig *route, const RouteConfig *winner, const ClientFacts *facts) {
        char why[128];

        printf("%s %-32s %s\n", route == winner ? "→" : " ", route->unit, test_print_why(route, winner, facts, why));
}

/* Returns whether the routes decided about the client, instead of its first bytes alone. */
static bool test_print_has_routes(const TestOutcome *o) {
        return streq(o->result, "route") || (o->reason && (streq(o->reason, "no-route") || streq(o->reason, "no-such-host")));
}

static void test_print_text(const TestOutcome *o, const Config *config, const ClientFacts *facts) {
        if (streq(o->result, "more"))
                printf("The broker would wait for more bytes: these are only the beginning of a head.\n");
        else if (!test_print_has_routes(o))
                printf("The broker would refuse this: %s.\n", o->reason);
        else {
                if (o->winner)
                        test_print_route(o->winner, o->winner, facts);
                else
                        printf("No route takes this client.\n");

                for (size_t i = 0; i < config->n_routes; i++)
                        if (&config->routes[i] != o->winner)
                                test_print_route(&config->routes[i], o->winner, facts);
        }
}

/* Adds the list @name of the pool's units or workers, the winner's first. */
static int test_print_add_pool(Value *dict, const char *name, bool is_worker, const RouteConfig *winner, const Config *config) {
        Value *list = value_add(dict, name, VALUE_LIST);
        int r = list ? value_add_string(list, NULL, is_worker ? winner->worker : winner->unit) : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < config->n_routes; i++) {
                const RouteConfig *route = &config->routes[i];

                if (route != winner && test_print_is_in_pool(route, winner))
                        r = value_add_string(list, NULL, is_worker ? route->worker : route->unit);
        }

        return r;
}

static int test_print_add_route(Value *list, const RouteConfig *route, const RouteConfig *winner, const ClientFacts *facts) {
        Value *dict = value_add(list, NULL, VALUE_DICT), *takes;
        char why[128];
        int r;

        if (!dict)
                return -ENOMEM;

        r = value_add_string(dict, "Unit", route->unit);
        if (r < 0)
                return r;

        takes = value_add(dict, "Takes", VALUE_BOOL);
        if (!takes)
                return -ENOMEM;

        takes->b = test_print_is_in_pool(route, winner);
        return value_add_string(dict, "Why", test_print_why(route, winner, facts, why));
}

/* Makes the dictionary of the broker's method Test, without what only the broker knows, and adds "Routes". */
static int test_print_make_dict(Value *dict, const TestOutcome *o, const Config *config, const ClientFacts *facts) {
        Value *routes;
        int r;

        r = value_add_string(dict, "Result", o->result);
        if (r >= 0 && o->reason)
                r = value_add_string(dict, "Reason", o->reason);
        if (r >= 0 && o->winner)
                r = test_print_add_pool(dict, "Units", /* is_worker= */ false, o->winner, config);
        if (r >= 0 && o->winner)
                r = test_print_add_pool(dict, "Workers", /* is_worker= */ true, o->winner, config);
        if (r < 0 || !test_print_has_routes(o))
                return r;

        routes = value_add(dict, "Routes", VALUE_LIST);
        r = routes ? 0 : -ENOMEM;
        for (size_t i = 0; r >= 0 && i < config->n_routes; i++)
                r = test_print_add_route(routes, &config->routes[i], o->winner, facts);

        return r;
}

static int test_print_json(const TestOutcome *o, const Config *config, const ClientFacts *facts) {
        _cleanup_value_ Value dict = { .kind = VALUE_DICT };
        int r = test_print_make_dict(&dict, o, config, facts);

        if (r < 0) {
                fprintf(stderr, "Out of memory.\n");
                return r;
        }

        json_print(stdout, &dict, arg_json);
        putchar('\n');
        return 0;
}

int test_print(const TestOutcome *o, const Config *config, const ClientFacts *facts) {
        /* With -q only the exit status tells the result. */
        if (!arg_quiet && arg_json == JSON_OFF)
                test_print_text(o, config, facts);
        else if (!arg_quiet && test_print_json(o, config, facts) < 0)
                return EXIT_FAILURE;

        return streq(o->result, "route") ? EXIT_SUCCESS : EXIT_FAILURE;
}
