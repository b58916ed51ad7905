/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The methods of org.fdpass.Broker1 that change something, and its table of methods and signals. */

#include "broker/state/routing.h"
#include "control/conn.h"

#define ERROR_RELOAD_FAILED CONTROL_INTERFACE ".Error.ReloadFailed"

static int interface_drain(sd_bus_message *m, ControlConn *conn, bool drained, sd_bus_error *error) {
        Broker *b = conn->control->broker;
        const char *name;
        Worker *w;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;

        w = control_find_worker(b, name);
        if (!w)
                return control_no_such_worker(error, name);

        if (w->is_drained != drained) {
                log_line(b->diag.log, LOG_NOTICE, drained ? "Worker %s is drained: it gets no more clients."
                                                     : "Worker %s gets clients again.", w->path);
                broker_drain_worker(b, w, drained);
                events_drained(conn->control, w);
                if (conn->control->host.drained)
                        conn->control->host.drained(conn->control->host.userdata);
        }

        return sd_bus_reply_method_return(m, NULL);
}

static int interface_on_drain(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return interface_drain(m, userdata, true, error);
}

static int interface_on_undrain(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return interface_drain(m, userdata, false, error);
}

static int interface_on_reload(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Control *c = ((ControlConn *) userdata)->control;

        c->host.reload(c->host.userdata);
        events_reloaded(c);

        if (c->host.report->has_failed)
                return sd_bus_error_set(error, ERROR_RELOAD_FAILED, c->host.report->findings ?: "Not reloaded.");

        return sd_bus_reply_method_return(m, "ts", (uint64_t) c->broker->routing->n_routes,
                                          c->host.report->findings ?: "");
}

static int interface_on_set_log_level(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name;
        int level, r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;

        level = log_level_from_string(name);
        if (level < 0)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                                        "The levels are emerg, alert, crit, err, warning, notice, info and debug.");

        log_set_level(((ControlConn *) userdata)->control->broker->diag.log, level);
        return sd_bus_reply_method_return(m, NULL);
}

static int interface_on_subscribe(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        events_subscribe(userdata);
        return sd_bus_reply_method_return(m, NULL);
}

static int interface_on_unsubscribe(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        control_conn_unsubscribe(userdata);
        return sd_bus_reply_method_return(m, NULL);
}

/* Each peer may call each method, because access is checked at the connection (control.c). */
#define ALLOWED SD_BUS_VTABLE_UNPRIVILEGED

static const sd_bus_vtable interface_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("ListListeners", SD_BUS_ARGS("u", first),
                                SD_BUS_RESULT("t", generation, "aa{sv}", listeners, "u", next),
                                method_list_listeners, ALLOWED),
        SD_BUS_METHOD_WITH_ARGS("ListRoutes", SD_BUS_ARGS("u", first),
                                SD_BUS_RESULT("t", generation, "aa{sv}", routes, "u", next),
                                method_list_routes, ALLOWED),
        SD_BUS_METHOD_WITH_ARGS("ListWorkers", SD_BUS_ARGS("u", first),
                                SD_BUS_RESULT("t", generation, "aa{sv}", workers, "u", next),
                                method_list_workers, ALLOWED),
        SD_BUS_METHOD_WITH_ARGS("ListClients", SD_BUS_ARGS("u", first),
                                SD_BUS_RESULT("t", generation, "aa{sv}", clients, "u", next),
                                method_list_clients, ALLOWED),
        SD_BUS_METHOD_WITH_ARGS("ListConnections", SD_BUS_ARGS("u", first, "s", route, "s", worker, "s", source),
                                SD_BUS_RESULT("t", generation, "aa{sv}", connections, "u", next),
                                method_list_connections, ALLOWED),
        SD_BUS_METHOD_WITH_ARGS("GetWorker", SD_BUS_ARGS("s", worker), SD_BUS_RESULT("a{sv}", worker),
                                method_get_worker, ALLOWED),
        SD_BUS_METHOD_WITH_ARGS("Test", SD_BUS_ARGS("s", listener, "s", source, "ay", bytes),
                                SD_BUS_RESULT("a{sv}", outcome), method_test, ALLOWED),
        SD_BUS_METHOD_WITH_ARGS("Drain", SD_BUS_ARGS("s", worker), SD_BUS_NO_RESULT, interface_on_drain, ALLOWED),
        SD_BUS_METHOD_WITH_ARGS("Undrain", SD_BUS_ARGS("s", worker), SD_BUS_NO_RESULT, interface_on_undrain, ALLOWED),
        SD_BUS_METHOD_WITH_ARGS("Health", SD_BUS_ARGS("as", units),
                                SD_BUS_RESULT("s", state, "s", reason, "aa{sv}", routes), method_health, ALLOWED),
        SD_BUS_METHOD_WITH_ARGS("ReadHostDrain", SD_BUS_NO_ARGS, SD_BUS_RESULT("b", drained),
                                method_read_host_drain, ALLOWED),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_RESULT("t", routes, "s", findings),
                                interface_on_reload, ALLOWED),
        SD_BUS_METHOD_WITH_ARGS("SetLogLevel", SD_BUS_ARGS("s", level), SD_BUS_NO_RESULT,
                                interface_on_set_log_level, ALLOWED),
        SD_BUS_METHOD_WITH_ARGS("Subscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, interface_on_subscribe, ALLOWED),
        SD_BUS_METHOD_WITH_ARGS("Unsubscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, interface_on_unsubscribe, ALLOWED),
        SD_BUS_SIGNAL_WITH_ARGS("Event", SD_BUS_ARGS("s", kind, "a{sv}", details), 0),
        SD_BUS_SIGNAL_WITH_ARGS("Lost", SD_BUS_ARGS("t", events), 0),
        SD_BUS_VTABLE_END,
};

/* busctl(1) and others call this first, as they do on a bus, and need a name as the answer. */
static int interface_on_hello(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "s", ":1.1");
}

static const sd_bus_vtable interface_bus_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Hello", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", name), interface_on_hello, ALLOWED),
        SD_BUS_VTABLE_END,
};

int interface_add(ControlConn *conn) {
        int r;

        r = sd_bus_add_object_vtable(conn->bus, NULL, CONTROL_PATH, CONTROL_INTERFACE, properties_vtable, conn);
        if (r >= 0)
                r = sd_bus_add_object_vtable(conn->bus, NULL, CONTROL_PATH, CONTROL_INTERFACE, interface_vtable, conn);
        if (r >= 0)
                r = sd_bus_add_object_vtable(conn->bus, NULL, "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                             interface_bus_vtable, conn);

        return r;
}
