/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The method Test: which route would take a client with these first bytes now, and what are the states of its workers?
 */

#include <arpa/inet.h>

#include "broker/facts.h"
#include "broker/head.h"
#include "broker/listener.h"
#include "broker/routing.h"
#include "control/internal.h"

typedef struct TestOutcome {
        const char *result; /* "route", "refused", or "more": more bytes are needed */
        const char *reason; /* of a refusal; NULL otherwise */
        const Pool *pool;   /* NULL: no route takes the client */
} TestOutcome;

static bool control_test_parse_source(const char *s, struct sockaddr_in6 *ret) {
        struct in_addr in;

        *ret = (struct sockaddr_in6){ .sin6_family = AF_INET6 };

        /* On a socket for both families an IPv4 address has this form (RFC 4291 2.5.5.2). */
        if (inet_pton(AF_INET, s, &in) == 1) {
                ret->sin6_addr.s6_addr[10] = ret->sin6_addr.s6_addr[11] = 0xff;
                memcpy(ret->sin6_addr.s6_addr + 12, &in, sizeof(in));
                return true;
        }

        return inet_pton(AF_INET6, s, &ret->sin6_addr) == 1;
}

static TestOutcome control_test_find(const Routing *routing, const Facts *facts, ProbeReason malformed) {
        MatchResult result;
        const Pool *pool;

        match_index_find(routing->index, facts, &result);
        pool = result.found ? &routing->pools[result.pool] : NULL;

        if (result.ambiguous_path)
                malformed = PROBE_REASON_HTTP_AMBIGUOUS_PATH;

        /* Malformed bytes are taken only by a route that names them with Prefix=. */
        if (malformed != PROBE_REASON_NONE &&
            (result.ambiguous_path || !pool || pool->routes[0].config->match.n_prefixes == 0))
                return (TestOutcome){ "refused", probe_reason_to_string(malformed), NULL };

        return pool ? (TestOutcome){ "route", NULL, pool } : (TestOutcome){ "refused", "no-route", NULL };
}

/* For a client that sends nothing. */
static TestOutcome control_test_decide_silent(const Routing *routing, Facts *facts) {
        TestOutcome o;

        facts->protocol = PROTOCOL_SILENT;
        o = control_test_find(routing, facts, PROBE_REASON_NONE);

        return !o.pool || head_takes_silent(o.pool) ? o : (TestOutcome){ "refused", "no-route", NULL };
}

/* An unknown name is taken to be that of a public listener. */
static bool control_test_needs_head(const Routing *routing, const char *name) {
        LIST_FOREACH(i, &routing->broker->listeners)
                if (streq(CONTAINER_OF(i, Listener, link)->name, name))
                        return routing_needs_head(routing, CONTAINER_OF(i, Listener, link));

        return routing_needs_head(routing, &(Listener){ .name = (char *) (uintptr_t) name });
}

static TestOutcome control_test_decide(const Routing *routing, Facts *facts) {
        const ListenerConfig *listener = routing_listener_config(routing, facts->listener);
        Probe probe;

        /* The broker does not look at the first bytes if no route asks for them. */
        if (!control_test_needs_head(routing, facts->listener)) {
                facts->head = (Slice){};
                return control_test_find(routing, facts, PROBE_REASON_NONE);
        }

        if (facts->head.n == 0)
                return control_test_decide_silent(routing, facts);

        switch (probe_client(facts->head.p, facts->head.n, listener->max_head_size, &probe)) {

        case PROBE_NEED_MORE:
                return (TestOutcome){ "more", NULL, NULL };

        case PROBE_MATCH:
                facts_add_probe(facts, &probe);
                return control_test_find(routing, facts, PROBE_REASON_NONE);

        case PROBE_MALFORMED:
                return control_test_find(routing, facts, probe.reason);

        case PROBE_NO_MATCH:
                break;
        }

        if (routing_prefix_needs_more(routing, facts->listener, facts->head))
                return (TestOutcome){ "more", NULL, NULL };

        return control_test_find(routing, facts, PROBE_REASON_NONE);
}

/* Writes the units, workers and states of the pool's routes as arrays of the same length, at most a page of them. */
static void control_test_write_pool(DBusWriter *w, const Broker *b, const Pool *p) {
        char *units[CONTROL_PAGE_MAX + 1] = {}, *workers[CONTROL_PAGE_MAX + 1] = {}, *states[CONTROL_PAGE_MAX + 1] = {};

        for (size_t i = 0; i < p->n_routes && i < CONTROL_PAGE_MAX; i++) {
                units[i] = p->routes[i].config->unit;
                workers[i] = p->routes[i].worker->path;
                states[i] = (char *) (uintptr_t) control_worker_state(b, p->routes[i].worker);
        }

        dbus_entry_strings(w, "Units", units);
        dbus_entry_strings(w, "Workers", workers);
        dbus_entry_strings(w, "States", states);
        dbus_entry_number(w, "Queued", p->n_queued);
}

static int control_test_reply(sd_bus_message *m, const Broker *b, const TestOutcome *o) {
        DBusWriter w = dbus_begin_reply(m);

        dbus_open(&w, 'a', "{sv}");
        dbus_entry_string(&w, "Result", o->result);
        dbus_entry_string(&w, "Reason", o->reason);
        if (o->pool)
                control_test_write_pool(&w, b, o->pool);
        dbus_close(&w);

        return dbus_send(&w);
}

int method_test(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Broker *b = ((ControlConn *) userdata)->control->broker;
        const char *listener, *source;
        struct sockaddr_in6 address;
        Facts facts = {};
        const void *head;
        TestOutcome o;
        int r;

        r = sd_bus_message_read(m, "ss", &listener, &source);
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &head, &facts.head.n);
        if (r < 0)
                return r;

        facts.listener = listener;
        facts.head.p = head;
        if (source[0] != '\0') {
                if (!control_test_parse_source(source, &address))
                        return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "The source is no IP address.");
                facts.source = (const struct sockaddr *) &address;
        }

        o = control_test_decide(b->routing, &facts);
        return control_test_reply(m, b, &o);
}
