/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients from the broker, and their handshakes. */

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "basic/address.h"
#include "basic/error.h"
#include "handoff/protocol.h"
#include "workers/tls/stage.h"

/* Returns the bytes of an address that name a source: all four of IPv4, and the network of IPv6, 64 bits. */
static size_t stage_source_of(const struct sockaddr *sa, const uint8_t **ret) {
        const struct in6_addr *a;

        if (sa && sa->sa_family == AF_INET) {
                *ret = (const uint8_t *) &((const struct sockaddr_in *) (const void *) sa)->sin_addr;
                return 4;
        }
        if (!sa || sa->sa_family != AF_INET6)
                return 0;

        a = &((const struct sockaddr_in6 *) (const void *) sa)->sin6_addr;
        *ret = a->s6_addr + (IN6_IS_ADDR_V4MAPPED(a) ? 12 : 0);
        return IN6_IS_ADDR_V4MAPPED(a) ? 4 : 8;
}

/* True if the source of @info has as many handshakes as it may have. The broker no longer counts these clients. */
static bool stage_source_is_full(const TlsStage *s, const struct fdpass *info) {
        const uint8_t *source, *other;
        size_t n = stage_source_of(fdpass_peer(info, NULL), &source);
        unsigned n_same = 0;

        if (n == 0 || s->n_handshakes < s->source_max)
                return false;

        LIST_FOREACH(i, &s->phases[TLS_HANDSHAKE]) {
                const TlsConnection *c = CONTAINER_OF(i, TlsConnection, link);

                if (stage_source_of(fdpass_peer(c->info, NULL), &other) == n && memcmp(source, other, n) == 0)
                        n_same++;
        }

        return n_same >= s->source_max;
}

/* Returns why a client can't be served by any process of this instance, or NULL. */
static const char *stage_refuses(const TlsStage *s, const struct fdpass *info) {
        size_t n_consumed = 0;

        if (!info || !fdpass_tlv(info, FDPASS_TLV_VERSION, NULL))
                return "it came without metadata; the socket unit has to say ListenSequentialPacket=";

        (void) fdpass_consumed(info, &n_consumed);
        if (n_consumed > 0)
                return "some of its bytes were read before";
        if (!s->set.preset)
                return "there is no certificate";
        if (stage_source_is_full(s, info))
                return "its source has too many handshakes at once";
        return NULL;
}

void stage_take(Service *service, int client_fd, struct fdpass *info, const ServiceSocket *from) {
        TlsStage *s = CONTAINER_OF(service, TlsStage, service);
        const char *why = stage_refuses(s, info);
        TlsConnection *c;

        s->now = usec_now();
        if (why) {
                service_complain(service, "A client is refused: %s.", why);
                service_turn_away(client_fd, info, /* another_may= */ false);
                return;
        }

        c = stage_connection_new(s, client_fd, info);
        if (!c) {
                service_turn_away(client_fd, info, /* another_may= */ true);
                return;
        }

        /* The tickets of the server's last message would delay its first answer (Nagle's algorithm). */
        (void) setsockopt(client_fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        (void) fdpass_taken(info);
        stage_set_phase(c, TLS_HANDSHAKE);
        if (stage_kernel_prepare(c) < 0)
                stage_connection_free(c);
        else
                stage_handshake(c);
}

/* Sends what the handshake has to say. Returns 0, or a negative errno: -EAGAIN if there is no room for all. */
static int stage_handshake_flush(TlsConnection *c) {
        const uint8_t *p;
        size_t n;

        while ((n = handshake_output(&c->handshake, &p)) > 0) {
                ssize_t k = send(c->client.fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (k < 0)
                        return -errno;
                handshake_sent(&c->handshake, (size_t) k);
        }

        return 0;
}

static void stage_handshake_complain(const TlsConnection *c, const char *why) {
        char peer[ADDRESS_TEXT_MAX];
        const struct sockaddr *sa;
        socklen_t n;

        sa = fdpass_peer(c->info, &n);
        address_to_host(sa, sa ? n : 0, peer);
        service_complain(&c->stage->service, "The TLS handshake with %s failed: %s.", peer, why);
}

/*
 * Reads a part of one record and gives it to the handshake. Returns 0, -EAGAIN if there is none, or another value: the
 * client can't go on.
 */
static int stage_handshake_read(TlsConnection *c) {
        uint8_t bytes[4096];
        ssize_t n;
        int r;

        n = recv(c->client.fd, bytes, MIN(sizeof(bytes), handshake_wanted(&c->handshake)), MSG_DONTWAIT);
        if (n <= 0)
                return n < 0 ? -errno : -ECONNRESET;

        r = handshake_input(&c->handshake, bytes, (size_t) n);
        if (r == HANDSHAKE_INVALID)
                stage_handshake_complain(c, "it does not speak TLS");
        else if (r == HANDSHAKE_TOO_LONG)
                stage_handshake_complain(c, "it sent more than 64 KiB");
        else if (r == 0) {
                c->step = handshake_step(&c->handshake);
                if (c->step == HANDSHAKE_FAILED)
                        stage_handshake_complain(c, handshake_error());
        }

        return r;
}

void stage_handshake(TlsConnection *c) {
        int r;

        for (;;) {
                r = stage_handshake_flush(c);
                if (r == 0 && c->step == HANDSHAKE_WANTS_INPUT)
                        r = stage_handshake_read(c);
                else if (r == 0)
                        break;

                if (errno_is_transient(r))
                        return;
                if (r != 0) {
                        stage_connection_free(c);
                        return;
                }
        }

        if (c->step == HANDSHAKE_DONE)
                stage_return(c);
        else
                stage_linger(c);
}
