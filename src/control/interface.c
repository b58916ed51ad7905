/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.fdpass.Broker1: what can be read and done. */

#include "broker/pool.h"
#include "broker/refusal.h"
#include "broker/routing.h"
#include "control/entry.h"
#include "control/internal.h"

#define ERROR_NO_SUCH_WORKER CONTROL_INTERFACE ".Error.NoSuchWorker"
#define ERROR_RELOAD_FAILED CONTROL_INTERFACE ".Error.ReloadFailed"

/* Properties */

static const Control *control_of(void *userdata) {
        return ((ControlConn *) userdata)->control;
}

static int get_string(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                      void *userdata, sd_bus_error *error) {
        static const char *const levels[] = { "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug" };
        const Control *c = control_of(userdata);
        const Broker *b = c->broker;
        const char *value = "";

        if (streq(property, "Version"))
                value = FDPASS_VERSION;
        else if (streq(property, "State"))
                value = b->stopping ? "stopping" : b->paused ? "paused" : "running";
        else if (streq(property, "PauseReason") && b->paused)
                value = b->pause_error < 0 ? strerror(-b->pause_error) : "MaxClients=";
        else if (streq(property, "ReloadFindings"))
                value = c->host.report->findings ?: "";
        else if (streq(property, "LogLevel"))
                value = levels[log_level(b->log)];

        return sd_bus_message_append_basic(reply, 's', value);
}

static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                      void *userdata, sd_bus_error *error) {
        const Control *c = control_of(userdata);
        const Broker *b = c->broker;
        uint64_t value = 0;

        if (streq(property, "StartedUSec"))
                value = c->started_at;
        else if (streq(property, "LoadedUSec"))
                value = c->host.report->used_at;
        else if (streq(property, "ReloadUSec"))
                value = c->host.report->at;
        else if (streq(property, "Routes"))
                value = b->routing->n_routes;
        else if (streq(property, "Workers"))
                value = b->workers.n_workers;
        else if (streq(property, "MaxClients"))
                value = b->max_clients;
        else if (streq(property, "MaxParked"))
                value = b->max_parked;
        else if (streq(property, "LogDropped"))
                value = log_n_dropped(b->log);
        else if (streq(property, "ControlPeers"))
                value = c->n_conns;
        else if (streq(property, "Subscribers"))
                value = c->n_subscribed;

        return sd_bus_message_append_basic(reply, 't', &value);
}

static int get_failed(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                      void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "b", (int) control_of(userdata)->host.report->failed);
}

static const char *refusal_name(unsigned i) {
        return refusal_to_string((Refusal) i);
}

static int get_refusals(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_counts(reply, control_of(userdata)->broker->n.n_refused, _REFUSAL_MAX, refusal_name);
}

/* Clients under way by what they wait for. Counting them one by one would take too long. */
static int get_clients(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Broker *b = control_of(userdata)->broker;
        uint64_t queued = 0, pending = 0, head;

        LIST_FOREACH(i, &b->waiting)
                queued += CONTAINER_OF(i, Pool, waiting_link)->n_queued;
        for (size_t i = 0; i < b->workers.n_workers; i++)
                pending += b->workers.workers[i]->n_pending;
        head = b->clients.n_used - b->n_parked - b->n_refused_held - queued - pending;

        return sd_bus_message_append(reply, "a{st}", 5, "head", head, "queued", queued, "pending", pending,
                                     "parked", (uint64_t) b->n_parked, "refused", (uint64_t) b->n_refused_held);
}

static int get_counters(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const BrokerCounters *n = &control_of(userdata)->broker->n;
        uint64_t n_refused = 0;

        for (size_t i = 0; i < _REFUSAL_MAX; i++)
                n_refused += n->n_refused[i];

        return sd_bus_message_append(reply, "a{st}", 7, "Accepted", n->n_accepted, "Returned", n->n_returned,
                                     "Taken", n->n_handed, "Unread", n->n_reset, "Refused", n_refused,
                                     "PassedOn", n->n_passed_on, "Gone", n->n_gone);
}

/* Methods */

/* By its path, or by a unit with a route to it. */
static Worker *find_worker(const Broker *b, const char *name) {
        for (size_t i = 0; i < b->routing->n_routes; i++)
                if (streq(b->routing->routes[i].worker->path, name) || streq(b->routing->routes[i].config->unit, name))
                        return b->routing->routes[i].worker;

        return NULL;
}

static int drain(sd_bus_message *m, ControlConn *conn, bool drained, sd_bus_error *error) {
        Broker *b = conn->control->broker;
        const char *name;
        Worker *w;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;

        w = find_worker(b, name);
        if (!w)
                return sd_bus_error_setf(error, ERROR_NO_SUCH_WORKER, "No route leads to a worker %s, or has that name.", name);

        if (w->drained != drained) {
                log_line(b->log, LOG_NOTICE, drained ? "Worker %s is drained: it gets no more clients."
                                                     : "Worker %s gets clients again.", w->path);
                pool_drain_worker(b, w, drained);
                events_drained(conn->control, w);
        }

        return sd_bus_reply_method_return(m, NULL);
}

static int method_drain(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return drain(m, userdata, true, error);
}

static int method_undrain(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return drain(m, userdata, false, error);
}

