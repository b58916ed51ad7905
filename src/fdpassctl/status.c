/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl status: the state of the broker on one screen, problems first. */

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "fdpassctl/bus.h"
#include "fdpassctl/options.h"
#include "fdpassctl/manager.h"
#include "fdpassctl/problems.h"
#include "fdpassctl/running.h"
#include "fdpassctl/stopped.h"
#include "fdpassctl/table.h"
#include "fdpassctl/text.h"
#include "fdpassctl/verbs.h"

/* The exit status if the broker runs and there are problems. */
#define STATUS_EXIT_PROBLEMS 2

/* Only the first problems are shown, because they are the gravest. */
#define STATUS_PROBLEMS_MAX 8

#define STATUS_LISTENERS_MAX 4

static void status_print_time(const char *label, uint64_t usec) {
        char text[64] = "", span[32];
        time_t t = (time_t) (usec / USEC_PER_SEC);
        struct tm tm;

        if (localtime_r(&t, &tm))
                (void) strftime(text, sizeof(text), "%a %Y-%m-%d %H:%M:%S %Z", &tm);
        printf("%11s: %s; %s ago\n", label, text,
               text_from_span(span, usec_now_realtime() > usec ? usec_now_realtime() - usec : 0));
}

/* Prints an escaped text behind what the line has already, and goes on in the next line at a space. */
static void status_print_wrapped(const char *text, size_t room) {
        while (*text) {
                size_t used, n = text_fit(text, room, &used);
                const char *space = text[n] ? memrchr(text, ' ', n) : NULL;

                if (space)
                        n = (size_t) (space + 1 - text);
                printf("%.*s\n%s", (int) n, text, text[n] ? "    " : "");
                text += n;
        }
}

/* Problems are never cut, because they are why status is called. */
static void status_print_problems(const StringList *problems) {
        size_t columns = line_width();

        for (size_t i = 0; i < problems->n_items && i < STATUS_PROBLEMS_MAX; i++) {
                printf("  %s✗%s ", terminal_color(COLOR_RED), terminal_color(COLOR_NONE));
                status_print_wrapped(problems->items[i], columns > 6 ? columns - 4 : SIZE_MAX);
        }

        if (problems->n_items > STATUS_PROBLEMS_MAX)
                printf("    … and %zu more.\n", problems->n_items - STATUS_PROBLEMS_MAX);
}

static void status_print_listeners(const Value *listeners) {
        printf("%11s: %zu", "Listeners", listeners->n_items);
        for (size_t i = 0; i < listeners->n_items && i < STATUS_LISTENERS_MAX; i++) {
                printf("%s", i == 0 ? " (" : ", ");
                text_print(stdout, value_string(&listeners->items[i], "Name"));
                printf(" ");
                text_print(stdout, value_string(&listeners->items[i], "Address"));
        }
        printf("%s\n", listeners->n_items > STATUS_LISTENERS_MAX ? ", …)" : listeners->n_items > 0 ? ")" : "");
}

static void status_print_workers(const Value *workers) {
        static const char *const states[] = { "ready", "resting", "drained", "stuck", "hanging", "gone" };
        bool is_first = true;

        printf("%11s: %zu", "Workers", workers->n_items);
        for (size_t k = 0; k < ELEMENTSOF(states); k++) {
                size_t n = 0;

                for (size_t i = 0; i < workers->n_items; i++)
                        n += streq(value_string(&workers->items[i], "State"), states[k]);
                if (n > 0)
                        printf("%s%zu %s%s%s", is_first ? " (" : ", ", n, terminal_color(state_color(states[k])),
                               states[k], terminal_color(COLOR_NONE));
                is_first = is_first && n == 0;
        }
        printf("%s\n", is_first ? "" : ")");
}

/* Prints a dictionary of numbers without those that are 0: "1 head, 2 queued". */
static void status_print_counts(const Value *counts) {
        const char *separator = "";

        for (size_t i = 0; i < counts->n_items; i++)
                if (counts->items[i].u > 0) {
                        printf("%s%" PRIu64 " ", separator, counts->items[i].u);
                        text_print(stdout, counts->items[i].name);
                        separator = ", ";
                }
}

static void status_print_clients(const Value *properties) {
        const Value *clients = value_get(properties, "Clients"), *refusals = value_get(properties, "Refusals");
        const Value *n = value_get(properties, "Counters");
        uint64_t n_clients = value_sum(clients);

        printf("%11s: %" PRIu64 " under way of %" PRIu64 " at most%s", "Clients", n_clients,
               value_number(properties, "MaxClients"), n_clients > 0 ? ": " : "");
        status_print_counts(clients);
        printf("\n%11s: %" PRIu64 " accepted, %" PRIu64 " taken", "So far", value_number(n, "Accepted"),
               value_number(n, "Taken"));
        if (value_number(n, "Returned") > 0)
                printf(", %" PRIu64 " handed back", value_number(n, "Returned"));
        if (value_number(n, "Unread") > 0)
                printf(", %" PRIu64 " left unread by workers", value_number(n, "Unread"));
        if (value_number(n, "Gone") > 0)
                printf(", %" PRIu64 " left", value_number(n, "Gone"));
        printf("\n%11s: %" PRIu64 "%s", "Refused", value_number(n, "Refused"), refusals->n_items > 0 ? ": " : "");
        status_print_counts(refusals);
        printf("\n");
}

/* Prints "; so far 3 are not tracked (...)" for one reason. */
static void status_print_untracked(const Value *connections, const char *name, const char *reason) {
        if (value_number(connections, name) > 0)
                printf("; so far %" PRIu64 " not tracked, %s", value_number(connections, name), reason);
}

