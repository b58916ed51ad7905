/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The lists: a page each time. A caller begins with 0 and goes on with the number that it gets, until that is 0. The
 * first number of each reply counts the configurations: where it changes between two pages, they don't belong
 * together.
 */

#include <stdio.h>

#include "basic/address.h"
#include "basic/utf8.h"
#include "broker/diag.h"
#include "broker/listener.h"
#include "broker/refusal.h"
#include "broker/routing.h"
#include "control/entry.h"
#include "control/internal.h"

/* Slots of the table of clients that one call looks at. */
#define SLOTS_MAX 4096

static const char *refusal_name(unsigned i) {
        return refusal_to_string((Refusal) i);
}

/* A page while it is written. */
typedef struct Page {
        sd_bus_message *reply;
        unsigned n;
} Page;

typedef int (*WriteEntry)(const Broker *b, sd_bus_message *m, const void *item);

static int page_add(Page *page, const Broker *b, WriteEntry write, const void *item) {
        int r;

        r = sd_bus_message_open_container(page->reply, 'a', "{sv}");
        if (r >= 0)
                r = write(b, page->reply, item);
        if (r >= 0)
                r = sd_bus_message_close_container(page->reply);

        page->n++;
        return r < 0 ? r : 0;
}

static int page_begin(sd_bus_message *m, const Broker *b, uint32_t *ret_first, Page *page) {
        int r;

        *page = (Page){};

        r = sd_bus_message_read(m, "u", ret_first);
        if (r >= 0)
                r = sd_bus_message_new_method_return(m, &page->reply);
        if (r >= 0)
                r = sd_bus_message_append(page->reply, "t", b->n.n_loaded);
        if (r >= 0)
                r = sd_bus_message_open_container(page->reply, 'a', "a{sv}");
        if (r < 0)
                page->reply = sd_bus_message_unref(page->reply);

        return r;
}

/* @next: where the next page begins, 0: there is none. @r: how it went so far. */
static int page_end(Page *page, uint32_t next, int r) {
        if (r >= 0)
                r = sd_bus_message_close_container(page->reply);
        if (r >= 0)
                r = sd_bus_message_append(page->reply, "u", next);
        if (r >= 0)
                r = sd_bus_send(NULL, page->reply, NULL);

        sd_bus_message_unref(page->reply);
        return r < 0 ? r : 1;
}

static uint32_t next_of(size_t i, size_t n) {
        return i < n ? (uint32_t) i : 0;
}

static int write_listener(const Broker *b, sd_bus_message *m, const void *item) {
        const Listener *l = item;
        struct sockaddr_storage ss = {};
        socklen_t len = sizeof(ss);
        char address[ADDRESS_TEXT_MAX] = "unknown";
        int r;

        if (getsockname(l->fd, (struct sockaddr *) &ss, &len) >= 0)
                address_to_text((const struct sockaddr *) &ss, len, address);

        r = entry_string(m, "Name", l->name);
        if (r >= 0)
                r = entry_string(m, "Address", address);
        if (r >= 0)
                r = entry_string(m, "Unit", l->config->unit);
        if (r >= 0)
                r = entry_string(m, "State", b->stopping ? "stopping" : b->paused ? "paused" : "accepting");
        if (r >= 0)
                r = entry_number(m, "Accepted", l->n_accepted);
        if (r >= 0)
                r = entry_counts(m, "Refusals", l->n_refused, _REFUSAL_MAX, refusal_name);

        return r;
}

int method_list_listeners(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Broker *b = ((ControlConn *) userdata)->control->broker;
        uint32_t first, i = 0;
        Page page;
        int r;

        r = page_begin(m, b, &first, &page);
        if (r < 0)
                return r;

        LIST_FOREACH(l, &b->listeners)
                if (r >= 0 && i++ >= first) {
                        if (page.n == PAGE_MAX)
                                return page_end(&page, i - 1, 0);
                        r = page_add(&page, b, write_listener, CONTAINER_OF(l, Listener, link));
                }

        return page_end(&page, 0, r);
}

/* " Key=value value", as far as there is room. */
static void add_key(char *text, size_t size, const char *key, char **values) {
        size_t n = strlen(text);
        int k;

        for (char **v = values; v && *v; v++, n += (size_t) k) {
                k = snprintf(text + n, size - n, v == values ? "%s%s=%s" : "%s%.0s%s",
                             v == values && n == 0 ? "" : " ", key, *v);
                if (k < 0 || (size_t) k >= size - n) {
                        text[n] = '\0'; /* whole values only */
                        return;
                }
        }
}

/* A pattern may be long: of such a one the beginning will do. */
static void add_header(char *text, size_t size, const HeaderMatch *h) {
        size_t n = utf8_cut(h->glob, 60);
        char value[128];

        (void) snprintf(value, sizeof(value), "%.40s: %.*s%s", h->name, (int) n, h->glob, h->glob[n] ? "…" : "");
        add_key(text, size, "Header", (char *[]){ value, NULL });
}

