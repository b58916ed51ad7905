/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The method Test: which route would take a client with these first bytes now, and what are the states of its workers?
 */

#include <arpa/inet.h>

#include "control/conn.h"
#include "match/decide.h"
#include "match/facts.h"

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

/* An unknown name is taken to be that of a public listener. */
static bool control_test_needs_head(const Broker *b, const char *name) {
        const Listener *l = listener_find(&b->listeners, slice_from_string(name));

        return routing_needs_head(b->routing, l ?: &(Listener){ .name = (char *) (uintptr_t) name });
}

/*
 * Takes off a PROXY header, as if the proxy were trusted. Bytes without a header are taken for those behind it, because
 * `fdpassctl test --host=` sends none. Returns false, and the result, if the header is incomplete or malformed.
 */
static bool control_test_take_proxy(const ListenerConfig *listener, ClientFacts *facts, ProxiedFacts *proxied,
                                    Decision *ret) {
        ProbeReason reason;
        ProbeVerdict v;

        if (listener->proxy_protocol == PROXY_PROTOCOL_NO || facts->head.n == 0)
                return true;

        v = facts_take_proxy(facts, proxied, &reason);
        *ret = v == PROBE_MALFORMED ? (Decision){ .kind = DECISION_MALFORMED, .reason = reason }
                                    : (Decision){ .kind = DECISION_MORE };
        return v == PROBE_MATCH || v == PROBE_NO_MATCH;
}

static Decision control_test_decide(const Broker *b, ClientFacts *facts, ProxiedFacts *proxied, Probe *probe) {
        const ListenerConfig *listener = config_listener(b->routing->config, facts->listener);
        const MatchIndex *index = b->routing->index;
        Decision d;

        if (!control_test_take_proxy(listener, facts, proxied, &d))
                return d;

        /* The broker does not look at the first bytes if no route asks for them. */
        if (!control_test_needs_head(b, facts->listener)) {
                facts->head = (Slice){};
                return decide_facts(index, facts);
        }

        if (facts->head.n == 0)
                return decide_silent(index, facts);

        return decide_head(index, facts, listener->max_head_size, probe);
}

/* Writes the units, workers and states of the pool's routes as arrays of the same length, at most a page of them. */
static void control_test_write_pool(DBusWriter *w, const Broker *b, const Pool *p) {
        char *units[CONTROL_PAGE_MAX + 1] = {}, *workers[CONTROL_PAGE_MAX + 1] = {}, *states[CONTROL_PAGE_MAX + 1] = {};

        for (size_t i = 0; i < p->n_routes && i < CONTROL_PAGE_MAX; i++) {
                units[i] = p->routes[i].config->unit;
                workers[i] = p->routes[i].config->redirects ? p->routes[i].config->flusher_argument : p->routes[i].worker->path;
                states[i] = (char *) (uintptr_t) control_worker_state(b, p->routes[i].worker);
        }

        dbus_entry_strings(w, "Units", units);
        dbus_entry_strings(w, "Workers", workers);
        dbus_entry_strings(w, "States", states);
        dbus_entry_number(w, "Queued", p->n_queued);
}

static int control_test_reply(sd_bus_message *m, const Broker *b, const Decision *d) {
        DBusWriter w = dbus_begin_reply(m);

        dbus_open(&w, 'a', "{sv}");
        dbus_entry_string(&w, "Result", decision_result(d));
        dbus_entry_string(&w, "Reason", decision_reason(d));
        if (d->kind == DECISION_ROUTE)
                control_test_write_pool(&w, b, &b->routing->pools[d->pool]);
        dbus_close(&w);

        return dbus_send(&w);
}

int method_test(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Broker *b = ((ControlConn *) userdata)->control->broker;
        const char *listener, *source;
        struct sockaddr_in6 address;
        ClientFacts facts = {};
        ProxiedFacts proxied;
        const void *head;
        Decision decision;
        Probe probe;
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

        decision = control_test_decide(b, &facts, &proxied, &probe);
        return control_test_reply(m, b, &decision);
}
