/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/head.h"

#include <sys/socket.h>

#include "basic/error.h"
#include "broker/state/client-context.h"
#include "broker/state/watch.h"
#include "match/decide.h"
#include "match/facts.h"

void head_enter(Client *c) {
        Listener *l = c->listener;

        c->state = CLIENT_HEAD;
        waiting_add(&l->heads, &c->wait, c->wait.due);
        if (c->second.due > 0)
                waiting_add(&l->silent, &c->second, c->second.due);
}

void head_begin_silence(Client *c, usec_t due) {
        c->second.due = due;
        if (c->state == CLIENT_HEAD)
                waiting_add(&c->listener->silent, &c->second, due);
}

void head_leave(Loop *loop, Client *c) {
        unwatch_client(loop, c);
        waiting_remove(&c->wait);
        waiting_remove(&c->second);
        c->state = CLIENT_NEW;
}

/* @name is memory for the host in the facts. */
static ClientFacts head_facts(const Client *c, Slice head, ProbeName *name) {
        ClientFacts facts = {
                .listener = c->listener->name,
                .source = &c->address.sa,
                .head = head,
                .name = client_route_name(c),
        };

        /* Behind a TLS stage, the header is about the TLS that the stage has ended. */
        if (c->context && c->context->ssl.n > 0)
                facts_add_stage(&facts, c->context->ssl, name);
        else if (c->context && c->context->proxy.n > 0)
                facts_add_proxy(&facts, c->context->proxy, name);
        return facts;
}

static HeadResult head_refuse(Refusal why, ProbeReason reason) {
        return (HeadResult){ .verdict = HEAD_REFUSE, .why = why, .reason = reason };
}

static HeadResult head_conclude(const Routing *routing, const Decision *d) {
        switch (d->kind) {

        case DECISION_ROUTE:
                return (HeadResult){ .verdict = HEAD_POOL, .pool = &routing->pools[d->pool] };

        case DECISION_NO_ROUTE:
                return head_refuse(REFUSAL_NO_ROUTE, PROBE_REASON_NONE);

        case DECISION_NO_HOST:
                return head_refuse(REFUSAL_NO_HOST, PROBE_REASON_NONE);

        case DECISION_NO_HTTP2:
                return head_refuse(REFUSAL_NO_HTTP2, PROBE_REASON_NONE);

        case DECISION_MALFORMED:
                return head_refuse(REFUSAL_MALFORMED, d->reason);

        case DECISION_MORE:
                break;
        }

        return (HeadResult){ .verdict = HEAD_WAIT };
}

/*
 * Reads the header from the socket, and no more, because the worker must not see it. Returns false if the client has
 * left, or if it sent descriptors with the header over AF_UNIX.
 */
static bool head_consume_proxy(Client *c, uint8_t *buffer, size_t n) {
        ssize_t k = client_is_ip(c) ? recv(c->fd, buffer, n, MSG_DONTWAIT)
                                    : handoff_recv(c->fd, buffer, n, MSG_DONTWAIT);

        if (k < 0)
                return false;

        c->baseline.n_read += (size_t) k;
        return (size_t) k == n; /* all @n bytes were peeked at before */
}

/* Replaces the addresses of the connection by those of the header. A header without addresses changes nothing. */
static void head_use_proxy_address(Client *c, const ProxyFacts *facts) {
        if (facts->source_length == 0)
                return;

        memcpy(&c->address, &facts->source, MIN(sizeof(c->address), (size_t) facts->source_length));
        memcpy(&c->local, &facts->destination, MIN(sizeof(c->local), (size_t) facts->destination_length));
}

static HeadResult head_look_at_proxy(HeadBuffer *hb, Client *c, size_t n) {
        ProxyFacts facts;

        switch (probe_proxy(hb->bytes, n, &facts)) {

        case PROBE_NEED_MORE:
                break;

        case PROBE_MATCH:
                head_use_proxy_address(c, &facts);
                if (facts.tlvs.n > 0 && client_set_proxy_tlvs(c, facts.tlvs) < 0)
                        return head_refuse(REFUSAL_BROKER, PROBE_REASON_NONE);
                if (!head_consume_proxy(c, hb->bytes, facts.header_length))
                        return (HeadResult){ .verdict = HEAD_GONE };
                return (HeadResult){ .verdict = HEAD_PROXY };

        case PROBE_NO_MATCH:
                if (c->listener->config->proxy_protocol == PROXY_PROTOCOL_OPTIONAL)
                        return (HeadResult){ .verdict = HEAD_PROXY };
                return head_refuse(REFUSAL_MALFORMED, PROBE_REASON_PROXY_MISSING);

        case PROBE_MALFORMED:
                return head_refuse(REFUSAL_MALFORMED, facts.reason);
        }

        return (HeadResult){ .verdict = HEAD_WAIT };
}

static HeadResult head_decide(HeadBuffer *hb, const Routing *routing, const Client *c, size_t n) {
        ClientFacts facts = head_facts(c, (Slice){ hb->bytes, n }, &hb->name);
        Decision d = decide_head(routing->index, &facts, c->listener->config->max_head_size, &hb->probe);

        if (d.is_known)
                hb->probe_id = c->id;
        return head_conclude(routing, &d);
}

HeadResult head_look(HeadBuffer *hb, const Routing *routing, Client *c) {
        size_t max = c->needs_proxy ? hb->size : c->listener->config->max_head_size;
        ssize_t n;

        n = client_peek(c, head_buffer_take(hb), max);
        if (n < 0 && errno_is_transient((int) n))
                return (HeadResult){ .verdict = HEAD_WAIT };
        if (n < 0 && errno_is_resource((int) n))
                return head_refuse(REFUSAL_BROKER, PROBE_REASON_NONE);
        if (n <= 0)
                return (HeadResult){ .verdict = HEAD_GONE };

        waiting_remove(&c->second);
        c->second.due = 0;
        if (!c->is_shared)
                c->n_received = c->baseline.n_read + (uint64_t) n;

        return c->needs_proxy ? head_look_at_proxy(hb, c, (size_t) n) : head_decide(hb, routing, c, (size_t) n);
}

HeadResult head_route_at_once(const Routing *routing, const Client *c) {
        ProbeName name;
        ClientFacts facts = head_facts(c, (Slice){}, &name);
        Decision d = decide_facts(routing->index, &facts);

        return head_conclude(routing, &d);
}

HeadResult head_look_last(HeadBuffer *hb, const Routing *routing, const Client *c) {
        ssize_t n = client_peek(c, head_buffer_take(hb), c->listener->config->max_head_size);
        ClientFacts facts;
        Decision d;

        if (n <= 0 || c->needs_proxy)
                return (HeadResult){ .verdict = HEAD_WAIT };

        facts = head_facts(c, (Slice){ hb->bytes, (size_t) n }, &hb->name);
        d = decide_incomplete(routing->index, &facts);
        return head_conclude(routing, &d);
}

HeadResult head_route_silent(const Routing *routing, const Client *c) {
        ProbeName name;
        ClientFacts facts = head_facts(c, (Slice){}, &name);
        Decision d = decide_silent(routing->index, &facts);

        if (d.kind != DECISION_ROUTE)
                return (HeadResult){ .verdict = HEAD_WAIT };

        return head_conclude(routing, &d);
}
