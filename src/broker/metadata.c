/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/metadata.h"

#include "broker/listener.h"
#include "handoff/message.h"
#include "probe/probe.h"

/* The addresses as they are routed by: those of a PROXY header, or the connection's own. */
static void add_addresses(Message *m, Client *c) {
        message_address_set(&m->source, &c->address.sa, sizeof(c->address));
        if (m->source.sa.sa_family == AF_UNSPEC)
                return;

        if (c->local.sa.sa_family != AF_UNSPEC)
                message_address_set(&m->destination, &c->local.sa, sizeof(c->local));
        else
                message_address_set(&m->destination, &client_own_address(c)->sa, sizeof(c->own));

        /* Either both, or none: the header has one family for them. */
        if (m->destination.sa.sa_family != m->source.sa.sa_family)
                m->source.sa.sa_family = m->destination.sa.sa_family = AF_UNSPEC;
}

static Slice slice_of_name(const ProbeName *name) {
        return (Slice){ (const uint8_t *) name->text, name->n };
}

static void add_probe(Message *m, const Probe *probe, TlsProtocol *alpn) {
        m->protocol = slice_from_string(probe_protocol_to_string(probe->protocol));

        if (probe->protocol == PROBE_HTTP)
                m->authority = slice_of_name(&probe->http.host);

        if (probe->protocol == PROBE_TLS) {
                TlsReader list = probe->tls.alpn;

                m->authority = slice_of_name(&probe->tls.name);
                if (tls_next_alpn(&list, alpn))
                        m->alpn = (Slice){ alpn->bytes, alpn->n };
        }
}

int metadata_encode(Broker *b, const Route *route, Client *c, uint8_t *buffer, size_t size, size_t *ret_n,
                    Slice *ret_consumed) {
        const Probe *probe = broker_probe(b, c);
        Message m = MESSAGE_NULL;
        TlsProtocol alpn;
        char id[CLIENT_ID_MAX];

        add_addresses(&m, c);
        if (probe)
                add_probe(&m, probe, &alpn);

        m.unique_id = (Slice){ (const uint8_t *) id, client_id(c, id) };
        m.route = slice_from_string(route->config->unit);
        m.listener = slice_from_string(c->listener->name);
        if (c->deadline != 0 && c->deadline != USEC_INFINITY)
                m.deadline = c->deadline;

        if (c->may_keep)
                m.persistent_max = FDPASS_PERSISTENT_MAX;

        client_tell_baggage(c, &m);
        m.name = (Slice){}; /* that was for us */
        m.hops = (uint8_t) (c->n_hops + 1);
        *ret_consumed = m.consumed;

        return message_encode(&m, buffer, size, ret_n);
}
