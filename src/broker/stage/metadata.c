/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/metadata.h"

#include "broker/state/client-context.h"
#include "handoff/message.h"
#include "handoff/scope.h"
#include "match/facts.h"
#include "probe/probe.h"

/* Adds the addresses by which the client is routed: those of a PROXY header, or those of the connection. */
static void metadata_add_addresses(Message *m, Client *c) {
        message_address_set(&m->source, &c->address.sa, sizeof(c->address));
        if (m->source.sa.sa_family == AF_UNSPEC)
                return;

        if (c->local.sa.sa_family != AF_UNSPEC)
                message_address_set(&m->destination, &c->local.sa, sizeof(c->local));
        else
                message_address_set(&m->destination, &client_own_address(c)->sa, sizeof(c->own));

        /* Both or none are sent, because the header has one family for both. */
        if (m->destination.sa.sa_family != m->source.sa.sa_family)
                m->source.sa.sa_family = m->destination.sa.sa_family = AF_UNSPEC;
}

static Slice metadata_slice_of_name(const ProbeName *name) {
        return (Slice){ (const uint8_t *) name->text, name->n };
}

static void metadata_add_probe(Message *m, const Probe *probe, TlsProtocol *alpn) {
        m->protocol = slice_from_string(probe_protocol_to_string(probe->protocol));

        if (probe->protocol == PROBE_HTTP)
                m->authority = metadata_slice_of_name(&probe->http.host);

        if (probe->protocol == PROBE_TLS) {
                TlsReader list = probe->tls.alpn;

                m->authority = metadata_slice_of_name(&probe->tls.name);
                if (tls_next_alpn(&list, alpn))
                        m->alpn = (Slice){ alpn->bytes, alpn->n };
        }
}

/*
 * Adds what the PROXY header says where the client's own bytes do not say it. The worker is told the same host and
 * protocol that routes see (match/facts.h). All TLVs of the header are in Message.proxy as they came. @probe is NULL if
 * the client's protocol is unknown. @name is memory for the host.
 */
static void metadata_add_proxy(Message *m, const Probe *probe, ProbeName *name) {
        Slice ssl = slice_find_tlv(m->proxy, PROXY_TLV_SSL);
        ClientFacts facts = {};

        facts_add_proxy(&facts, m->proxy, name);
        if (probe)
                facts_add_probe(&facts, probe);

        if (facts.host)
                m->authority = metadata_slice_of_name(facts.host);
        if (!facts.tls && facts.alpn.n <= FDPASS_TEXT_MAX)
                m->alpn = facts.alpn;
        if (message_ssl_is_valid(ssl))
                m->ssl = ssl;
}

/* The same as routes see (match/facts.h). */
static bool metadata_is_tls(const Client *c) {
        const ClientContext *context = c->context;

        return context && facts_ssl_is_tls(context->ssl.n > 0 ? context->ssl : slice_find_tlv(context->proxy, PROXY_TLV_SSL));
}

/* The next requests on its connection that the client's worker may answer. */
static Slice metadata_scope(const Pool *pool, const Client *c, const ProbeName *host) {
        static const uint8_t asks[] = { FDPASS_SCOPE_ASK | FDPASS_SCOPE_DRAINED, 0, 0, 0, 0 };
        Routing *routing = pool->routing;

        if (routing->shared->scopes_ask)
                return (Slice){ asks, sizeof(asks) };

        return scope_cache_get(&routing->scopes, &pool->config->match, (size_t) (pool - routing->pools), c->listener->name,
                               &c->address.sa, metadata_is_tls(c), host);
}

bool metadata_covers_head(HeadBuffer *hb, const Pool *pool, const Client *c) {
        const Probe *probe = head_buffer_probe(hb, c);
        Scope scope;

        return c->copy && probe && probe->protocol == PROBE_HTTP &&
               scope_decode(metadata_scope(pool, c, &probe->http.host), &scope) &&
               scope_covers(&scope, (Slice){ c->copy->bytes, c->copy->n });
}

int metadata_encode(HeadBuffer *hb, const SealKey *key, const Route *route, Client *c, uint8_t *buffer, size_t size,
                    size_t *ret_n, Slice *ret_consumed) {
        static const uint8_t compare = 1;
        const Probe *probe = head_buffer_probe(hb, c);
        Message m = MESSAGE_NULL;
        TlsProtocol alpn;
        ProbeName name;
        char id[CLIENT_ID_MAX];
        Seal seal;

        metadata_add_addresses(&m, c);
        if (probe)
                metadata_add_probe(&m, probe, &alpn);

        m.unique_id = (Slice){ (const uint8_t *) id, client_id(c, id) };
        m.route = slice_from_string(route->config->unit);
        m.listener = slice_from_string(c->listener->name);
        if (c->queue.has_waited && c->queue.expires_at != USEC_INFINITY)
                m.deadline = c->queue.expires_at;

        if (c->sent.may_reuse)
                m.persistent_max = FDPASS_PERSISTENT_MAX;

        client_fill_message(c, &m);
        if (m.proxy.n > 0 && m.ssl.n == 0) /* a TLS stage would have told all three */
                metadata_add_proxy(&m, probe, &name);
        m.name = (Slice){}; /* only the broker uses it */
        m.hops = (uint8_t) (c->n_hops + 1);

        /* A response that a flusher began ends with the connection. */
        if (probe && probe->protocol == PROBE_HTTP && m.status == 0 && route->config->hands_back)
                m.scope = metadata_scope(route->pool, c, &probe->http.host);

        /* The worker may hand it back. The seal covers what is complete by now. */
        if (m.scope.n > 0 && c->cookie == 0)
                c->cookie = seal_cookie(c->fd);
        if (m.scope.n > 0 && seal_make(key, c->cookie, &m, &seal))
                m.seal = (Slice){ seal.bytes, sizeof(seal.bytes) };
        if (c->is_told)
                m.next = (Slice){ &compare, 1 };

        *ret_consumed = m.consumed;

        return message_encode(&m, buffer, size, ret_n);
}
