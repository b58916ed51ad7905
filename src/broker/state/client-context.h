/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Facts about a client beside its socket: those of the message that handed it back, those of its PROXY header, its
 * consumed bytes, and its name.
 */

#include "broker/state/client.h"

/* One allocation, owned by the client. The members point into @bytes. */
struct ClientContext {
        char *name;          /* InternalName= of the only route that may take the client; NULL: any route may */
        Slice data;          /* data for the next worker, from the worker that handed the client back; n is 0: none */
        Slice consumed;      /* bytes that were read from the socket; they come before those still in it */
        Slice unique_id;     /* name of the client in a form that is not ours; n is 0: Client.origin_id has the name */
        Slice ssl;           /* PP2_TYPE_SSL of a TLS stage; n is 0: there was none */
        Slice alpn;          /* protocol that the TLS stage agreed upon; valid with @ssl */
        Slice authority;     /* host for which the client asked the TLS stage; valid with @ssl */
        Slice proxy;         /* TLVs of a PROXY header, for reader_tlv() (proxy_keep_tlvs()); n is 0: none */
        uint8_t bytes[];
};

/* Size of a buffer for client_id(). The name is instance and number, or the UNIQUE_ID of another sender. */
#define CLIENT_ID_MAX (FDPASS_UNIQUE_ID_MAX + 1)

/* Size of a name that a broker gave: the instance as eight hexadecimal digits, a hyphen, the number, and a 0 byte. */
#define CLIENT_OWN_ID_MAX (8 + 1 + 20 + 1)

/* Writes such a name, and returns its length. */
size_t client_format_id(char ret[static CLIENT_OWN_ID_MAX], uint32_t instance, uint64_t number);

/*
 * Writes the name of the client into @ret, and returns its length. The name stays the same from accept to the end of
 * the client, in logs and messages, also in other brokers.
 */
size_t client_id(const Client *c, char ret[static CLIENT_ID_MAX]);

/* Does the same for a name that was kept: its UNIQUE_ID, or of an empty one the two numbers (Client.origin). */
size_t client_id_to_text(Slice unique_id, uint32_t origin, uint64_t origin_id, char ret[static CLIENT_ID_MAX]);

/*
 * Copies the first bytes of the client to @buffer and leaves them where they are: first the consumed ones, then those
 * of the socket or of Client.copy. Returns their number, at most @size, 0 at the client's end, or a negative errno.
 * -EAGAIN: there are none yet.
 */
ssize_t client_peek(const Client *c, uint8_t *buffer, size_t size);

/* Copies the facts of @m to a client that was handed back and has none yet. Returns 0 or -ENOMEM. */
int client_set_context(Client *c, const Message *m);

/*
 * Makes the client one that came through a TLS stage of which nothing is known: neither the name that it asked for nor a
 * certificate. Returns 0 or -ENOMEM.
 */
int client_set_unknown_tls(Client *c);

/*
 * Does the same as client_set_context() for the TLVs of a PROXY header, at most PROXY_KEPT_MAX bytes of them. UNIQUE_ID becomes the name of the
 * client.
 */
int client_set_proxy_tlvs(Client *c, Slice tlvs);

/* Adds these facts to @m. What the client's own head says stays. @m borrows them from the client. */
void client_fill_message(const Client *c, Message *m);

/* The consumed bytes; they come before those in the socket. Borrowed from the client. */
static inline Slice client_consumed(const Client *c) {
        return c->context ? c->context->consumed : (Slice){};
}

/* True if the client came through a TLS stage, as far as messages tell. */
static inline bool client_is_of_stage(const Client *c) {
        return c->context && c->context->ssl.n > 0;
}

/* InternalName= of the only route that may take the client, or NULL. Borrowed from the client. */
static inline const char *client_route_name(const Client *c) {
        return c->context ? c->context->name : NULL;
}

/*
 * Reads from the socket until @n bytes are consumed, including earlier ones. Returns 0 or a negative errno: -EPIPE if
 * the socket has too few bytes.
 */
int client_consume(Client *c, size_t n);

/* Adds a copy of @p to the consumed bytes, because @n bytes were read from the socket already. Returns 0 or -ENOMEM. */
int client_add_consumed(Client *c, const uint8_t *p, size_t n);
