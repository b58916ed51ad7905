/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/problems.h"

#include <inttypes.h>
#include <stdio.h>

#include "fdpassctl/load-units.h"
#include "fdpassctl/manager.h"
#include "fdpassctl/problems-units.h"
#include "fdpassctl/running.h"
#include "fdpassctl/text.h"

/* Services of one worker that are shown. */
#define SERVICES_MAX 2

static void problems_print_reload(FILE *f, const Value *properties) {
        uint64_t at = value_number(properties, "ReloadUSec"), now = usec_now_realtime();
        char span[32];

        if (!value_number(properties, "ReloadFailed"))
                return;

        fprintf(f, "The last reload failed %s ago. The routes from before it are still in use:\n",
                text_from_span(span, now > at ? now - at : 0));
}

static void problems_print_broker(FILE *f, const Value *properties) {
        uint64_t n_dropped = value_number(properties, "LogDropped");
        const char *state = value_string(properties, "State");

        if (value_number(properties, "Draining")) {
                fprintf(f, "The host is drained%s", *value_string(properties, "DrainReason") ? ": " : "");
                text_print(f, value_string(properties, "DrainReason"));
                fprintf(f, ". Health checks say so. To end that: fdpassctl undrain --host\n");
        }
        if (streq(state, "stopping"))
                fprintf(f, "The broker is stopping.\n");
        if (streq(state, "paused")) {
                fprintf(f, "No clients are accepted: ");
                text_print(f, value_string(properties, "PauseReason"));
                fprintf(f, ".\n");
        }

        problems_print_reload(f, properties);
        text_print_lines(f, value_string(properties, "ReloadFindings"));

        if (n_dropped > 0)
                fprintf(f, "%" PRIu64 " log lines were dropped, because the journal did not take them.\n", n_dropped);
}

static void problems_print_gone(FILE *f, const Value *worker) {
        const char *error = value_string(worker, "GoneError"), *hint = value_string(worker, "GoneHint");
        char span[32];

        fprintf(f, " can't be reached for %s%s", text_from_span(span, value_number(worker, "GoneForUSec")),
                *error ? ": " : "");
        text_print(f, error);
        fprintf(f, "%s", *hint ? " (" : "");
        text_print(f, hint);
        fprintf(f, "%s.", *hint ? ")" : "");
}

/* Returns the first socket unit with a route to the worker, or "". Other units have the path in Worker= only. */
static const char *problems_socket_of(const Value *worker) {
        const Value *units = value_get(worker, "Units");

        for (size_t i = 0; i < units->n_items; i++)
                if (endswith(value_item_string(units, i), ".socket"))
                        return value_item_string(units, i);

        return "";
}

/* Prints how the worker's units are: the socket if it is not active, otherwise the services behind it. */
static void problems_print_why(FILE *f, sd_bus *manager, const Value *worker) {
        const char *unit = problems_socket_of(worker);
        _cleanup_value_ Value socket = {};
        const Value *services;
        char text[256];

        if (!*unit || manager_get_unit(manager, unit, &socket) < 0)
                return;

        if (!streq(value_string(&socket, "ActiveState"), "active")) {
                manager_describe(&socket, text, sizeof(text));
                fprintf(f, " ");
                text_print(f, unit);
                fprintf(f, ": ");
                text_print(f, text);
                fprintf(f, ".");
                return;
        }

        services = value_get(&socket, "Triggers");
        for (size_t i = 0; i < services->n_items && i < SERVICES_MAX; i++) {
                _cleanup_value_ Value service = {};

                if (manager_get_unit(manager, value_item_string(services, i), &service) < 0)
                        continue;

                manager_describe(&service, text, sizeof(text));
                fprintf(f, " ");
                text_print(f, value_item_string(services, i));
                fprintf(f, ": ");
                text_print(f, text);
                fprintf(f, ".");
        }
}

static void problems_print_stuck(FILE *f, const Value *worker) {
        uint64_t n = value_number(worker, "Pending");
        char span[32];

        fprintf(f, " does not take its clients: %" PRIu64 " wait%s in its backlog, for %s.", n, n == 1 ? "s" : "",
                text_from_span(span, value_number(worker, "StuckForUSec")));
}

static void problems_print_drained(FILE *f, const Value *worker) {
        uint64_t n = value_number(worker, "Connections") + value_number(worker, "Pending");

        if (value_get(worker, "Connections")->kind == VALUE_NULL)
                fprintf(f, " is drained.");
        else
                fprintf(f, " is drained, and has %" PRIu64 " client%s left.", n, n == 1 ? "" : "s");
}

static void problems_print_worker(FILE *f, sd_bus *manager, const Value *worker) {
        const char *state = value_string(worker, "State");

        if (streq(state, "ready") || streq(state, "resting"))
                return;

        fprintf(f, "Worker ");
        text_print(f, value_string(worker, "Worker"));
        if (streq(state, "gone"))
                problems_print_gone(f, worker);
        else if (streq(state, "stuck"))
                problems_print_stuck(f, worker);
        else if (streq(state, "hanging"))
                fprintf(f, " blocks system calls on the sockets of its clients, and gets no more clients.");
        else
                problems_print_drained(f, worker);

        if (streq(state, "gone") || streq(state, "stuck"))
                problems_print_why(f, manager, worker);
        fprintf(f, "\n");
}

