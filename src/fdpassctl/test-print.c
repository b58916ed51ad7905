/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/test-print.h"

#include <stdio.h>

#include "fdpassctl/options.h"
#include "fdpassctl/table.h"
#include "fdpassctl/text.h"

/* A decision by the units that is to be printed. */
typedef struct TestPrint {
        const Config *config;
        const MatchIndex *index;     /* of the routes of @config */
        const TestRequest *request;
        const RouteConfig *winner;   /* NULL: no route takes the client */
} TestPrint;

/* Why a route that matches does not get the client. */
static const char *const test_print_losses[] = {
        [MATCH_BY_PRIORITY] = "its RoutePriority= is lower",
        [MATCH_BY_OWNER] = "it lacks Listener=, and a route with Listener= alone takes all clients of this listener",
        [MATCH_BY_HOST] = "its Host= is less specific",
        [MATCH_BY_PATH] = "its Path= is shorter",
        [MATCH_BY_KEYS] = "it has fewer keys",
        [MATCH_BY_PROTOCOL] = "it takes more protocols",
        [MATCH_BY_LISTENER] = "it does not name the listener",
        [MATCH_BY_TLS] = "it has no TLS=",
        [MATCH_BY_PREFIX] = "its Prefix= is shorter",
        [MATCH_BY_SOURCE] = "its Source= is wider",
        [MATCH_BY_HEADER] = "the pattern of its Header= is wider",
        [MATCH_BY_VALUES] = "its keys have more values",
        [MATCH_BY_NAME] = "it is equally specific, and the name of its unit comes later",
};

/* Returns where the client gets: the path of the worker's socket, or the address of Flusher=redirect. */
static const char *test_print_aim(const RouteConfig *route) {
        return route->redirects ? route->flusher_argument : route->worker;
}

static bool test_print_is_in_pool(const RouteConfig *route, const RouteConfig *winner) {
        return winner && match_compare(&route->match, &winner->match) == 0;
}

/*
 * Writes to @buffer why the route takes the client or not, and returns it. Without a winner, a route that matches is
 * one that does not take silent clients (decide_silent()), or it comes behind such a one.
 */
static const char *test_print_why(const TestPrint *p, const RouteConfig *route, char buffer[static 320]) {
        const RouteConfig *winner = p->winner;
        const ClientFacts *facts = &p->request->facts;
        MatchKey miss = match_first_miss(&route->match, facts);

        if (miss != MATCH_NO_MISS && miss != MATCH_LISTENER && p->request->is_unread && match_needs_head(&route->match))
                (void) snprintf(buffer, 320, "it asks for first bytes, which the broker does not read at this listener");
        else if (miss != MATCH_NO_MISS)
                (void) snprintf(buffer, 320, "%s does not match", match_key_to_string(miss));
        else if (route != winner && test_print_is_in_pool(route, winner))
                (void) snprintf(buffer, 320, "takes it, in one pool with %s", winner->unit);
        else
                (void) snprintf(buffer, 320, "%s",
                                route == winner ? (route->redirects ? "answers it with a redirection" : "takes it")
                                : !winner       ? "matches, but the best match lacks Protocol=silent"
                                : test_print_losses[match_explain_loss(p->index, &route->match, &winner->match, facts)]);

        return buffer;
}

/* Adds the list @name of the pool's units or workers, the winner's first. */
static int test_print_add_pool(Value *dict, const char *name, bool is_worker, const TestPrint *p) {
        const RouteConfig *winner = p->winner;
        Value *list = value_add(dict, name, VALUE_LIST);
        int r = list ? value_add_string(list, NULL, is_worker ? test_print_aim(winner) : winner->unit) : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < p->config->n_routes; i++) {
                const RouteConfig *route = &p->config->routes[i];

                if (route != winner && test_print_is_in_pool(route, winner))
                        r = value_add_string(list, NULL, is_worker ? test_print_aim(route) : route->unit);
        }

        return r;
}

static int test_print_add_route(Value *list, const RouteConfig *route, const TestPrint *p) {
        Value *dict = value_add(list, NULL, VALUE_DICT), *takes;
        char why[320];
        int r;

        if (!dict)
                return -ENOMEM;

        r = value_add_string(dict, "Unit", route->unit);
        if (r < 0)
                return r;

        takes = value_add(dict, "Takes", VALUE_BOOL);
        if (!takes)
                return -ENOMEM;

        takes->b = test_print_is_in_pool(route, p->winner);
        return value_add_string(dict, "Why", test_print_why(p, route, why));
}