static int method_reload(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ControlConn *conn = userdata;
        Control *c = conn->control;

        c->host.reload(c->host.userdata);
        events_reloaded(c);

        if (c->host.report->failed)
                return sd_bus_error_set(error, ERROR_RELOAD_FAILED, c->host.report->findings ?: "Not reloaded.");

        return sd_bus_reply_method_return(m, "ts", (uint64_t) c->broker->routing->n_routes,
                                          c->host.report->findings ?: "");
}

static int method_set_log_level(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        static const char *const levels[] = { "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug" };
        ControlConn *conn = userdata;
        const char *name;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;

        for (size_t i = 0; i < ELEMENTSOF(levels); i++)
                if (streq(levels[i], name)) {
                        log_set_level(conn->control->broker->log, (int) i);
                        return sd_bus_reply_method_return(m, NULL);
                }

        return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                                "The levels are emerg, alert, crit, err, warning, notice, info and debug.");
}

static int method_subscribe(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        events_subscribe(userdata, true);
        return sd_bus_reply_method_return(m, NULL);
}

static int method_unsubscribe(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        events_subscribe(userdata, false);
        return sd_bus_reply_method_return(m, NULL);
}

/* Each peer may call each method, because control.c checks the peer of each connection. */
#define ANYBODY SD_BUS_VTABLE_UNPRIVILEGED

static const sd_bus_vtable broker_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", get_string, 0, 0),
        SD_BUS_PROPERTY("PauseReason", "s", get_string, 0, 0),
        SD_BUS_PROPERTY("LogLevel", "s", get_string, 0, 0),
        SD_BUS_PROPERTY("StartedUSec", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("LoadedUSec", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("ReloadUSec", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("ReloadFailed", "b", get_failed, 0, 0),
        SD_BUS_PROPERTY("ReloadFindings", "s", get_string, 0, 0),
        SD_BUS_PROPERTY("Routes", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("Workers", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("MaxClients", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("MaxParked", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("LogDropped", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("ControlPeers", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("Subscribers", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("Clients", "a{st}", get_clients, 0, 0),
        SD_BUS_PROPERTY("Counters", "a{st}", get_counters, 0, 0),
        SD_BUS_PROPERTY("Refusals", "a{st}", get_refusals, 0, 0),

        SD_BUS_METHOD_WITH_ARGS("ListListeners", SD_BUS_ARGS("u", first),
                                SD_BUS_RESULT("t", generation, "aa{sv}", listeners, "u", next), method_list_listeners, ANYBODY),
        SD_BUS_METHOD_WITH_ARGS("ListRoutes", SD_BUS_ARGS("u", first),
                                SD_BUS_RESULT("t", generation, "aa{sv}", routes, "u", next), method_list_routes, ANYBODY),
        SD_BUS_METHOD_WITH_ARGS("ListWorkers", SD_BUS_ARGS("u", first),
                                SD_BUS_RESULT("t", generation, "aa{sv}", workers, "u", next), method_list_workers, ANYBODY),
        SD_BUS_METHOD_WITH_ARGS("ListClients", SD_BUS_ARGS("u", first),
                                SD_BUS_RESULT("t", generation, "aa{sv}", clients, "u", next), method_list_clients, ANYBODY),
        SD_BUS_METHOD_WITH_ARGS("Test", SD_BUS_ARGS("s", listener, "s", source, "ay", bytes),
                                SD_BUS_RESULT("a{sv}", outcome), method_test, ANYBODY),
        SD_BUS_METHOD_WITH_ARGS("Drain", SD_BUS_ARGS("s", worker), SD_BUS_NO_RESULT, method_drain, ANYBODY),
        SD_BUS_METHOD_WITH_ARGS("Undrain", SD_BUS_ARGS("s", worker), SD_BUS_NO_RESULT, method_undrain, ANYBODY),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_RESULT("t", routes, "s", findings), method_reload, ANYBODY),
        SD_BUS_METHOD_WITH_ARGS("SetLogLevel", SD_BUS_ARGS("s", level), SD_BUS_NO_RESULT, method_set_log_level, ANYBODY),
        SD_BUS_METHOD_WITH_ARGS("Subscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_subscribe, ANYBODY),
        SD_BUS_METHOD_WITH_ARGS("Unsubscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_unsubscribe, ANYBODY),
        SD_BUS_SIGNAL_WITH_ARGS("Event", SD_BUS_ARGS("s", kind, "a{sv}", details), 0),
        SD_BUS_SIGNAL_WITH_ARGS("Lost", SD_BUS_ARGS("t", events), 0),
        SD_BUS_VTABLE_END,
};

/* busctl, and others that know buses only, begin by asking the bus for a name. There is none; this is a name. */
static int method_hello(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "s", ":1.1");
}

static const sd_bus_vtable bus_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Hello", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", name), method_hello, ANYBODY),
        SD_BUS_VTABLE_END,
};

int interface_add(ControlConn *conn) {
        int r;

        r = sd_bus_add_object_vtable(conn->bus, NULL, CONTROL_PATH, CONTROL_INTERFACE, broker_vtable, conn);
        if (r >= 0)
                r = sd_bus_add_object_vtable(conn->bus, NULL, "/org/freedesktop/DBus", "org.freedesktop.DBus", bus_vtable, conn);

        return r;
}
