/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The list of routes. ControlPage in internal.h says how a reply is paged. */

#include <stdio.h>

#include "basic/utf8.h"
#include "broker/state/routing.h"
#include "connections/table.h"
#include "control/internal.h"

/* Bytes of a pattern that are shown; a longer one is cut. */
#define PATTERN_MAX 60

/* Appends " Key=value value" to @text. Leaves out values that do not fit as a whole. */
static void list_routes_add_key(char *text, size_t size, const char *key, char **values) {
        size_t n = strlen(text);
        int k;

        for (char **v = values; v && *v; v++, n += (size_t) k) {
                k = snprintf(text + n, size - n, v == values ? "%s%s=%s" : "%s%.0s%s",
                             v == values && n == 0 ? "" : " ", key, *v);
                if (k < 0 || (size_t) k >= size - n) {
                        text[n] = '\0';
                        return;
                }
        }
}

static void list_routes_add_header(char *text, size_t size, const HeaderMatch *h) {
        size_t n = utf8_cut(h->glob, PATTERN_MAX);
        char value[128];

        (void) snprintf(value, sizeof(value), "%.40s: %.*s%s", h->name, (int) n, h->glob, h->glob[n] ? "…" : "");
        list_routes_add_key(text, size, "Header", (char *[]){ value, NULL });
}

static void list_routes_add_protocols(char *text, size_t size, unsigned protocols) {
        static struct {
                unsigned bit;
                char name[8];
        } known[] = {
                { 1U << PROBE_UNKNOWN, "any" }, { 1U << PROBE_HTTP, "http" }, { 1U << PROBE_HTTP2, "http2" }, { 1U << PROBE_TLS, "tls" },
                { 1U << PROBE_SSH, "ssh" },   { PROTOCOL_SILENT, "silent" },
        };
        char *names[ELEMENTSOF(known) + 1] = {};
        size_t n = 0;

        if (protocols & 1U << PROBE_UNKNOWN) /* PROTOCOL_ANY */
                protocols &= 1U << PROBE_UNKNOWN | PROTOCOL_SILENT;
        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (protocols & known[i].bit)
                        names[n++] = known[i].name;
        list_routes_add_key(text, size, "Protocol", names);
}

/* Describes which clients the route takes, in one line for people. */
static void list_routes_describe(const RouteMatch *match, char *text, size_t size) {
        text[0] = '\0';
        list_routes_add_key(text, size, "Host", match->hosts);
        list_routes_add_key(text, size, "Path", match->paths);
        list_routes_add_key(text, size, "Method", match->methods);
        for (size_t i = 0; i < match->n_headers; i++)
                list_routes_add_header(text, size, &match->headers[i]);
        list_routes_add_key(text, size, "ALPN", match->alpns);
        list_routes_add_protocols(text, size, match->protocols);
        if (match->tls != TLS_MATCH_ANY)
                list_routes_add_key(text, size, "TLS", (char *[]){ match->tls == TLS_MATCH_YES ? (char[]){ "yes" } : (char[]){ "no" }, NULL });
        if (match->n_sources > 0)
                list_routes_add_key(text, size, "Source", (char *[]){ (char[]){ "…" }, NULL });
        if (match->n_prefixes > 0)
                list_routes_add_key(text, size, "Prefix", (char *[]){ (char[]){ "…" }, NULL });
        list_routes_add_key(text, size, "Listener", match->listeners);
        list_routes_add_key(text, size, "InternalName", (char *[]){ match->name, NULL });
}

static void list_routes_write_counters(DBusWriter *w, const Broker *b, const RouteStats *stats) {
        dbus_entry_number(w, "Taken", stats->n_taken);
        dbus_entry_number(w, "Rerouted", stats->n_rerouted);
        dbus_entry_number(w, "Unread", stats->n_unread);
        dbus_entry_number(w, "Declined", stats->n_declined);
        dbus_entry_number(w, "Failed", stats->n_failed);
        dbus_entry_number(w, "Answered", stats->n_answered);
        dbus_entry_counts(w, "Refusals", stats->n_refused, _REFUSAL_MAX, control_refusal_name);
        dbus_entry_number(w, "RecentQueueFull", recent_count(&stats->recent_full, loop_now(&b->loop)));
        dbus_entry_series(w, "HandoffTimes", stats->time.n, HISTOGRAM_BUCKETS);
        dbus_entry_number(w, "HandoffTimeSumUSec", stats->time.sum);
}

