/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The list of live connections. ControlPage in internal.h says how a reply is paged. */

#include <arpa/inet.h>

#include "basic/address.h"
#include "broker/state/client-context.h"
#include "config/address-config.h"
#include "connections/store.h"
#include "connections/table.h"
#include "control/conn.h"
#include "match/match.h"

/* Slots of the table that one call looks at. 4096 of them have 224 KiB. */
#define CONNECTION_SLOTS_MAX 4096

#define ERROR_NOT_TRACKED CONTROL_INTERFACE ".Error.NotTracked"
#define ERROR_NO_SUCH_ROUTE CONTROL_INTERFACE ".Error.NoSuchRoute"

/* Which connections are asked for. */
typedef struct ConnectionFilter {
        const char *route;   /* name of a unit; "": any */
        const char *worker;  /* path of a socket; "": any */
        bool has_source;
        AddressRange source; /* valid with @has_source */
} ConnectionFilter;

static ClientAddress list_connections_address(const Connection *c) {
        ClientAddress a = { .in6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t) c->port),
                                     .sin6_scope_id = c->scope_id } };

        memcpy(a.in6.sin6_addr.s6_addr, c->address, sizeof(c->address));
        return a;
}

static bool list_connections_wants(const ConnectionTable *t, const Connection *c, const ConnectionFilter *f) {
        const ConnectionRoute *route = connection_route(t, c);
        ClientAddress address = list_connections_address(c);

        if (*f->route && !streq(route->unit, f->route))
                return false;
        if (*f->worker && (c->flags & CONNECTION_IN_BROKER || !streq(route->worker->path, f->worker)))
                return false;

        return !f->has_source || address_range_contains(&f->source, &address.sa);
}

static void list_connections_write(DBusWriter *w, const Broker *b, const void *item) {
        const ConnectionTable *t = control_connections(b);
        const Connection *c = item;
        const ConnectionRoute *route = connection_route(t, c);
        bool is_in_broker = c->flags & CONNECTION_IN_BROKER;
        ClientAddress address = list_connections_address(c);
        char text[ADDRESS_TEXT_MAX], id[CLIENT_ID_MAX];
        usec_t now = loop_now(&b->loop);
        size_t n = 0;
        const char *name = connection_id(t, c, &n);

        address_to_text(&address.sa, sizeof(address.in6), text);
        (void) client_id_to_text((Slice){ (const uint8_t *) name, name ? n : 0 }, c->origin, c->origin_id, id);

        dbus_entry_string(w, "Id", id);
        dbus_entry_string(w, "Client", text);
        dbus_entry_string(w, "Listener", connection_listener_name(t, c));
        dbus_entry_string(w, "Route", route->unit);
        dbus_entry_string(w, "Worker", is_in_broker ? NULL : route->worker->path);
        dbus_entry_bool(w, "HandedBack", is_in_broker);
        dbus_entry_number(w, "AgeUSec", now - MIN(now, (usec_t) c->begun_at));
        dbus_entry_number(w, "Handoffs", c->n_handoffs);
        dbus_entry_number(w, "Cookie", c->cookie);
}

/* True if the unit has a route, or had one by which there are connections. */
static bool list_connections_has_route(const Broker *b, const char *unit) {
        const ConnectionRoutes *routes = &control_connections(b)->routes;

        for (size_t i = 0; i < b->routing->n_routes; i++)
                if (streq(b->routing->routes[i].config->unit, unit))
                        return true;
        for (size_t i = 0; i < routes->n_routes; i++)
                if (routes->routes[i] && streq(routes->routes[i]->unit, unit))
                        return true;

        return false;
}

/* Checks the filter. Returns 0, or a negative errno with the error for the caller. */
static int list_connections_check(const Broker *b, ConnectionFilter *f, const char *source, sd_bus_error *error) {
        const Worker *w;

        if (!control_connections(b))
                return sd_bus_error_set(error, ERROR_NOT_TRACKED,
                                        "Connections are not tracked. To track them: systemctl enable "
                                        "fdpass-connections.socket && systemctl restart fdpass.service");

        if (*f->route && !list_connections_has_route(b, f->route))
                return sd_bus_error_setf(error, ERROR_NO_SUCH_ROUTE, "No route has the unit %s.", f->route);

        w = *f->worker ? control_find_worker(b, f->worker) : NULL;
        if (w)
                f->worker = w->path;
        else if (*f->worker && !connection_worker_find(&control_connections(b)->routes, f->worker))
                return control_no_such_worker(error, f->worker);

        f->has_source = *source;
        if (f->has_source && !config_parse_range(source, &f->source))
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                         "%s is no IP address, and no network with no host bits set, such as "
                                         "192.0.2.0/24.", source);
        return 0;
}

int method_list_connections(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Broker *b = ((ControlConn *) userdata)->control->broker;
        ConnectionFilter filter = {};
        const ConnectionTable *t;
        const char *source;
        ControlPage page;
        uint32_t first;
        size_t i, n, end;
        int r;

        r = sd_bus_message_read(m, "usss", &first, &filter.route, &filter.worker, &source);
        if (r >= 0)
                r = list_connections_check(b, &filter, source, error);
        if (r < 0)
                return r;

        control_page_start(&page, m, b, first);
        t = control_connections(b);
        n = t->store->header->n_touched;
        end = MIN(n, (size_t) first + CONNECTION_SLOTS_MAX);
        for (i = first; i < end && page.n < CONTROL_PAGE_MAX; i++)
                if (t->slots[i].n_handoffs > 0 && list_connections_wants(t, &t->slots[i], &filter))
                        control_page_add(&page, list_connections_write, &t->slots[i]);

        return control_page_end(&page, i, n);
}