/* Makes the dictionary of the broker's method Test, without what only the broker knows, and adds "Routes". */
static int test_print_make_dict(Value *dict, const Decision *d, const TestPrint *p) {
        const char *reason = decision_reason(d);
        Value *routes;
        int r;

        r = value_add_string(dict, "Result", decision_result(d));
        if (r >= 0 && reason)
                r = value_add_string(dict, "Reason", reason);
        if (r >= 0 && p->winner)
                r = test_print_add_pool(dict, "Units", /* is_worker= */ false, p);
        if (r >= 0 && p->winner)
                r = test_print_add_pool(dict, "Workers", /* is_worker= */ true, p);

        /* The first bytes alone decided about the client. */
        if (r < 0 || d->kind == DECISION_MORE || d->kind == DECISION_MALFORMED)
                return r;

        routes = value_add(dict, "Routes", VALUE_LIST);
        r = routes ? 0 : -ENOMEM;
        for (size_t i = 0; r >= 0 && i < p->config->n_routes; i++)
                r = test_print_add_route(routes, &p->config->routes[i], p);

        return r;
}

/* Prints the route @winner ("": none) first. */
static void test_print_routes(const Value *routes, const char *winner) {
        if (*winner)
                printf("→ %-32s %s\n", winner, value_string(value_find(routes, "Unit", winner), "Why"));
        else
                printf("No route takes this client.\n");

        for (size_t i = 0; i < routes->n_items; i++) {
                const char *unit = value_string(&routes->items[i], "Unit");

                if (!streq(unit, winner))
                        printf("  %-32s %s\n", unit, value_string(&routes->items[i], "Why"));
        }
}

static void test_print_pool(const Value *o) {
        const Value *units = value_get(o, "Units"), *workers = value_get(o, "Workers");
        const Value *states = value_get(o, "States");

        for (size_t i = 0; i < units->n_items; i++) {
                const char *state = value_item_string(states, i);

                printf("%s ", i == 0 ? "→" : " ");
                text_print(stdout, value_item_string(units, i));
                printf(" → ");
                text_print(stdout, value_item_string(workers, i));
                printf(" %s%s%s\n", terminal_color(state_color(state)), state, terminal_color(COLOR_NONE));
        }
}

/* Returns the sentence of a reason of malformed clients, or "". */
static const char *test_print_sentence(const char *reason) {
        for (unsigned i = 0; i < _PROBE_REASON_MAX; i++)
                if (streq(probe_reason_to_string((ProbeReason) i), reason))
                        return probe_reason_sentence((ProbeReason) i);

        return "";
}

static void test_print_text(const Value *o) {
        const char *result = value_string(o, "Result"), *reason = value_string(o, "Reason");
        const Value *routes = value_get(o, "Routes");

        if (streq(result, "more"))
                printf("The broker would wait for more bytes: these are only the beginning of a head.\n");
        else if (routes->kind == VALUE_LIST)
                test_print_routes(routes, value_item_string(value_get(o, "Units"), 0));
        else if (streq(result, "route"))
                test_print_pool(o);
        else if (streq(reason, "no-route") || streq(reason, "no-http2"))
                printf("No route takes this client.\n");
        else if (streq(reason, "no-such-host"))
                printf("No route has the host of this client in Host=.\n");
        else {
                printf("The broker would refuse this: %s (", test_print_sentence(reason));
                text_print(stdout, reason);
                printf(").\n");
        }
}

int test_print(const Value *o) {
        /* With -q only the exit status tells the result. */
        if (!arg_quiet && arg_json != JSON_OFF) {
                json_print(stdout, o, arg_json);
                putchar('\n');
        } else if (!arg_quiet)
                test_print_text(o);

        return streq(value_string(o, "Result"), "route") ? EXIT_SUCCESS : EXIT_FAILURE;
}

int test_print_decision(const Decision *d, const Config *config, const MatchIndex *index, const TestRequest *request) {
        const TestPrint p = {
                .config = config,
                .index = index,
                .request = request,
                .winner = d->kind == DECISION_ROUTE ? &config->routes[d->pool] : NULL,
        };
        _cleanup_value_ Value dict = { .kind = VALUE_DICT };

        if (test_print_make_dict(&dict, d, &p) < 0) {
                fprintf(stderr, "Out of memory.\n");
                return EXIT_FAILURE;
        }

        return test_print(&dict);
}