/* Returns what is counted for the route. A route by which no connection came has zeroes. */
static const ConnectionRoute *list_routes_find_connections(const ConnectionTable *t, const Route *route) {
        static const ConnectionRoute none = {};
        const ConnectionWorker *w = connection_worker_find(&t->routes, route->worker->path);

        for (const ConnectionRoute *c = w ? w->routes : NULL; c; c = c->next)
                if (streq(c->unit, route->config->unit))
                        return c;

        return &none;
}

static void list_routes_write_connections(DBusWriter *w, const Broker *b, const Route *route) {
        const ConnectionRoute *c;

        if (!control_connections(b))
                return;

        c = list_routes_find_connections(control_connections(b), route);
        dbus_entry_number(w, "Connections", c->n_live);
        dbus_entry_number(w, "ConnectionsEnded", c->n_ended);
        dbus_entry_number(w, "ConnectionsUnseen", c->n_unseen);
        dbus_entry_number(w, "BytesIn", c->n_in);
        dbus_entry_number(w, "BytesOut", c->n_out);
        dbus_entry_series(w, "ConnectionTimes", c->durations.n, CONNECTION_DURATION_BUCKETS);
        dbus_entry_number(w, "ConnectionTimeSumUSec", c->durations.sum);
}

static void list_routes_write_queue(DBusWriter *w, const Broker *b, const Pool *p) {
        Wait *oldest = waiting_first(&p->again) ?: waiting_first(&p->queue);
        usec_t wait = oldest ? loop_now(&b->loop) - CONTAINER_OF(oldest, Client, wait)->begun_at : 0;

        dbus_entry_string(w, "Pool", p->routes[0].config->unit);
        dbus_entry_number(w, "PoolSize", p->n_routes);
        dbus_entry_number(w, "Queued", p->n_queued);
        dbus_entry_number(w, "MaxQueued", p->max_queued);
        dbus_entry_number(w, "OldestWaitUSec", wait);
}

static void list_routes_write_worker(DBusWriter *w, const Broker *b, const Route *route) {
        static const char *const forms[] = {
                [TRANSPORT_STREAM] = "stream", [TRANSPORT_SEQPACKET] = "seqpacket",
        };
        const RouteConfig *config = route->config;

        dbus_entry_string(w, "Worker", config->redirects ? NULL : config->worker);
        dbus_entry_string(w, "RedirectTo", config->redirects ? config->flusher_argument : NULL);
        dbus_entry_string(w, "State", control_worker_state(b, route->worker));
        dbus_entry_string(w, "Form", forms[config->transport]);
        dbus_entry_number(w, "Weight", config->weight);
        dbus_entry_bool(w, "Backup", config->backup);
        dbus_entry_number(w, "Pending", route->worker->n_pending);
        dbus_entry_number(w, "MaxPending", config->max_pending);
}

static void list_routes_write(DBusWriter *w, const Broker *b, const void *item) {
        const Route *route = item;
        const RouteMatch *match = &route->config->match;
        char text[256];

        list_routes_describe(match, text, sizeof(text));
        dbus_entry_string(w, "Unit", route->config->unit);
        control_entry_stamp(w, route->config->stamp);
        dbus_entry_string(w, "Match", text);
        dbus_entry_integer(w, "RoutePriority", match->priority);
        dbus_entry_strings(w, "Listeners", match->listeners);
        list_routes_write_worker(w, b, route);
        list_routes_write_queue(w, b, route->pool);
        list_routes_write_counters(w, b, route->stats);
        list_routes_write_connections(w, b, route);
}

int method_list_routes(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Routing *routing;
        ControlPage page;
        size_t i;
        int r;

        r = control_page_begin(&page, m, userdata);
        if (r < 0)
                return r;

        routing = page.broker->routing;
        for (i = page.first; i < routing->n_routes && page.n < CONTROL_PAGE_MAX; i++)
                control_page_add(&page, list_routes_write, &routing->routes[i]);

        return control_page_end(&page, i, routing->n_routes);
}
