/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The bytes of a client that has a worker: with TLS on one side and without it on the other. */

#include <openssl/err.h>
#include <sys/socket.h>

#include "basic/error.h"
#include "workers/tls/stage.h"

/* Bytes of one direction in one turn, so that other connections are not delayed. */
#define FLOW_TURN_MAX ((size_t) 256 * 1024)

typedef enum FlowStep {
        FLOW_DONE,   /* bytes were moved */
        FLOW_WAIT,   /* needs an event */
        FLOW_END,    /* the source has ended */
        FLOW_BROKEN, /* the source or the destination ended with an error */
        FLOW_BUSY,   /* FLOW_TURN_MAX is reached */
} FlowStep;

/* Reads or writes up to @n bytes. *ret_n is set with FLOW_DONE. */
typedef FlowStep (*FlowRead)(TlsConnection *c, uint8_t *p, size_t n, size_t *ret_n);
typedef FlowStep (*FlowWrite)(TlsConnection *c, const uint8_t *p, size_t n, size_t *ret_n);

/*
 * Translates the result of SSL_read() or SSL_write(). OpenSSL may have to write for a read (KeyUpdate, RFC 8446 4.6.3).
 */
static FlowStep flow_tls_result(TlsConnection *c, int r, size_t *ret_n) {
        if (r > 0) {
                *ret_n = (size_t) r;
                return FLOW_DONE;
        }

        switch (SSL_get_error(c->ssl, r)) {
        case SSL_ERROR_WANT_READ:
                c->client.can_read = false;
                return FLOW_WAIT;
        case SSL_ERROR_WANT_WRITE:
                c->client.can_write = false;
                return FLOW_WAIT;
        case SSL_ERROR_ZERO_RETURN: /* close_notify, or a FIN without it */
                return FLOW_END;
        default:
                return FLOW_BROKEN;
        }
}

static FlowStep flow_read_tls(TlsConnection *c, uint8_t *p, size_t n, size_t *ret_n) {
        if (!c->client.can_read)
                return FLOW_WAIT;

        ERR_clear_error();
        return flow_tls_result(c, SSL_read(c->ssl, p, (int) n), ret_n);
}

static FlowStep flow_write_tls(TlsConnection *c, const uint8_t *p, size_t n, size_t *ret_n) {
        if (!c->client.can_write)
                return FLOW_WAIT;

        ERR_clear_error();
        return flow_tls_result(c, SSL_write(c->ssl, p, (int) n), ret_n);
}

static FlowStep flow_read_plain(TlsConnection *c, uint8_t *p, size_t n, size_t *ret_n) {
        ssize_t k;

        if (!c->plain.can_read)
                return FLOW_WAIT;

        k = recv(c->plain.fd, p, n, MSG_DONTWAIT);
        if (k < 0 && errno_is_transient(-errno)) {
                c->plain.can_read = false;
                return FLOW_WAIT;
        }

        *ret_n = k > 0 ? (size_t) k : 0;
        return k < 0 ? FLOW_BROKEN : k == 0 ? FLOW_END : FLOW_DONE;
}

/*
 * A worker that has closed its socket takes no more bytes. They are dropped from then on, because its response may
 * still be on its way to the client.
 */
