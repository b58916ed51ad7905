/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is known of a client beside its socket: facts that came with it when it was handed back, bytes of it that were consumed,
 * and its name.
 */

#include "broker/state/client.h"

/* One allocation, owned by the client. */
struct ClientContext {
        char *name;          /* InternalName= of the route that is to have it; NULL: any route */
        Slice data;          /* for its worker */
        Slice consumed;      /* bytes that come before those in the socket */
        Slice unique_id;     /* a name that no broker gave (else Client.origin_id has it) */
        Slice ssl;           /* of a TLS stage */
        Slice alpn;          /* protocol that a TLS stage agreed upon; with @ssl */
        Slice authority;     /* host that the client asked a TLS stage for; with @ssl */
        uint8_t bytes[];
};

/* Room for client_id(): instance and number, or the UNIQUE_ID of another sender. */
#define CLIENT_ID_MAX (FDPASS_UNIQUE_ID_MAX + 1)

/* Writes the name of the client, which holds from its accept to its end, in logs and messages. Returns its length. */
size_t client_id(const Client *c, char ret[static CLIENT_ID_MAX]);

/*
 * Copies the first bytes of the client to @buffer without taking them: what a worker consumed, then what is in the socket or in
 * Client.copy. Returns their number, at most @size; 0 at the client's end; or a negative errno.
 */
ssize_t client_peek(const Client *c, uint8_t *buffer, size_t size);

/* Keeps what @m says about a client that came back. Returns 0 or -ENOMEM. */
int client_set_context(Client *c, const Message *m);

/* Adds that to @m, as far as the client itself has not said otherwise. Borrowed from the client. */
void client_fill_message(const Client *c, Message *m);

/* Bytes that were consumed; they come before those in the socket. */
static inline Slice client_consumed(const Client *c) {
        return c->context ? c->context->consumed : (Slice){};
}

/* InternalName= of the route that is to have it, or NULL. */
static inline const char *client_route_name(const Client *c) {
        return c->context ? c->context->name : NULL;
}

/*
 * Reads bytes from its socket until @n are consumed, those before included. Returns 0, or a negative errno: -EPIPE if they are
 * not there.
 */
int client_consume(Client *c, size_t n);

/* Notes that @n bytes, of which @p has a copy, were read from its socket. Returns 0 or -ENOMEM. */
int client_add_consumed(Client *c, const uint8_t *p, size_t n);
