/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Signals about clients and workers, for connections with a subscription. The broker never waits for a peer: a signal
 * is dropped and counted if there are too many in one second, or if too many wait for the peer.
 */

#include "basic/address.h"
#include "broker/state/listener.h"
#include "broker/state/routing.h"
#include "control/conn.h"

/* Signals per second to all connections together, because each takes the loop about 10 µs. */
#define EVENTS_PER_SEC 1000

typedef struct ControlEvent {
        const char *kind;
        const Client *client;  /* NULL: the event is about a worker or about the broker */
        const char *route;     /* NULL: none; likewise below */
        const char *worker;
        const char *reason;
} ControlEvent;

/* Tells the peer how many signals it has lost. Returns 0 or more, or a negative errno. */
static int events_send_lost(ControlConn *conn) {
        int r;

        if (conn->n_lost == 0)
                return 0;

        r = sd_bus_emit_signal(conn->bus, CONTROL_PATH, CONTROL_INTERFACE, "Lost", "t", conn->n_lost);
        if (r >= 0)
                conn->n_lost = 0;
        return r;
}

static bool events_are_within_rate(Control *c) {
        usec_t now = loop_now(&c->broker->loop);

        if (now - c->events_at >= USEC_PER_SEC) {
                c->events_at = now;
                c->n_events = 0;
        }

        return c->n_events++ < EVENTS_PER_SEC;
}

static void events_write_client(DBusWriter *w, const Broker *b, const Client *c) {
        control_entry_client(w, c);
        if (c->begun_at > 0)
                dbus_entry_number(w, "AgeUSec", loop_now(&b->loop) - c->begun_at);
        if (c->is_rerouted)
                dbus_entry_bool(w, "Rerouted", true);
}

static int events_send(ControlConn *conn, const ControlEvent *e) {
        DBusWriter w = dbus_begin_signal(conn->bus, CONTROL_PATH, CONTROL_INTERFACE, "Event");

        dbus_append(&w, "s", e->kind);
        dbus_open(&w, 'a', "{sv}");
        if (e->client)
                events_write_client(&w, conn->control->broker, e->client);
        dbus_entry_string(&w, "Route", e->route);
        dbus_entry_string(&w, "Worker", e->worker);
        dbus_entry_string(&w, "Reason", e->reason);
        dbus_close(&w);

        return dbus_send(&w);
}

static void events_send_to_all(Control *c, const ControlEvent *e) {
        LIST_FOREACH(i, &c->conns) {
                ControlConn *conn = CONTAINER_OF(i, ControlConn, link);

                if (!conn->is_subscribed)
                        continue;
                if (!events_are_within_rate(c) || control_conn_n_queued(conn) >= CONTROL_QUEUE_MAX ||
                    events_send_lost(conn) < 0 || events_send(conn, e) < 0)
                        conn->n_lost++;
                control_conn_watch(conn);
        }

        /* The sources of the connections wait for other events now. */
        loop_sd_event_changed(&c->broker->loop);
}

/* Broker.observer. It is called in the middle of a handoff, so it changes nothing of the broker. */
static void events_on_broker(void *userdata, EventKind kind, const Client *client, const Route *route) {
        static const char *const kinds[_EVENT_MAX] = {
                [EVENT_TAKEN] = "taken",             [EVENT_UNREAD] = "unread",
                [EVENT_DECLINED] = "declined",       [EVENT_REFUSED] = "refused",
                [EVENT_WORKER_GONE] = "worker-gone", [EVENT_WORKER_BACK] = "worker-back",
        };

        events_send_to_all(userdata, &(ControlEvent){
                .kind = kinds[kind],
                .client = client,
                .route = route ? route->config->unit : NULL,
                .worker = route && kind != EVENT_REFUSED ? route->worker->path : NULL,
                .reason = kind == EVENT_REFUSED ? refusal_to_string(client->refused.why) : NULL,
        });
}

void events_reloaded(Control *c) {
        const char *reason = c->host.report->has_failed ? "failed" : NULL;

        events_send_to_all(c, &(ControlEvent){ .kind = "reloaded", .reason = reason });
}

void events_drained(Control *c, const Worker *w) {
        events_send_to_all(c, &(ControlEvent){ .kind = w->is_drained ? "drained" : "undrained", .worker = w->path });
}

void events_host_drained(Control *c) {
        const HostDrain *drain = &c->broker->host_drain;

        events_send_to_all(c, &(ControlEvent){
                .kind = drain->is_on ? "host-drained" : "host-undrained",
                .reason = drain->reason[0] ? drain->reason : NULL,
        });
}

void events_subscribe(ControlConn *conn) {
        Control *c = conn->control;

        if (conn->is_subscribed)
                return;

        conn->is_subscribed = true;
        c->n_subscribed++;
        c->broker->diag.observer = events_on_broker;
        c->broker->diag.observer_userdata = c;
}