static FlowStep flow_write_plain(TlsConnection *c, const uint8_t *p, size_t n, size_t *ret_n) {
        ssize_t k;

        *ret_n = n;
        if (c->up.is_discarded)
                return FLOW_DONE;
        if (!c->plain.can_write)
                return FLOW_WAIT;

        k = send(c->plain.fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (k >= 0)
                *ret_n = (size_t) k;
        else if (errno == EPIPE || errno == ECONNRESET)
                c->up.is_discarded = true;
        else if (errno_is_transient(-errno)) {
                c->plain.can_write = false;
                return FLOW_WAIT;
        } else
                return FLOW_BROKEN;

        return FLOW_DONE;
}

/* Keeps bytes that the destination had no room for. */
static FlowStep flow_keep(TlsFlow *f, const uint8_t *p, size_t n) {
        f->rest = malloc(n);
        if (!f->rest)
                return FLOW_BROKEN;

        memcpy(f->rest, p, n);
        f->n_rest = n;
        f->rest_at = 0;
        return FLOW_WAIT;
}

static FlowStep flow_write_rest(TlsConnection *c, TlsFlow *f, FlowWrite write) {
        FlowStep step = FLOW_DONE;
        size_t n;

        while (f->rest && step == FLOW_DONE) {
                step = write(c, f->rest + f->rest_at, f->n_rest - f->rest_at, &n);
                if (step == FLOW_DONE && (f->rest_at += n) == f->n_rest)
                        stage_flow_done(f);
        }

        return step;
}

/* Moves what one read returns. */
static FlowStep flow_move_some(TlsConnection *c, TlsFlow *f, FlowRead read, FlowWrite write, size_t *sum) {
        uint8_t *p = c->stage->scratch;
        size_t n, k, at = 0;
        FlowStep step;

        step = read(c, p, FLOW_SIZE, &n);
        if (step != FLOW_DONE)
                return step;

        *sum += n;
        while (at < n && step == FLOW_DONE) {
                step = write(c, p + at, n - at, &k);
                if (step == FLOW_DONE)
                        at += k;
        }

        return step == FLOW_WAIT ? flow_keep(f, p + at, n - at) : step;
}

/* Moves one direction until it waits or ends, or its turn is over. Adds the bytes to *sum. */
static FlowStep flow_go_on(TlsConnection *c, TlsFlow *f, FlowRead read, FlowWrite write, size_t *sum) {
        FlowStep step = flow_write_rest(c, f, write);
        size_t n = 0;

        while (step == FLOW_DONE && !f->has_ended && n < FLOW_TURN_MAX) {
                step = flow_move_some(c, f, read, write, &n);
                if (step == FLOW_END) {
                        f->has_ended = true;
                        step = FLOW_DONE;
                }
        }

        *sum += n;
        return step == FLOW_DONE && !f->has_ended ? FLOW_BUSY : step == FLOW_DONE ? FLOW_END : step;
}

/* Passes the client's end on. */
static void flow_end_up(TlsConnection *c) {
        if (!c->up.is_shut)
                (void) shutdown(c->plain.fd, SHUT_WR);
        c->up.is_shut = true;
}

/* Tells the client the end of the worker's stream: by close_notify, and then by a FIN. */
static void flow_end_down(TlsConnection *c) {
        int r;

        if (c->down.is_shut)
                return;

        ERR_clear_error();
        r = SSL_shutdown(c->ssl);
        if (r < 0 && SSL_get_error(c->ssl, r) == SSL_ERROR_WANT_WRITE)
                return; /* again with the next event */

        (void) shutdown(c->client.fd, SHUT_WR);
        c->down.is_shut = true;
}

/* Starts the time limit of the phase again if bytes were moved. */
static void flow_update_phase(TlsConnection *c, size_t n_moved) {
        TlsPhase phase = c->up.is_shut || c->down.is_shut ? TLS_ENDING : TLS_OPEN;

        if (phase != c->phase || (n_moved > 0 && c->since != c->stage->now))
                stage_set_phase(c, phase);
}

void stage_flow(TlsConnection *c) {
        FlowStep up, down;
        size_t n = 0;

        up = flow_go_on(c, &c->up, flow_read_tls, flow_write_plain, &n);
        down = flow_go_on(c, &c->down, flow_read_plain, flow_write_tls, &n);

        if (up == FLOW_END)
                flow_end_up(c);
        if (down == FLOW_END)
                flow_end_down(c);

        if (up == FLOW_BROKEN || down == FLOW_BROKEN) {
                stage_connection_reset(c);
                return;
        }
        if (c->up.is_shut && c->down.is_shut) {
                stage_connection_free(c);
                return;
        }
        if (c->up.is_discarded && c->down.is_shut) {
                stage_close_side(c, &c->plain);
                stage_linger(c);
                return;
        }

        if (up == FLOW_BUSY || down == FLOW_BUSY)
                stage_go_on_later(c);
        else
                list_remove(&c->busy);
        flow_update_phase(c, n);
}
