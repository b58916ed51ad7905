/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The properties of org.fdpass.Broker1. */

#include "broker/state/routing.h"
#include "connections/table.h"
#include "control/conn.h"

/* Defines the getter properties_get_@name() of a property with the type @signature. @value may use @c and @b. */
#define DEFINE_GETTER(name, signature, value)                                                          \
        static int properties_get_##name(sd_bus *bus, const char *path, const char *interface,         \
                                         const char *property, sd_bus_message *reply, void *userdata,  \
                                         sd_bus_error *error) {                                        \
                const Control *c = ((ControlConn *) userdata)->control;                                \
                const Broker *b _unused_ = c->broker;                                                  \
                                                                                                       \
                return sd_bus_message_append(reply, signature, value);                                 \
        }                                                                                              \
        struct properties_get_##name##_wants_a_semicolon

#define DEFINE_STRING(name, value) DEFINE_GETTER(name, "s", value)
#define DEFINE_NUMBER(name, value) DEFINE_GETTER(name, "t", (uint64_t) (value))

static const char *properties_state(const Broker *b) {
        return broker_is_stopping(b) ? "stopping" : b->admission.is_paused ? "paused" : "running";
}

static const char *properties_pause_reason(const Broker *b) {
        if (!b->admission.is_paused)
                return "";

        return b->admission.pause_error < 0 ? strerror(-b->admission.pause_error) : "MaxClients=";
}

DEFINE_STRING(version, FDPASS_VERSION);
DEFINE_STRING(state, properties_state(b));
DEFINE_GETTER(draining, "b", (int) b->host_drain.is_on);
DEFINE_STRING(drain_reason, b->host_drain.reason);
DEFINE_STRING(pause_reason, properties_pause_reason(b));
DEFINE_STRING(stamp, stamp_to_string(b->routing->config->broker.stamp, (char[STAMP_TEXT_MAX]){}));
DEFINE_STRING(log_level, log_level_to_string(log_level(b->diag.log)));
DEFINE_NUMBER(started, c->started_at);
DEFINE_NUMBER(loaded, c->host.report->used_at);
DEFINE_NUMBER(reload_time, c->host.report->at);
DEFINE_GETTER(reload_failed, "b", (int) c->host.report->has_failed);
DEFINE_STRING(reload_findings, c->host.report->findings ?: "");
DEFINE_NUMBER(n_routes, b->routing->n_routes);
DEFINE_NUMBER(n_workers, b->workers.n_workers - (worker_find(&b->workers, "") != NULL));
DEFINE_NUMBER(max_clients, b->admission.max_clients);
DEFINE_NUMBER(max_parked, b->parking.max);
DEFINE_NUMBER(log_dropped, log_n_dropped(b->diag.log));
DEFINE_NUMBER(n_conns, c->n_conns);
DEFINE_NUMBER(n_subscribed, c->n_subscribed);

static int properties_get_refusals(sd_bus *bus, const char *path, const char *interface, const char *property,
                                   sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Broker *b = ((ControlConn *) userdata)->control->broker;
        DBusWriter w = { .message = reply };

        dbus_append_counts(&w, b->n.n_refused, _REFUSAL_MAX, control_refusal_name);
        return w.error;
}

/* The sentences of all reasons, by their words. */
static int properties_get_refusal_meanings(sd_bus *bus, const char *path, const char *interface, const char *property,
                                           sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        DBusWriter w = { .message = reply };

        dbus_open(&w, 'a', "{ss}");
        for (unsigned i = 0; i < _REFUSAL_MAX; i++)
                dbus_append(&w, "{ss}", refusal_to_string((Refusal) i), refusal_sentence((Refusal) i));
        dbus_close(&w);
        return w.error;
}

static uint64_t properties_count_queued(const Broker *b) {
        uint64_t n = 0;

        LIST_FOREACH(i, &b->generations.waiting)
                n += CONTAINER_OF(i, Pool, waiting_link)->n_queued;
        return n;
}

static uint64_t properties_count_pending(const Broker *b) {
        uint64_t n = 0;

        for (size_t i = 0; i < b->workers.n_workers; i++)
                n += b->workers.workers[i]->n_pending;
        return n;
}

static uint64_t properties_count_flushing(const Broker *b) {
        uint64_t n = 0;

        LIST_FOREACH(i, &b->flushes.clients.waits)
                n++;
        return n;
}

/* A client that was sent to a worker counts as pending also while it is inspected. Only such a client has a route. */
static uint64_t properties_count_inspected(const Broker *b) {
        uint64_t n = 0;

        LIST_FOREACH(i, &b->inspect.waiting)
                n += !CONTAINER_OF(i, Client, wait.link)->sent.route;
        for (size_t i = 0; i < ELEMENTSOF(b->inspect.asked); i++)
                n += b->inspect.asked[i] && !b->inspect.asked[i]->sent.route;
        return n;
}

