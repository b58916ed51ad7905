/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The lists of listeners, workers and clients. ControlPage in internal.h says how a reply is paged. */

#include "basic/address.h"
#include "broker/state/client-context.h"
#include "broker/state/source-rate.h"
#include "connections/table.h"
#include "control/conn.h"

/* Slots of the client table that one call looks at. */
#define SLOTS_MAX 4096

#define ERROR_NO_SUCH_WORKER CONTROL_INTERFACE ".Error.NoSuchWorker"

void control_page_start(ControlPage *page, sd_bus_message *m, const Broker *b, uint32_t first) {
        *page = (ControlPage){ .broker = b, .first = first, .writer = dbus_begin_reply(m) };
        dbus_append(&page->writer, "t", b->n.n_loaded);
        dbus_open(&page->writer, 'a', "a{sv}");
}

int control_page_begin(ControlPage *page, sd_bus_message *m, void *userdata) {
        uint32_t first;
        int r;

        r = sd_bus_message_read(m, "u", &first);
        if (r >= 0)
                control_page_start(page, m, ((ControlConn *) userdata)->control->broker, first);

        return r;
}

void control_page_add(ControlPage *page, ControlWriteEntry write, const void *item) {
        dbus_open(&page->writer, 'a', "{sv}");
        write(&page->writer, page->broker, item);
        dbus_close(&page->writer);
        page->n++;
}

int control_page_end(ControlPage *page, size_t i, size_t n) {
        dbus_close(&page->writer);
        dbus_append(&page->writer, "u", i < n ? (uint32_t) i : 0);
        return dbus_send(&page->writer);
}

const char *control_refusal_name(unsigned i) {
        return refusal_to_string((Refusal) i);
}

void control_entry_client(DBusWriter *w, const Client *c) {
        /* The broker knows no path of an AF_UNIX address (ClientAddress). */
        socklen_t len = c->address.sa.sa_family == AF_UNIX ? sizeof(sa_family_t) : sizeof(c->address);
        char text[ADDRESS_TEXT_MAX], id[CLIENT_ID_MAX];

        address_to_text(&c->address.sa, len, text);
        (void) client_id(c, id);

        dbus_entry_string(w, "Id", id);
        dbus_entry_string(w, "Client", text);
        dbus_entry_string(w, "Listener", c->listener->name);
}

/* Writes the last client that was refused for a limit of its source, with the limit. */
static void lists_write_hit(DBusWriter *w, const SourceHit *hit, const char *address_name, const char *limit_name) {
        char source[ADDRESS_TEXT_MAX], limit[SOURCE_RATE_TEXT_MAX];

        if (hit->limit.n == 0)
                return;

        address_to_host(&hit->address.sa, sizeof(hit->address), source);
        dbus_entry_string(w, address_name, source);
        if (hit->limit.interval > 0)
                dbus_entry_string(w, limit_name, source_rate_to_text(&hit->limit, limit));
        else
                dbus_entry_number(w, limit_name, hit->limit.n);
}

/* Writes the refusals of the last minutes, and what is known about those for a limit of a source. */
static void lists_write_recent(DBusWriter *w, const Listener *l, usec_t now) {
        uint64_t counts[_REFUSAL_MAX];

        for (size_t i = 0; i < _REFUSAL_MAX; i++)
                counts[i] = recent_count(&l->recent[i], now);
        dbus_entry_counts(w, "RecentRefusals", counts, _REFUSAL_MAX, control_refusal_name);

        if (counts[REFUSAL_SOURCE_FULL] > 0)
                lists_write_hit(w, &l->hits[REFUSAL_SOURCE_FULL], "FullSource", "MaxClientsPerSource");
        if (counts[REFUSAL_SOURCE_BUSY] > 0)
                lists_write_hit(w, &l->hits[REFUSAL_SOURCE_BUSY], "BusySource", "MaxConnectionsPerSource");
        if (counts[REFUSAL_SOURCE_RATE] > 0)
                lists_write_hit(w, &l->hits[REFUSAL_SOURCE_RATE], "FastSource", "RateLimitPerSource");
}

void control_entry_stamp(DBusWriter *w, uint64_t stamp) {
        char text[STAMP_TEXT_MAX];

        dbus_entry_string(w, "Stamp", stamp_to_string(stamp, text));
}

static void lists_write_listener(DBusWriter *w, const Broker *b, const void *item) {
        const Listener *l = item;
        struct sockaddr_storage ss = {};
        socklen_t len = sizeof(ss);
        const char *state = broker_is_stopping(b) ? "stopping" : b->admission.is_paused ? "paused" : "accepting";
        char address[ADDRESS_TEXT_MAX] = "unknown";

        if (getsockname(l->fd, (struct sockaddr *) &ss, &len) >= 0)
                address_to_text((const struct sockaddr *) &ss, len, address);

        dbus_entry_string(w, "Name", l->name);
        dbus_entry_string(w, "Address", address);
        dbus_entry_string(w, "Unit", l->config->unit);
        if (l->config->unit)
                control_entry_stamp(w, l->config->stamp);
        dbus_entry_string(w, "State", state);
        dbus_entry_number(w, "Accepted", l->n_accepted);
        dbus_entry_counts(w, "Refusals", l->n_refused, _REFUSAL_MAX, control_refusal_name);
        lists_write_recent(w, l, loop_now(&b->loop));
}

int method_list_listeners(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ControlPage page;
        size_t i = 0, n = 0;
        int r;

        r = control_page_begin(&page, m, userdata);
        if (r < 0)
                return r;

        LIST_FOREACH(l, &page.broker->listeners) {
                if (n >= page.first && page.n < CONTROL_PAGE_MAX) {
                        control_page_add(&page, lists_write_listener, CONTAINER_OF(l, Listener, link));
                        i = n + 1;
                }
                n++;
        }

        return control_page_end(&page, i, n);
}

