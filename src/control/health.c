/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Answers a load balancer: does the broker take clients, and can the workers of these units be reached? Workers that
 * could not be reached are tried for the answer (offer_try()), because a balancer that stays away sends no client that
 * would try them.
 */

#include "broker/state/routing.h"
#include "control/conn.h"

/* Units in one question. Each may cost one attempt to connect for each route of its pool. */
#define HEALTH_UNITS_MAX 64

/*
 * A busy broker pauses often and for a moment. Its clients wait in the backlog meanwhile, and a balancer that took the host
 * out would send them to hosts that are as busy.
 */
#define HEALTH_PAUSE_USEC (2 * USEC_PER_SEC)

static const char *health_host_state(const Broker *b) {
        bool is_paused = b->admission.is_paused && loop_now(&b->loop) >= usec_add(b->admission.paused_at, HEALTH_PAUSE_USEC);

        return broker_is_stopping(b) ? "stopping" : is_paused ? "paused" : b->host_drain.is_on ? "draining" : "ready";
}

/* Returns the first route of the unit, or NULL. */
static Route *health_find_route(const Broker *b, const char *unit) {
        for (size_t i = 0; i < b->routing->n_routes; i++)
                if (streq(b->routing->routes[i].config->unit, unit))
                        return &b->routing->routes[i];

        return NULL;
}

/* A worker that rests gets its clients within 250 ms. */
static bool health_is_well(const Broker *b, const Worker *w) {
        const char *state = control_worker_state(b, w);

        return streq(state, "ready") || streq(state, "resting");
}

/*
 * Weights of the workers of a pool that can be reached, in percent of all weights. A backup counts only if no other
 * worker can be reached, because it gets no clients before.
 */
static unsigned health_percent(const Broker *b, const Pool *p) {
        uint64_t all = 0, well = 0;
        bool has_backup = false;

        for (size_t i = 0; i < p->n_routes; i++) {
                const Route *route = &p->routes[i];
                bool is_well = health_is_well(b, route->worker);

                if (route->config->backup) {
                        has_backup = has_backup || is_well;
                        continue;
                }
                all += route->config->weight;
                well += is_well ? route->config->weight : 0;
        }

        if (well > 0)
                return MAX((unsigned) (well * 100 / all), 1U);

        return has_backup ? 100 : 0;
}

static void health_write_route(DBusWriter *w, const Broker *b, const Route *route) {
        const Worker *worker = route->worker;
        const Pool *p = route->pool;
        Wait *oldest = waiting_first(&p->again) ?: waiting_first(&p->queue);
        unsigned percent = health_percent(b, p);

        dbus_entry_string(w, "State", percent > 0 ? "ready" : control_worker_state(b, worker));
        dbus_entry_number(w, "Percent", percent);
        if (percent == 0 && worker->unreachable)
                dbus_entry_string(w, "Reason", strerror(-worker->unreachable_error));
        dbus_entry_number(w, "Queued", p->n_queued);
        dbus_entry_number(w, "OldestWaitUSec",
                          oldest ? loop_now(&b->loop) - CONTAINER_OF(oldest, Client, wait)->begun_at : 0);
}

static void health_write_unit(DBusWriter *w, Broker *b, const char *unit) {
        Route *route = health_find_route(b, unit);

        dbus_open(w, 'a', "{sv}");
        dbus_entry_string(w, "Unit", unit);
        if (route) {
                broker_try_pool(b, route->pool);
                health_write_route(w, b, route);
        } else
                dbus_entry_string(w, "State", "unknown");
        dbus_close(w);
}

int method_health(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Broker *b = ((ControlConn *) userdata)->control->broker;
        DBusWriter w;
        const char *unit;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "s");
        if (r < 0)
                return r;

        w = dbus_begin_reply(m);
        dbus_append(&w, "ss", health_host_state(b), b->host_drain.reason);
        dbus_open(&w, 'a', "a{sv}");
        for (unsigned i = 0; i < HEALTH_UNITS_MAX && (r = sd_bus_message_read(m, "s", &unit)) > 0; i++)
                health_write_unit(&w, b, unit);
        dbus_close(&w);
        return dbus_send(&w);
}

int method_read_host_drain(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Control *c = ((ControlConn *) userdata)->control;
        bool was_on = c->broker->host_drain.is_on;

        if (c->host.read_host_drain)
                c->host.read_host_drain(c->host.userdata);
        if (c->broker->host_drain.is_on != was_on)
                events_host_drained(c);

        return sd_bus_reply_method_return(m, "b", (int) c->broker->host_drain.is_on);
}