/* What the route takes, in one line for people. */
static void describe_match(const RouteMatch *match, char *text, size_t size) {
        static struct {
                unsigned bit;
                char name[8];
        } protocols[] = {
                { 1U << PROBE_HTTP, "http" }, { 1U << PROBE_HTTP2, "http2" }, { 1U << PROBE_TLS, "tls" },
                { 1U << PROBE_SSH, "ssh" },   { PROTOCOL_SILENT, "silent" },
        };
        char *names[ELEMENTSOF(protocols) + 1] = {};
        size_t n = 0;

        text[0] = '\0';
        add_key(text, size, "Host", match->hosts);
        add_key(text, size, "Path", match->paths);
        add_key(text, size, "Method", match->methods);
        for (size_t i = 0; i < match->n_headers; i++)
                add_header(text, size, &match->headers[i]);
        add_key(text, size, "ALPN", match->alpns);
        for (size_t i = 0; i < ELEMENTSOF(protocols); i++)
                if (match->protocols & protocols[i].bit)
                        names[n++] = protocols[i].name;
        add_key(text, size, "Protocol", names);
        if (match->n_sources > 0)
                add_key(text, size, "Source", (char *[]){ (char[]){ "…" }, NULL });
        if (match->n_prefixes > 0)
                add_key(text, size, "Prefix", (char *[]){ (char[]){ "…" }, NULL });
        add_key(text, size, "Listener", match->listeners);
        add_key(text, size, "InternalName", (char *[]){ match->name, NULL });
}

const char *worker_state(const Broker *b, const Worker *w) {
        return w->drained ? "drained"
             : w->gone    ? "gone"
             : w->n_hanging > 0 ? "hanging"
             : w->stuck   ? "stuck"
             : !worker_is_ready(w, broker_now(b)) ? "resting"
                          : "ready";
}

static int write_counters(sd_bus_message *m, const RouteStats *stats) {
        int r;

        r = entry_number(m, "Taken", stats->n_taken);
        if (r >= 0)
                r = entry_number(m, "Unread", stats->n_unread);
        if (r >= 0)
                r = entry_number(m, "Declined", stats->n_declined);
        if (r >= 0)
                r = entry_number(m, "Failed", stats->n_failed);
        if (r >= 0)
                r = entry_counts(m, "Refusals", stats->n_refused, _REFUSAL_MAX, refusal_name);
        if (r >= 0)
                r = entry_series(m, "HandoffTimes", stats->time.n, HISTOGRAM_BUCKETS);
        if (r >= 0)
                r = entry_number(m, "HandoffTimeSumUSec", stats->time.sum);

        return r;
}

static usec_t oldest_wait(const Broker *b, const Pool *p) {
        List *l = list_first(&p->again) ?: list_first(&p->queue);

        return l ? broker_now(b) - CONTAINER_OF(l, Client, link)->begun_at : 0;
}

/* Its pool's queue. */
static int write_queue(const Broker *b, sd_bus_message *m, const Pool *p) {
        int r;

        r = entry_string(m, "Pool", p->routes[0].config->unit);
        if (r >= 0)
                r = entry_number(m, "Queued", p->n_queued);
        if (r >= 0)
                r = entry_number(m, "MaxQueued", p->max_queued);
        if (r >= 0)
                r = entry_number(m, "OldestWaitUSec", oldest_wait(b, p));

        return r;
}

static int write_worker_of_route(const Broker *b, sd_bus_message *m, const Route *route) {
        static const char *const forms[] = {
                [WORKER_STREAM] = "stream", [WORKER_SEQPACKET] = "seqpacket",
        };
        const RouteConfig *config = route->config;
        int r;

        r = entry_string(m, "Worker", config->worker);
        if (r >= 0)
                r = entry_string(m, "State", worker_state(b, route->worker));
        if (r >= 0)
                r = entry_string(m, "Form", forms[config->form]);
        if (r >= 0)
                r = entry_number(m, "Weight", config->weight);
        if (r >= 0)
                r = entry_bool(m, "Backup", config->backup);
        if (r >= 0)
                r = entry_number(m, "Pending", route->worker->n_pending);
        if (r >= 0)
                r = entry_number(m, "MaxPending", config->max_pending);

        return r;
}

static int write_route(const Broker *b, sd_bus_message *m, const void *item) {
        const Route *route = item;
        char match[256];
        int r;

        describe_match(&route->config->match, match, sizeof(match));

        r = entry_string(m, "Unit", route->config->unit);
        if (r >= 0)
                r = entry_string(m, "Match", match);
        if (r >= 0)
                r = entry_integer(m, "RoutePriority", route->config->match.priority);
        if (r >= 0)
                r = entry_strings(m, "Listeners", route->config->match.listeners);
        if (r >= 0)
                r = write_worker_of_route(b, m, route);
        if (r >= 0)
                r = write_queue(b, m, route->pool);
        if (r >= 0)
                r = write_counters(m, route->stats);

        return r;
}

