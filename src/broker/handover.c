/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/handover.h"

#include <limits.h>
#include <sys/socket.h>

#include "basic/fd.h"
#include "broker/departure.h"
#include "broker/handback.h"
#include "broker/handback-message.h"
#include "broker/stage/queue.h"
#include "broker/state/client-context.h"
#include "handoff/handoff.h"
#include "handoff/message.h"

/*
 * Clients on one connection. The next process must be able to take all of them when the connection ends
 * (HANDBACK_REST_MAX).
 */
#define CLIENTS_MAX (HANDBACK_REST_MAX / 2)

/*
 * Connects to our own return socket, from which the next process accepts. Returns an owned descriptor or a negative
 * errno.
 */
static int handover_connect(const Listener *self) {
        struct sockaddr_un sun = {};
        socklen_t len = sizeof(sun);
        int fd, size = INT_MAX;

        if (getsockname(self->fd, (struct sockaddr *) &sun, &len) < 0)
                return -errno;

        fd = handoff_connect_type(&sun, len, SOCK_SEQPACKET);

        /*
         * Backlog= limits the number of connections, so each should take many clients. With the default buffer it takes
         * 278, and with a larger one more (net.core.wmem_max, socket(7)).
         */
        if (fd >= 0)
                (void) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        return fd;
}

/* Sends a client with the facts that the next process needs. Returns 0 or a negative errno. */
static int handover_send(int conn_fd, const Client *c) {
        uint8_t header[FDPASS_HEADER_MAX];
        Message m = MESSAGE_NULL;
        char id[CLIENT_ID_MAX];
        size_t n;
        int r;

        m.unique_id = (Slice){ (const uint8_t *) id, client_id(c, id) };
        m.hops = c->n_hops;
        if (m.hops == 0 && c->state != CLIENT_PARKED) /* has begun a request: not to be parked */
                m.hops = 1;
        m.listener = slice_from_string(c->listener->name);
        message_address_set(&m.source, &c->address.sa, sizeof(c->address));
        message_address_set(&m.destination, &c->local.sa, sizeof(c->local));
        if (m.source.sa.sa_family != m.destination.sa.sa_family) /* the next process asks the socket for both */
                m.source.sa.sa_family = m.destination.sa.sa_family = AF_UNSPEC;
        client_fill_message(c, &m);

        r = message_encode(&m, header, sizeof(header), &n);
        if (r < 0)
                return r;

        return handoff_send_message(conn_fd, (Slice){ header, n }, m.consumed, c->fd);
}

bool handover_takes(const Broker *b, const Client *c) {
        return handback_self(b) && (c->state == CLIENT_HEAD || c->state == CLIENT_PARKED || c->state == CLIENT_QUEUED) &&
               !c->needs_proxy && client_is_ip(c);
}

/* Sends a client. Makes another connection if the present one is full. Returns 0 or a negative errno. */
static int handover_send_one(const Listener *self, int *conn_fd, size_t *n, const Client *c) {
        int r = -EAGAIN;

        if (*conn_fd >= 0 && *n < CLIENTS_MAX)
                r = handover_send(*conn_fd, c);

        if (r == -EAGAIN) {
                fd_close(*conn_fd);
                *n = 0;
                *conn_fd = handover_connect(self);
                r = *conn_fd < 0 ? *conn_fd : handover_send(*conn_fd, c);
        }

        *n += 1;
        return r;
}

static size_t handover_count(const Broker *b, size_t first) {
        size_t n = 0;

        for (size_t i = first; i < b->clients.n_touched; i++)
                n += handover_takes(b, &b->clients.slots[i]);

        return n;
}

void handover_all(Broker *b) {
        const Listener *self = handback_self(b);
        _cleanup_close_ int conn_fd = -EBADF;
        size_t n = 0;
        int r;

        for (size_t i = 0; self && i < b->clients.n_touched; i++) {
                Client *c = &b->clients.slots[i];

                if (!handover_takes(b, c))
                        continue;

                r = handover_send_one(self, &conn_fd, &n, c);
                if (r < 0) {
                        diag_handover_failed(&b->diag, handover_count(b, i), r);
                        return; /* the timer of stop.c refuses the others */
                }

                b->n.n_handed_over++;
                if (c->state == CLIENT_QUEUED)
                        queue_leave(c);
                else if (c->state == CLIENT_PARKED)
                        park_leave(&b->parking, c);
                departure_drop(b, c);
        }
}
