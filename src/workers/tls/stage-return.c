/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Hands clients back: the broker gets a socket on which they speak without TLS, and what the handshake told. */

#include <sys/socket.h>

#include "basic/fd.h"
#include "handoff/handoff.h"
#include "workers/tls/learned.h"
#include "workers/tls/stage.h"

/* Time for which a client waits for a place in the broker. */
#define STAGE_RETURN_USEC (5 * USEC_PER_SEC)

static const char stage_answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                   "Content-Length: 0\r\n"
                                   "Retry-After: 5\r\n"
                                   "Connection: close\r\n"
                                   "\r\n";

void stage_return_refuse(TlsConnection *c) {
        const char *answer;
        const uint8_t *alpn;
        unsigned n;

        SSL_get0_alpn_selected(c->ssl, &alpn, &n);
        answer = n == 8 && memcmp(alpn, "http/1.1", 8) == 0 ? stage_answer : NULL;

        stage_broker_forget(c);
        if (c->is_in_kernel) {
                stage_kernel_refuse(c, answer);
                return;
        }

        if (answer)
                (void) SSL_write(c->ssl, answer, (int) strlen(answer));
        (void) SSL_shutdown(c->ssl);
        stage_close_side(c, &c->plain);
        c->worker_fd = fd_close(c->worker_fd);
        stage_linger(c);
}

/*
 * From here on OpenSSL reads and writes the socket by itself, and as many bytes at once as there are. O_NONBLOCK
 * may be set, because no other process gets this socket.
 */
static int stage_return_switch(TlsConnection *c) {
        int r;

        r = fd_nonblock(c->client.fd, true);
        if (r < 0)
                return r;

        SSL_set_read_ahead(c->ssl, 1);
        return SSL_set_fd(c->ssl, c->client.fd) == 1 ? 0 : -ENOMEM;
}

/* Makes the message, which also ends the need for the facts that came with the client. */
static int stage_return_encode(TlsConnection *c, const Learned *learned) {
        Message m = learned_message(learned, c->ssl, c->info);
        uint8_t header[FDPASS_HEADER_MAX];
        int r;

        r = message_encode(&m, header, sizeof(header), &c->n_message);
        if (r < 0)
                return r;

        c->message = malloc(c->n_message);
        if (!c->message)
                return -ENOMEM;

        memcpy(c->message, header, c->n_message);
        fdpass_free(TAKE_PTR(c->info));
        return 0;
}

static int stage_return_make_pair(TlsConnection *c) {
        int own_fd, r;

        if (c->is_in_kernel)
                return 0;

        r = pair_make(&c->stage->pairs, &own_fd, &c->worker_fd);
        if (r < 0)
                return r;

        r = stage_watch(c, &c->plain, own_fd);
        if (r < 0)
                fd_close(own_fd);
        return r;
}

void stage_return(TlsConnection *c) {
        Service *service = &c->stage->service;
        Learned learned;
        int r;

        c->begin = c->stage->now;
        c->ssl = handshake_take(&c->handshake);
        r = stage_kernel_leave(c);
        if (r < 0) {
                service_complain(service, "A client is ended, because the kernel took only half of its keys.");
                stage_connection_reset(c);
                return;
        }
        if (r == STAGE_KERNEL_PAIR)
                r = stage_return_switch(c);
        if (r >= 0 && !learned_read(&learned, c->ssl, fdpass_authority(c->info))) {
                service_complain(service, "A client is refused: it asked the broker for another host (%s) than the "
                                 "handshake (%s).", fdpass_authority(c->info) ?: "none", learned.host.text);
                stage_connection_reset(c);
                return;
        }
        if (r >= 0)
                r = stage_return_encode(c, &learned);
        if (r >= 0)
                r = stage_return_make_pair(c);
        if (r < 0) {
                service_complain(service, "A client can't be handed back: %s.", strerror(-r));
                stage_return_refuse(c);
                return;
        }

        stage_return_try(c);
}

/* Waits for the next attempt, or refuses the client. */
static void stage_return_again(TlsConnection *c, const char *why) {
        TlsStage *s = c->stage;

        if (s->now < usec_add(c->begin, STAGE_RETURN_USEC)) {
                stage_set_phase(c, TLS_RETRY);
                return;
        }

        service_complain(&s->service, "A client is refused, because the broker did not take it back at %s: %s.",
                         s->return_path, why);
        stage_return_refuse(c);
}

/* True if the broker would refuse the client, because it has reset its connection meanwhile. A pair stays connected. */
static bool stage_return_is_over(const TlsConnection *c) {
        return c->is_in_kernel && handoff_check_connected(c->worker_fd) == HANDOFF_NO_CLIENT;
}

void stage_return_try(TlsConnection *c) {
        int r;

        if (stage_return_is_over(c)) {
                stage_connection_free(c);
                return;
        }

        r = stage_broker_send(c);
        if (r < 0)
                stage_return_again(c, strerror(-r));
        else
                stage_set_phase(c, TLS_RETURNING);
}

static void stage_return_taken(TlsConnection *c) {
        if (c->is_in_kernel) {
                stage_connection_free(c);
                return;
        }

        c->worker_fd = fd_close(c->worker_fd); /* otherwise the end of the worker would not be seen */
        free(TAKE_PTR(c->message));

        stage_set_phase(c, TLS_OPEN);
        c->client.can_read = c->client.can_write = c->plain.can_read = c->plain.can_write = true;
        stage_flow(c);
}

void stage_return_settle(TlsConnection *c, Receipt receipt) {
        switch (receipt) {

        case RECEIPT_NONE:
        case RECEIPT_RECEIVED:
                return;

        case RECEIPT_REFUSED:
                stage_return_again(c, "it has no room");
                return;

        case RECEIPT_RESET:
                stage_return_again(c, "it has stopped");
                return;

        case RECEIPT_ERROR:
                if (stage_return_is_over(c)) {
                        stage_connection_free(c);
                        return;
                }
                service_complain(&c->stage->service, "The broker refuses to take a client back.");
                stage_return_refuse(c);
                return;

        case RECEIPT_CLOSED:
        case RECEIPT_TAKEN:
        case RECEIPT_RETURN:
        case RECEIPT_RETURN_TELL:
        case RECEIPT_PERSISTENT:
                stage_return_taken(c);
                return;
        }
}