/* Counts clients by state. The head counts what is left, because walking the whole table would delay handoffs. */
static int properties_get_clients(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Broker *b = ((ControlConn *) userdata)->control->broker;
        uint64_t queued = properties_count_queued(b), pending = properties_count_pending(b);
        uint64_t flushing = properties_count_flushing(b), inspected = properties_count_inspected(b);
        uint64_t parked = b->parking.n, refused = b->linger.n;
        uint64_t head = b->clients.n_used - parked - refused - queued - pending - flushing - inspected;

        return sd_bus_message_append(reply, "a{st}", 7, "head", head, "queued", queued, "pending", pending,
                                     "flushing", flushing, "inspected", inspected, "parked", parked,
                                     "refused", refused);
}

static int properties_get_counters(sd_bus *bus, const char *path, const char *interface, const char *property,
                                   sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const BrokerCounters *n = &((ControlConn *) userdata)->control->broker->n;
        uint64_t n_refused = 0;

        for (size_t i = 0; i < _REFUSAL_MAX; i++)
                n_refused += n->n_refused[i];

        return sd_bus_message_append(reply, "a{st}", 7, "Accepted", n->n_accepted, "Returned", n->n_returned,
                                     "Taken", n->n_taken, "Unread", n->n_unread, "Refused", n_refused,
                                     "HandedOver", n->n_handed_over, "Gone", n->n_gone);
}

/* Counts connections. The dictionary is empty if they are not tracked. */
static int properties_get_connections(sd_bus *bus, const char *path, const char *interface, const char *property,
                                      sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const ConnectionTable *t = control_connections(((ControlConn *) userdata)->control->broker);

        if (!t)
                return sd_bus_message_append(reply, "a{st}", 0);

        return sd_bus_message_append(reply, "a{st}", 6, "Live", (uint64_t) t->n_tracked, "HandedBack",
                                     (uint64_t) t->n_in_broker, "Max", (uint64_t) t->n_max, "Untracked", t->n_untracked,
                                     "Other", t->n_other, "Lost", t->n_lost);
}

const sd_bus_vtable properties_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", properties_get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", properties_get_state, 0, 0),
        SD_BUS_PROPERTY("PauseReason", "s", properties_get_pause_reason, 0, 0),
        SD_BUS_PROPERTY("Draining", "b", properties_get_draining, 0, 0),
        SD_BUS_PROPERTY("DrainReason", "s", properties_get_drain_reason, 0, 0),
        SD_BUS_PROPERTY("Stamp", "s", properties_get_stamp, 0, 0),
        SD_BUS_PROPERTY("LogLevel", "s", properties_get_log_level, 0, 0),
        SD_BUS_PROPERTY("StartedUSec", "t", properties_get_started, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("LoadedUSec", "t", properties_get_loaded, 0, 0),
        SD_BUS_PROPERTY("ReloadUSec", "t", properties_get_reload_time, 0, 0),
        SD_BUS_PROPERTY("ReloadFailed", "b", properties_get_reload_failed, 0, 0),
        SD_BUS_PROPERTY("ReloadFindings", "s", properties_get_reload_findings, 0, 0),
        SD_BUS_PROPERTY("Routes", "t", properties_get_n_routes, 0, 0),
        SD_BUS_PROPERTY("Workers", "t", properties_get_n_workers, 0, 0),
        SD_BUS_PROPERTY("MaxClients", "t", properties_get_max_clients, 0, 0),
        SD_BUS_PROPERTY("MaxParked", "t", properties_get_max_parked, 0, 0),
        SD_BUS_PROPERTY("LogDropped", "t", properties_get_log_dropped, 0, 0),
        SD_BUS_PROPERTY("ControlPeers", "t", properties_get_n_conns, 0, 0),
        SD_BUS_PROPERTY("Subscribers", "t", properties_get_n_subscribed, 0, 0),
        SD_BUS_PROPERTY("Clients", "a{st}", properties_get_clients, 0, 0),
        SD_BUS_PROPERTY("Counters", "a{st}", properties_get_counters, 0, 0),
        SD_BUS_PROPERTY("Connections", "a{st}", properties_get_connections, 0, 0),
        SD_BUS_PROPERTY("Refusals", "a{st}", properties_get_refusals, 0, 0),
        SD_BUS_PROPERTY("RefusalMeanings", "a{ss}", properties_get_refusal_meanings, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END,
};
