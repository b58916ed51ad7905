/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Test: which route would a client with these first bytes take now, and how are its workers? */

#include <arpa/inet.h>

#include "broker/facts.h"
#include "broker/head.h"
#include "broker/listener.h"
#include "broker/routing.h"
#include "control/entry.h"
#include "control/internal.h"

/* What becomes of it. */
typedef struct Outcome {
        const char *result; /* "route", "refused" or "more" */
        const char *reason;
        const Pool *pool;
} Outcome;

static bool parse_source(const char *s, struct sockaddr_in6 *ret) {
        struct in_addr in;

        *ret = (struct sockaddr_in6){ .sin6_family = AF_INET6 };

        /* An IPv4 address in the form that it has on a socket for both (RFC 4291 2.5.5.2). */
        if (inet_pton(AF_INET, s, &in) == 1) {
                ret->sin6_addr.s6_addr[10] = ret->sin6_addr.s6_addr[11] = 0xff;
                memcpy(ret->sin6_addr.s6_addr + 12, &in, sizeof(in));
                return true;
        }

        return inet_pton(AF_INET6, s, &ret->sin6_addr) == 1;
}

static Outcome find(const Routing *routing, const Facts *facts, ProbeReason malformed) {
        MatchResult result;
        const Pool *pool;

        match_index_find(routing->index, facts, &result);
        pool = result.found ? &routing->pools[result.pool] : NULL;

        if (result.ambiguous_path)
                malformed = PROBE_REASON_HTTP_AMBIGUOUS_PATH;

        /* Only a route that names these very bytes can want them. */
        if (malformed != PROBE_REASON_NONE &&
            (result.ambiguous_path || !pool || pool->routes[0].config->match.n_prefixes == 0))
                return (Outcome){ "refused", probe_reason_to_string(malformed), NULL };

        return pool ? (Outcome){ "route", NULL, pool } : (Outcome){ "refused", "no-route", NULL };
}

/* A client that says nothing. */
static Outcome decide_silent(const Routing *routing, Facts *facts) {
        Outcome o;

        facts->protocol = PROTOCOL_SILENT;
        o = find(routing, facts, PROBE_REASON_NONE);

        return !o.pool || head_takes_silent(o.pool) ? o : (Outcome){ "refused", "no-route", NULL };
}

/* A name that is no listener's is asked about as a public one's. */
static bool needs_head(const Routing *routing, const char *name) {
        LIST_FOREACH(i, &routing->broker->listeners)
                if (streq(CONTAINER_OF(i, Listener, link)->name, name))
                        return routing_needs_head(routing, CONTAINER_OF(i, Listener, link));

        return routing_needs_head(routing, &(Listener){ .name = (char *) (uintptr_t) name });
}

static Outcome decide(const Routing *routing, Facts *facts) {
        const ListenerConfig *listener = routing_listener_config(routing, facts->listener);
        Probe probe;

        /* Where no route asks for bytes, they are not looked at. */
        if (!needs_head(routing, facts->listener)) {
                facts->head = (Slice){};
                return find(routing, facts, PROBE_REASON_NONE);
        }

        if (facts->head.n == 0)
                return decide_silent(routing, facts);

        switch (probe_client(facts->head.p, facts->head.n, listener->max_head_size, &probe)) {

        case PROBE_NEED_MORE:
                return (Outcome){ "more", NULL, NULL };

        case PROBE_MATCH:
                facts_add_probe(facts, &probe);
                return find(routing, facts, PROBE_REASON_NONE);

        case PROBE_MALFORMED:
                return find(routing, facts, probe.reason);

        case PROBE_NO_MATCH:
                break;
        }

        if (routing_prefix_needs_more(routing, facts->listener, facts->head))
                return (Outcome){ "more", NULL, NULL };

        return find(routing, facts, PROBE_REASON_NONE);
}

/* The pool's routes and their workers, side by side; the first ones, if there are very many. */
static int write_pool(const Broker *b, sd_bus_message *m, const Pool *p) {
        char *units[PAGE_MAX + 1] = {}, *workers[PAGE_MAX + 1] = {}, *states[PAGE_MAX + 1] = {};
        int r;

        for (size_t i = 0; i < p->n_routes && i < PAGE_MAX; i++) {
                units[i] = p->routes[i].config->unit;
                workers[i] = p->routes[i].worker->path;
                states[i] = (char *) (uintptr_t) worker_state(b, p->routes[i].worker);
        }

        r = entry_strings(m, "Units", units);
        if (r >= 0)
                r = entry_strings(m, "Workers", workers);
        if (r >= 0)
                r = entry_strings(m, "States", states);
        if (r >= 0)
                r = entry_number(m, "Queued", p->n_queued);

        return r;
}

static int reply(sd_bus_message *m, const Broker *b, const Outcome *o) {
        sd_bus_message *answer = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &answer);
        if (r >= 0)
                r = sd_bus_message_open_container(answer, 'a', "{sv}");
        if (r >= 0)
                r = entry_string(answer, "Result", o->result);
        if (r >= 0)
                r = entry_string(answer, "Reason", o->reason);
        if (r >= 0 && o->pool)
                r = write_pool(b, answer, o->pool);
        if (r >= 0)
                r = sd_bus_message_close_container(answer);
        if (r >= 0)
                r = sd_bus_send(NULL, answer, NULL);

        sd_bus_message_unref(answer);
        return r < 0 ? r : 1;
}

int method_test(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Broker *b = ((ControlConn *) userdata)->control->broker;
        const char *listener, *source;
        struct sockaddr_in6 address;
        Facts facts = {};
        const void *head;
        Outcome o;
        int r;

        r = sd_bus_message_read(m, "ss", &listener, &source);
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &head, &facts.head.n);
        if (r < 0)
                return r;

        facts.listener = listener;
        facts.head.p = head;
        if (source[0] != '\0') {
                if (!parse_source(source, &address))
                        return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "The source is no IP address.");
                facts.source = (const struct sockaddr *) &address;
        }

        o = decide(b->routing, &facts);
        return reply(m, b, &o);
}
