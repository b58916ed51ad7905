/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/returned.h"

#include <limits.h>
#include <sys/socket.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "broker/admission.h"
#include "broker/arrival.h"
#include "broker/departure.h"
#include "broker/live.h"
#include "broker/state/client-context.h"
#include "broker/state/proxied.h"
#include "broker/state/watch.h"

/*
 * Takes the addresses of the message for routing. If it has none, takes those that are known of the client, and adds the
 * TLVs of its PROXY header to @m. Client.peer and Client.own still are those of the socket.
 */
static void returned_set_addresses(const Broker *b, Client *c, Message *m) {
        ProxiedClient facts;
        Slice id;

        if (m->source.sa.sa_family != AF_UNSPEC) {
                memcpy(&c->address, &m->source, MIN(sizeof(c->address), sizeof(m->source)));
                memcpy(&c->local, &m->destination, MIN(sizeof(c->local), sizeof(m->destination)));
        } else if (proxied_find(&b->proxied, c->fd, &facts)) {
                c->address = facts.address;
                c->local = facts.local;
                m->proxy = facts.tlvs;
                id = slice_find_tlv(m->proxy, PROXY_TLV_UNIQUE_ID);
                if (id.n > 0 && id.n <= FDPASS_UNIQUE_ID_MAX)
                        m->unique_id = id;
        }
}

static bool returned_has_tls_name(const Message *m) {
        return m->ssl.n >= FDPASS_SSL_TLVS_AT && slice_find_tlv(slice_skip(m->ssl, FDPASS_SSL_TLVS_AT), FDPASS_SSL_TLV_NAME).p;
}

/*
 * Adds the facts of the TLS stage that the client came through, if its worker has left them out. Otherwise its next
 * request could be for any host.
 */
static void returned_restore_tls(const Broker *b, Client *c, Message *m) {
        ProxiedClient facts;

        if (returned_has_tls_name(m) || !proxied_find(&b->proxied, c->fd, &facts) || facts.ssl.n == 0)
                return;

        m->ssl = facts.ssl;
        m->alpn = facts.alpn;
        m->authority = facts.authority;

        /* The address of our end tells no listener if the stage stays in the path. */
        if (m->listener.n == 0)
                c->listener = facts.listener;
}

/*
 * Returns the descriptor of a listener with the same family as @fd, or -EBADF. The client's own listener is not known.
 * Most likely another one of the same family has the same options.
 */
static int returned_find_model(const Broker *b, int fd) {
        int family, other;

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &(socklen_t){ sizeof(family) }) < 0)
                return -EBADF;

        LIST_FOREACH(i, &b->listeners) {
                const Listener *l = CONTAINER_OF(i, Listener, link);

                if (!l->is_return && getsockopt(l->fd, SOL_SOCKET, SO_DOMAIN, &other, &(socklen_t){ sizeof(other) }) >= 0 &&
                    family == other)
                        return l->fd;
        }

        return -EBADF;
}

/* Describes the helper's task. TCP_ULP may stay, because a TLS stage may have left the kernel's TLS on the socket. */
static void returned_ask(void *userdata, Client *c, SocketTask *t) {
        t->steps = INSPECT_STEPS_RETURNED;
        inspect_describe(c, t);
        if (c->listener->is_return)
                t->listener_fd = returned_find_model(userdata, c->fd);
}

/*
 * True if the client is to wait for its next request: it was handed back for it, and has sent no byte. A broker that stops parks
 * all clients, because it hands over parked ones.
 */
static bool returned_is_to_be_parked(const Broker *b, const Client *c) {
        bool has_bytes = c->copy->n > 0 || c->copy->is_end || client_consumed(c).n > 0;

        return broker_is_stopping(b) || (c->is_rerouted && !has_bytes);
}

/*
 * Finds the listener of a client whose message names none: a worker that got it over ListenStream= had no message. The
 * address of our end tells which one accepted it. Sockets in the stream form are listeners of their own (Listener=).
 * Returns true if one was found.
 */
static bool returned_find_listener(Broker *b, Client *c, const ClientAddress *own) {
        Listener *l = NULL;

        if (c->listener->is_return && c->listener->type == SOCK_SEQPACKET)
                l = listener_find_address(&b->listeners, own);

        c->listener = l ?: c->listener;
        return l;
}

/*
 * True if the client may have come through a load balancer, and nothing tells its address. By the address of the
 * balancer it could get a route with Source= that is not for it.
 */
static bool returned_has_lost_address(const Client *c) {
        return c->address.sa.sa_family == AF_UNSPEC && listener_trusts(c->listener, &c->peer);
}