static void status_print_connections(const Value *properties) {
        const Value *connections = value_get(properties, "Connections");

        if (connections->n_items == 0) {
                printf("%11s: not tracked (enable fdpass-connections.socket)\n",
                       "Connections");
                return;
        }

        printf("%11s: %" PRIu64 " live of %" PRIu64 " at most", "Connections", value_number(connections, "Live"),
               value_number(connections, "Max"));
        if (value_number(connections, "HandedBack") > 0)
                printf(", %" PRIu64 " of them handed back", value_number(connections, "HandedBack"));
        status_print_untracked(connections, "Other", "because they are not TCP over IP");
        status_print_untracked(connections, "Untracked", "because there were more (MaxTrackedConnections=)");
        if (value_number(connections, "Lost") > 0)
                printf("; the kernel dropped messages %" PRIu64 " times (ReceiveBuffer=)",
                       value_number(connections, "Lost"));
        printf("\n");
}

/* Prints how many certificates the TLS stages have, and which of them expires first. */
static void status_print_certificates(const Certificates *c) {
        const CertificateState *first = NULL;
        usec_t now = usec_now_realtime();
        char span[32];

        for (size_t i = 0; i < c->n_items; i++)
                if (!first || c->items[i].ends < first->ends)
                        first = &c->items[i];
        if (!first)
                return;

        printf("%12s: %zu", "Certificates", c->n_items);
        if (first->ends != USEC_INFINITY && first->ends > now) {
                printf(", the first to expire is %s of ", first->name);
                text_print(stdout, first->unit);
                printf(", in %s", text_from_span(span, first->ends - now));
        }
        printf("\n");
}

static void status_print(const Snapshot *s, const Certificates *c, const StringList *problems) {
        size_t n_problems = problems->n_items;
        const char *state = value_string(&s->properties, "State");
        Color color = n_problems > 0 ? COLOR_RED : state_color(state);

        printf("%s●%s fdpass %s, socket handoff broker: %s%s%s", terminal_color(color), terminal_color(COLOR_NONE),
               value_string(&s->properties, "Version"), terminal_color(color), state, terminal_color(COLOR_NONE));
        if (n_problems > 0)
                printf(", %zu thing%s to look at:", n_problems, n_problems == 1 ? "" : "s");
        printf("\n");

        status_print_problems(problems);
        status_print_time("Since", value_number(&s->properties, "StartedUSec"));
        status_print_time("Units read", value_number(&s->properties, "LoadedUSec"));
        status_print_listeners(&s->listeners);
        printf("%11s: %zu\n", "Routes", s->routes.n_items);
        status_print_workers(&s->workers);
        status_print_clients(&s->properties);
        status_print_connections(&s->properties);
        status_print_certificates(c);
        if (!streq(value_string(&s->properties, "LogLevel"), "info"))
                printf("%11s: %s\n", "Log level", value_string(&s->properties, "LogLevel"));
}

static void status_print_json_certificates(const Certificates *c) {
        fputs(",\"Certificates\":[", stdout);
        for (size_t i = 0; i < c->n_items; i++) {
                const CertificateState *item = &c->items[i];

                fputs(i == 0 ? "{\"Unit\":" : ",{\"Unit\":", stdout);
                json_print_string(stdout, item->unit);
                fputs(",\"Name\":", stdout);
                json_print_string(stdout, item->name);
                printf(",\"ExpiresUSec\":%" PRIu64 ",\"Default\":%s,\"Hosts\":[", item->ends,
                       item->is_default ? "true" : "false");
                for (size_t k = 0; k < item->hosts.n_items; k++) {
                        fputs(k == 0 ? "" : ",", stdout);
                        json_print_string(stdout, item->hosts.items[k]);
                }
                fputs("]}", stdout);
        }
        fputs("]", stdout);
}

static void status_print_json(Snapshot *s, const Certificates *c) {
        struct {
                const char *name;
                Value *value;
        } parts[] = { { "Broker", &s->properties }, { "Listeners", &s->listeners }, { "Routes", &s->routes },
                      { "Workers", &s->workers } };

        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                fputs(i == 0 ? "{" : ",", stdout);
                json_print_string(stdout, parts[i].name);
                fputs(":", stdout);
                json_print(stdout, parts[i].value, arg_json);
        }
        status_print_json_certificates(c);
        fputs("}\n", stdout);
}

static int status_show(sd_bus *manager, const Value *service) {
        _cleanup_(certificates_done) Certificates certificates = {};
        _cleanup_(snapshot_done) Snapshot s = {};
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_strlist_ StringList problems = {};

        if (bus_open(&bus) < 0 || snapshot_take(bus, &s) < 0)
                return EXIT_FAILURE;

        /* The stages are those of this system, as the service is. */
        if ((running_service() && certificates_read(&certificates, CERTIFICATES_DIRECTORY) < 0) ||
            problems_find(&s, &certificates, manager, service, &problems) < 0)
                return EXIT_FAILURE;

        if (arg_json != JSON_OFF)
                status_print_json(&s, &certificates);
        else if (!arg_quiet)
                status_print(&s, &certificates, &problems);

        return problems.n_items > 0 ? STATUS_EXIT_PROBLEMS : EXIT_SUCCESS;
}

int verb_status(int argc, char *argv[]) {
        _cleanup_value_ Value service = {};
        _cleanup_bus_ sd_bus *manager = NULL;
        const char *name = running_service();

        if (name && manager_open(&manager) >= 0)
                (void) manager_get_unit(manager, name, &service);

        return running_by_state(&service) ? status_show(manager, &service) : stopped_show(manager, name, &service);
}
