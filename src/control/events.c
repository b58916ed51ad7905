/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What happens, as signals to those who have asked for it. Nobody waits for them: beyond a rate, or to a peer that
 * does not read, events are left out, and counted.
 */

#include "basic/address.h"
#include "broker/listener.h"
#include "broker/refusal.h"
#include "broker/routing.h"
#include "control/entry.h"
#include "control/internal.h"

/* To all peers together in one second: each costs the broker some 10 µs. */
#define EVENTS_PER_SEC 1000

/* Told as each of them comes. */
static int send_lost(ControlConn *conn) {
        int r;

        if (conn->n_lost == 0)
                return 0;

        r = sd_bus_emit_signal(conn->bus, CONTROL_PATH, CONTROL_INTERFACE, "Lost", "t", conn->n_lost);
        if (r >= 0)
                conn->n_lost = 0;
        return r;
}

static bool has_room(const ControlConn *conn) {
        return control_conn_n_queued(conn) < CONTROL_QUEUE_MAX;
}

static bool is_within_rate(Control *c) {
        usec_t now = broker_now(c->broker);

        if (now - c->events_at >= USEC_PER_SEC) {
                c->events_at = now;
                c->n_events = 0;
        }

        return c->n_events++ < EVENTS_PER_SEC;
}

typedef struct Event {
        const char *kind;
        const Client *client;  /* NULL: about a worker, or the whole */
        const char *route;
        const char *worker;
        const char *reason;
} Event;

static int write_event(sd_bus_message *m, const Broker *b, const Event *e) {
        char text[ADDRESS_TEXT_MAX], id[CLIENT_ID_MAX];
        const Client *c = e->client;
        int r = 0;

        if (c) {
                address_to_text(&c->address.sa,
                                c->address.sa.sa_family == AF_UNIX ? sizeof(sa_family_t) : sizeof(c->address), text);

                (void) client_id(c, id);
                r = entry_string(m, "Id", id);
                if (r >= 0)
                        r = entry_string(m, "Client", text);
                if (r >= 0)
                        r = entry_string(m, "Listener", c->listener->name);
                if (r >= 0 && c->begun_at > 0)
                        r = entry_number(m, "AgeUSec", broker_now(b) - c->begun_at);
        }
        if (r >= 0)
                r = entry_string(m, "Route", e->route);
        if (r >= 0)
                r = entry_string(m, "Worker", e->worker);
        if (r >= 0)
                r = entry_string(m, "Reason", e->reason);

        return r;
}

static int send_event(ControlConn *conn, const Event *e) {
        sd_bus_message *m = NULL;
        int r;

        r = send_lost(conn);
        if (r >= 0)
                r = sd_bus_message_new_signal(conn->bus, &m, CONTROL_PATH, CONTROL_INTERFACE, "Event");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', e->kind);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = write_event(m, conn->control->broker, e);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_send(conn->bus, m, NULL);

        sd_bus_message_unref(m);
        return r;
}

static void tell(Control *c, const Event *e) {
        LIST_FOREACH(i, &c->conns) {
                ControlConn *conn = CONTAINER_OF(i, ControlConn, link);

                if (!conn->is_subscribed)
                        continue;
                if (!is_within_rate(c) || !has_room(conn) || send_event(conn, e) < 0)
                        conn->n_lost++;
                control_conn_watch(conn);
        }

        /* What could not be written at once is sd-bus's to wait for. */
        watch_sd_event_changed(&c->broker->watch);
}

/* In the middle of a handoff: nothing is changed here but what waits to be sent. */
static void on_event(void *userdata, EventKind kind, const Client *client, const Route *route) {
        static const char *const kinds[_EVENT_MAX] = {
                [EVENT_HANDED] = "handed",           [EVENT_UNREAD] = "unread",
                [EVENT_DECLINED] = "declined",       [EVENT_REFUSED] = "refused",
                [EVENT_WORKER_GONE] = "worker-gone", [EVENT_WORKER_BACK] = "worker-back",
        };

        tell(userdata, &(Event){
                .kind = kinds[kind],
                .client = client,
                .route = route ? route->config->unit : NULL,
                .worker = route && kind != EVENT_REFUSED ? route->worker->path : NULL,
                .reason = kind == EVENT_REFUSED ? refusal_to_string(client->refusal) : NULL,
        });
}

void events_reloaded(Control *c) {
        tell(c, &(Event){ .kind = "reloaded", .reason = c->host.report->failed ? "failed" : NULL });
}

void events_drained(Control *c, const Worker *w) {
        tell(c, &(Event){ .kind = w->drained ? "drained" : "undrained", .worker = w->path });
}

void events_subscribe(ControlConn *conn, bool subscribe) {
        Control *c = conn->control;

        if (conn->is_subscribed == subscribe)
                return;

        conn->is_subscribed = subscribe;
        if (subscribe)
                c->n_subscribed++;
        else
                c->n_subscribed--;

        c->broker->observer = c->n_subscribed > 0 ? on_event : NULL;
        c->broker->observer_userdata = c;
}