/*
 * A client with the kernel's TLS came through a stage, whatever is known of it. Without its facts it may ask for no host
 * by name. It sends its request again on a new connection then (421, RFC 9110 15.5.20). Returns 0 or -ENOMEM.
 */
static int returned_check_tls(Client *c) {
        return c->is_ktls && !client_is_of_stage(c) ? client_set_unknown_tls(c) : 0;
}

static void returned_go_on(void *userdata, Client *c, const SocketTask *t) {
        Broker *b = userdata;

        if (!t || (t->failed & (SOCKET_STEP_CONNECTED | SOCKET_STEP_PEEK) && !errno_is_resource(t->error))) {
                departure_gone(b, c);
                return;
        }
        if (t->failed != 0 || inspect_adopt(c, t) < 0 || returned_check_tls(c) < 0) {
                departure_refuse(b, c, REFUSAL_BROKER, PROBE_REASON_NONE);
                return;
        }

        if (returned_find_listener(b, c, &t->local) && returned_has_lost_address(c)) {
                departure_close(b, c, REFUSAL_ADDRESS_LOST);
                return;
        }

        live_take_back(b, c);
        if (c->address.sa.sa_family == AF_UNSPEC)
                c->address = t->peer;
        (void) source_get(&b->sources, c, UINT_MAX); /* counted, never refused: it was admitted before */

        if (returned_is_to_be_parked(b, c))
                arrival_park(b, c);
        else
                arrival_begin(b, c);
}

static const InspectKind returned_kind = { returned_ask, returned_go_on };

/*
 * True if the client may be routed by the head that its worker has told. Then nothing is asked of its socket. The
 * message has all else that is needed. A broker that stops parks all clients instead.
 */
static bool returned_is_told(const Broker *b, const Client *c, const Message *m) {
        return m->next.n > 0 && m->consumed.n == 0 && m->data.n == 0 && m->status == 0 &&
               m->source.sa.sa_family != AF_UNSPEC && !c->listener->is_return && !broker_is_stopping(b);
}

/* Returns false if there is no memory. */
static bool returned_begin_told(Broker *b, Client *c, const Message *m) {
        if (client_set_copy(c, m->next.p, m->next.n, /* is_end= */ false) < 0)
                return false;

        c->is_told = true;
        c->baseline = BYTE_COUNTS_UNKNOWN;
        (void) source_get(&b->sources, c, UINT_MAX); /* counted, never refused: it was admitted before */
        return true;
}

/*
 * Initialises the client. Returns false if there is no memory, or no watch (epoll_ctl(2), ENOSPC). A client whose head
 * was told needs no watch.
 */
static bool returned_init(Broker *b, const Listener *l, Client *c, const Message *message) {
        Message m = *message;

        returned_set_addresses(b, c, &m);
        returned_restore_tls(b, c, &m);
        c->n_hops = m.hops;
        c->is_shared = c->was_returned = true;
        c->peer.sa.sa_family = AF_INET; /* TCP, until the helper has looked */
        c->is_rerouted = l->type == SOCK_SEQPACKET && m.name.n == 0 && m.hops == 0;

        if (client_set_context(c, &m) < 0)
                return false;

        return returned_is_told(b, c, &m) ? returned_begin_told(b, c, &m) : watch_client(&b->loop, c) >= 0;
}

uint8_t returned_take(Broker *b, Listener *l, int fd, uint64_t cookie, const Message *m, uint32_t owner) {
        Client *c;

        /* The response that was begun ends with the connection, so there is no next request. */
        if (m->status != 0 && m->name.n == 0 && m->consumed.n == 0)
                return FDPASS_ANSWER_ERROR;

        if (admission_free_places(b) == 0) {
                diag_returns_full(&b->diag);
                return FDPASS_ANSWER_REFUSED;
        }
        if (helper_hangs_at(b->helper, owner))
                return FDPASS_ANSWER_REFUSED;

        if (m->hops > FDPASS_HOPS_MAX) {
                diag_loop(&b->diag, l);
                return FDPASS_ANSWER_ERROR;
        }

        c = client_new(&b->clients, listener_find(&b->listeners, m->listener) ?: l, fd);
        if (!c)
                return FDPASS_ANSWER_REFUSED;

        if (!returned_init(b, l, c, m)) {
                unwatch_client(&b->loop, c);
                c->fd = -EBADF; /* @fd is not consumed */
                departure_drop(b, c);
                return FDPASS_ANSWER_REFUSED;
        }

        c->cookie = cookie;
        c->last_worker = owner;
        b->n.n_returned++;
        if (c->is_told)
                arrival_begin(b, c);
        else
                inspect_begin(&b->inspect, c, &returned_kind);
        return FDPASS_ANSWER_TAKEN;
}