const char *control_worker_state(const Broker *b, const Worker *w) {
        return w->is_drained       ? "drained"
             : w->unreachable          ? "gone"
             : w->n_hanging > 0 ? "hanging"
             : w->unresponsive || worker_stuck_for(w, loop_now(&b->loop)) > 0 ? "stuck"
             : !worker_is_ready(w, loop_now(&b->loop)) ? "resting"
                                : "ready";
}

/* Writes the units whose routes lead to the worker, at most a page of them. */
static void lists_write_units(DBusWriter *w, const Worker *worker) {
        char *units[CONTROL_PAGE_MAX + 1] = {};

        for (size_t i = 0; i < worker->n_stats && i < CONTROL_PAGE_MAX; i++)
                units[i] = worker->stats[i]->unit;

        dbus_entry_strings(w, "Units", units);
}

static void lists_write_worker(DBusWriter *w, const Broker *b, const void *item) {
        const Worker *worker = item;

        dbus_entry_string(w, "Worker", worker->path);
        lists_write_units(w, worker);
        dbus_entry_string(w, "State", control_worker_state(b, worker));
        dbus_entry_bool(w, "Drained", worker->is_drained);
        if (worker->unreachable) {
                dbus_entry_number(w, "GoneForUSec", loop_now(&b->loop) - worker->unreachable_since);
                dbus_entry_string(w, "GoneError", strerror(-worker->unreachable_error));
                dbus_entry_string(w, "GoneHint", diag_gone_hint(worker->unreachable_error));
        }
        if (worker_stuck_for(worker, loop_now(&b->loop)) > 0)
                dbus_entry_number(w, "StuckForUSec", worker_stuck_for(worker, loop_now(&b->loop)));
        dbus_entry_number(w, "Pending", worker->n_pending);
        if (control_connections(b)) {
                const ConnectionWorker *c = connection_worker_find(&control_connections(b)->routes, worker->path);

                dbus_entry_number(w, "Connections", c ? c->n_live : 0);
        }
        dbus_entry_number(w, "Taken", worker->n_taken);
        dbus_entry_number(w, "Rerouted", worker->n_rerouted);
        dbus_entry_number(w, "Unread", worker->n_unread);
}

int method_list_workers(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const WorkerTable *table;
        ControlPage page;
        size_t i;
        int r;

        r = control_page_begin(&page, m, userdata);
        if (r < 0)
                return r;

        table = &page.broker->workers;
        for (i = page.first; i < table->n_workers && page.n < CONTROL_PAGE_MAX; i++)
                if (*table->workers[i]->path)
                        control_page_add(&page, lists_write_worker, table->workers[i]);

        return control_page_end(&page, i, table->n_workers);
}

Worker *control_find_worker(const Broker *b, const char *name) {
        for (size_t i = 0; i < b->routing->n_routes; i++)
                if (streq(b->routing->routes[i].worker->path, name) || streq(b->routing->routes[i].config->unit, name))
                        return b->routing->routes[i].worker;

        return NULL;
}

int control_no_such_worker(sd_bus_error *error, const char *name) {
        return sd_bus_error_setf(error, ERROR_NO_SUCH_WORKER, "No route has the worker or the unit %s.", name);
}

int method_get_worker(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Broker *b = ((ControlConn *) userdata)->control->broker;
        const Worker *worker;
        const char *name;
        DBusWriter w;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;

        worker = control_find_worker(b, name);
        if (!worker)
                return control_no_such_worker(error, name);

        w = dbus_begin_reply(m);
        dbus_open(&w, 'a', "{sv}");
        lists_write_worker(&w, b, worker);
        dbus_close(&w);
        return dbus_send(&w);
}

static void lists_write_client(DBusWriter *w, const Broker *b, const void *item) {
        static const char *const states[] = {
                [CLIENT_FREE] = "free",       [CLIENT_NEW] = "new",           [CLIENT_HEAD] = "head",
                [CLIENT_PARKED] = "parked",   [CLIENT_QUEUED] = "queued",     [CLIENT_PENDING] = "pending",
                [CLIENT_REFUSED] = "refused", [CLIENT_FLUSHING] = "flushing", [CLIENT_INSPECTED] = "inspected",
        };
        const Client *c = item;

        control_entry_client(w, c);
        dbus_entry_string(w, "State", states[c->state]);
        dbus_entry_number(w, "AgeUSec", loop_now(&b->loop) - c->begun_at);
        if (c->pool)
                dbus_entry_string(w, "Route", (c->sent.route ?: c->pool->routes)->config->unit);
        if (c->sent.route)
                dbus_entry_string(w, "Worker", c->sent.route->worker->path);
        if (c->state == CLIENT_REFUSED && c->flush.status == 0) /* otherwise a flusher has answered it */
                dbus_entry_string(w, "Reason", refusal_to_string(c->refused.why));
}

int method_list_clients(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const ClientTable *table;
        ControlPage page;
        size_t i, end;
        int r;

        r = control_page_begin(&page, m, userdata);
        if (r < 0)
                return r;

        table = &page.broker->clients;
        end = MIN(table->n_touched, (size_t) page.first + SLOTS_MAX);
        for (i = page.first; i < end && page.n < CONTROL_PAGE_MAX; i++)
                if (table->slots[i].state != CLIENT_FREE)
                        control_page_add(&page, lists_write_client, &table->slots[i]);

        return control_page_end(&page, i, table->n_touched);
}