static void problems_print_queue(FILE *f, const Value *route) {
        uint64_t n_queued = value_number(route, "Queued"), max = value_number(route, "MaxQueued");
        char span[32];

        /* The queue belongs to the pool, which is shown once: as its first route. */
        if (n_queued == 0 || !streq(value_string(route, "Unit"), value_string(route, "Pool")))
                return;

        text_print(f, value_string(route, "Unit"));
        fprintf(f, n_queued >= max ? ": the queue is full: %" PRIu64 " clients wait, the first for %s.\n"
                                   : ": %" PRIu64 " clients wait for a worker, the first for %s.\n",
                n_queued, text_from_span(span, value_number(route, "OldestWaitUSec")));
}

static void problems_print_meaning(FILE *f, const Snapshot *s, const char *reason) {
        fprintf(f, ": ");
        text_print(f, value_string(value_get(&s->properties, "RefusalMeanings"), reason));
        fprintf(f, " (");
        text_print(f, reason);
        fprintf(f, ")");
}

static void problems_print_count(FILE *f, uint64_t n) {
        fprintf(f, ": %" PRIu64 " client%s refused in the last 5 to 10 minutes", n, n == 1 ? " was" : "s were");
}

/* Prints the limit of a source, and the last client that was refused for it. */
static void problems_print_source(FILE *f, const Value *listener, const char *limit, const char *source) {
        fprintf(f, ", ");
        if (value_get(listener, limit)->kind == VALUE_STRING)
                text_print(f, value_string(listener, limit));
        else
                fprintf(f, "%" PRIu64, value_number(listener, limit));
        fprintf(f, " are allowed, the last one was ");
        text_print(f, value_string(listener, source));
}

/* Prints the clients of a listener that a limit has kept out. Those for a full queue are shown with the route. */
static void problems_print_limits(FILE *f, const Snapshot *s, const Value *listener) {
        static const struct {
                const char *reason;
                const char *limit, *source; /* entries of the listener; NULL: the limit is none of a source */
        } limits[] = {
                { "source-full", "MaxClientsPerSource", "FullSource" },
                { "source-connections", "MaxConnectionsPerSource", "BusySource" },
                { "source-rate", "RateLimitPerSource", "FastSource" },
                { "evicted", NULL, NULL },
                { "no-resources", NULL, NULL },
        };
        const Value *recent = value_get(listener, "RecentRefusals");

        for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
                uint64_t n = value_number(recent, limits[i].reason);

                if (n == 0)
                        continue;

                fprintf(f, "Listener ");
                text_print(f, value_string(listener, "Name"));
                problems_print_count(f, n);
                problems_print_meaning(f, s, limits[i].reason);
                if (limits[i].source)
                        problems_print_source(f, listener, limits[i].limit, limits[i].source);
                fprintf(f, ".\n");
        }
}

static void problems_print_queue_full(FILE *f, const Snapshot *s, const Value *route) {
        uint64_t n = value_number(route, "RecentQueueFull");

        if (n == 0)
                return;

        text_print(f, value_string(route, "Unit"));
        problems_print_count(f, n);
        problems_print_meaning(f, s, "queue-full");
        fprintf(f, ", %" PRIu64 " may wait.\n", value_number(route, "MaxQueued"));
}

static void problems_print_routes(FILE *f, const Snapshot *s) {
        for (size_t i = 0; i < s->routes.n_items; i++)
                problems_print_queue(f, &s->routes.items[i]);
        for (size_t i = 0; i < s->listeners.n_items; i++)
                problems_print_limits(f, s, &s->listeners.items[i]);
        for (size_t i = 0; i < s->routes.n_items; i++)
                problems_print_queue_full(f, s, &s->routes.items[i]);
        if (s->routes.n_items == 0)
                fprintf(f, "There are no routes, so every client is refused. "
                           "See systemctl list-dependencies fdpass.target.\n");
}

/* The units below --root= are those of the broker if it is one of this system. */
static void problems_print_units(FILE *f, const Snapshot *s, sd_bus *manager, const Value *service) {
        bool is_whole;
        _cleanup_(config_freep) Config *config = running_service() ? load_units_quietly(&is_whole) : NULL;

        problems_print_sockets(f, s, manager, service, config);
        if (config && is_whole)
                problems_print_changes(f, s, manager, config);
}

static void problems_print_all(FILE *f, const Snapshot *s, const Certificates *c, sd_bus *manager, const Value *service) {
        problems_print_broker(f, &s->properties);
        if (service)
                problems_print_units(f, s, manager, service);
        for (size_t i = 0; i < s->workers.n_items; i++)
                problems_print_worker(f, manager, &s->workers.items[i]);
        problems_print_routes(f, s);
        if (c)
                certificates_print_problems(f, c);
}

int problems_find(const Snapshot *s, const Certificates *c, sd_bus *manager, const Value *service, StringList *ret) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        int r = 0;

        if (!f)
                return -ENOMEM;

        problems_print_all(f, s, c, manager, service);
        if (fclose(f) != 0)
                return -ENOMEM;

        for (const char *line = text, *end; r >= 0 && (end = strchr(line, '\n')); line = end + 1)
                r = strlist_add_n(ret, line, (size_t) (end - line));

        return r;
}