int method_list_routes(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Broker *b = ((ControlConn *) userdata)->control->broker;
        uint32_t first;
        Page page;
        size_t i;
        int r;

        r = page_begin(m, b, &first, &page);
        if (r < 0)
                return r;

        for (i = first; r >= 0 && i < b->routing->n_routes && page.n < PAGE_MAX; i++)
                r = page_add(&page, b, write_route, &b->routing->routes[i]);

        return page_end(&page, next_of(i, b->routing->n_routes), r);
}

/* The units whose routes lead to it. One worker rarely has more than one. */
static int write_units(sd_bus_message *m, const Worker *w) {
        char *units[PAGE_MAX + 1] = {};
        size_t n = 0;

        for (; n < w->n_stats && n < PAGE_MAX; n++)
                units[n] = w->stats[n]->unit;

        return entry_strings(m, "Units", units);
}

static int write_worker(const Broker *b, sd_bus_message *m, const void *item) {
        const Worker *w = item;
        int r;

        r = entry_string(m, "Worker", w->path);
        if (r >= 0)
                r = write_units(m, w);
        if (r >= 0)
                r = entry_string(m, "State", worker_state(b, w));
        if (r >= 0)
                r = entry_bool(m, "Drained", w->drained);
        if (r >= 0 && w->gone)
                r = entry_number(m, "GoneForUSec", broker_now(b) - w->gone_since);
        if (r >= 0 && w->gone)
                r = entry_string(m, "GoneError", strerror(-w->gone_error));
        if (r >= 0 && w->gone)
                r = entry_string(m, "GoneHint", diag_gone_hint(w->gone_error));
        if (r >= 0)
                r = entry_number(m, "Pending", w->n_pending);
        if (r >= 0)
                r = entry_number(m, "Taken", w->n_taken);
        if (r >= 0)
                r = entry_number(m, "Unread", w->n_unread);

        return r;
}

int method_list_workers(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Broker *b = ((ControlConn *) userdata)->control->broker;
        uint32_t first;
        Page page;
        size_t i;
        int r;

        r = page_begin(m, b, &first, &page);
        if (r < 0)
                return r;

        for (i = first; r >= 0 && i < b->workers.n_workers && page.n < PAGE_MAX; i++)
                r = page_add(&page, b, write_worker, b->workers.workers[i]);

        return page_end(&page, next_of(i, b->workers.n_workers), r);
}

static int write_client(const Broker *b, sd_bus_message *m, const void *item) {
        static const char *const states[] = {
                [CLIENT_FREE] = "free",     [CLIENT_NEW] = "new",             [CLIENT_HEAD] = "head",
                [CLIENT_PARKED] = "parked", [CLIENT_QUEUED] = "queued",       [CLIENT_PENDING] = "pending",
                [CLIENT_REFUSED] = "refused", [CLIENT_FLUSHING] = "flushing",   [CLIENT_JUDGED] = "judged",
        };
        const Client *c = item;
        char text[ADDRESS_TEXT_MAX], id[CLIENT_ID_MAX];
        int r;

        address_to_text(&c->address.sa, c->address.sa.sa_family == AF_UNIX ? sizeof(sa_family_t) : sizeof(c->address),
                        text);

        (void) client_id(c, id);
        r = entry_string(m, "Id", id);
        if (r >= 0)
                r = entry_string(m, "Client", text);
        if (r >= 0)
                r = entry_string(m, "Listener", c->listener->name);
        if (r >= 0)
                r = entry_string(m, "State", states[c->state]);
        if (r >= 0)
                r = entry_number(m, "AgeUSec", broker_now(b) - c->begun_at);
        if (r >= 0 && c->pool)
                r = entry_string(m, "Route", c->route ? c->route->config->unit : c->pool->routes[0].config->unit);
        if (r >= 0 && c->route)
                r = entry_string(m, "Worker", c->route->worker->path);
        if (r >= 0 && c->state == CLIENT_REFUSED)
                r = entry_string(m, "Reason", refusal_to_string(c->refusal));

        return r;
}

int method_list_clients(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Broker *b = ((ControlConn *) userdata)->control->broker;
        const ClientTable *table = &b->clients;
        size_t i, n_looked = 0;
        uint32_t first;
        Page page;
        int r;

        r = page_begin(m, b, &first, &page);
        if (r < 0)
                return r;

        for (i = first; r >= 0 && i < table->n_touched && page.n < PAGE_MAX && n_looked < SLOTS_MAX; i++, n_looked++)
                if (table->slots[i].state != CLIENT_FREE)
                        r = page_add(&page, b, write_client, &table->slots[i]);

        return page_end(&page, next_of(i, table->n_touched), r);
}
