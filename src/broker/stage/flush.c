/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/flush.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "basic/error.h"
#include "broker/state/client-context.h"
#include "broker/state/watch.h"
#include "flusher/flusher.h"

/*
 * Longest wait for room in the send buffer. A new connection has room for all that a flusher may write, unless
 * SendBuffer= in the public socket's unit is small. A connection that was handed back may be full of a response that
 * the client does not read.
 */
#define WAIT_USEC (2 * USEC_PER_SEC)

bool flush_is_due(const Route *route, const Client *c) {
        return c->flush.status == 0 && route->pool->config->provider;
}

/* True if the worker of this route gets a message with facts, which has room for consumed bytes. */
static bool flush_has_metadata(const Route *route) {
        return route->transport != TRANSPORT_STREAM && route->config->metadata;
}

/*
 * Returns the facts about the client's request, or NULL if its head is not complete. They point into the head buffer.
 */
static const HttpFacts *flush_find_request(HeadBuffer *hb, const Client *c) {
        const Probe *probe = head_buffer_probe(hb, c);

        return probe && probe->protocol == PROBE_HTTP ? &probe->http : NULL;
}

/*
 * Consumed bytes reach a worker only in a message with facts. The stream form can do without the head of a request
 * whose response the flusher has begun. Bytes behind that head would be lost.
 */
bool flush_can_take(HeadBuffer *hb, const Pool *p, const Client *c) {
        size_t n = client_consumed(c).n;
        bool flushes = p->config->provider, has_metadata = true;
        const HttpFacts *http;

        for (size_t i = 0; i < p->n_routes; i++)
                has_metadata = has_metadata && flush_has_metadata(&p->routes[i]);

        if (has_metadata)
                return true;
        if (c->flush.status != 0)
                return flushes && n <= c->flush.head_length;

        if (n == 0)
                return true;

        http = flushes ? flush_find_request(hb, c) : NULL;
        return http && n <= http->head_length;
}

/* Returns the date as in RFC 9110 5.6.7, in English in every locale. It is made once a second. */
static const char *flush_date(Flushes *fl) {
        static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t now = time(NULL);
        struct tm tm;

        if (now == fl->date_at && fl->date[0])
                return fl->date;

        if (!gmtime_r(&now, &tm))
                tm = (struct tm){ .tm_mday = 1, .tm_year = 70, .tm_wday = 4 };

        (void) snprintf(fl->date, sizeof(fl->date), "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
                        days + 3 * (tm.tm_wday % 7), (unsigned) tm.tm_mday % 100, months + 3 * (tm.tm_mon % 12),
                        (unsigned) (tm.tm_year + 1900) % 10000, (unsigned) tm.tm_hour % 100, (unsigned) tm.tm_min % 100,
                        (unsigned) tm.tm_sec % 100);
        fl->date_at = now;
        return fl->date;
}

static struct fdpass_flusher_text flush_text(Slice s) {
        return (struct fdpass_flusher_text){ (const char *) s.p, s.n };
}

/* Calls the flusher. Returns its verdict (FDPASS_FLUSHER_…). */
static int flush_ask(Flushes *fl, const Route *route, Client *c, const HttpFacts *http,
                     struct fdpass_flusher_output *output) {
        const RouteConfig *config = route->pool->config;
        const ClientAddress *local = c->local.sa.sa_family != AF_UNSPEC ? &c->local : client_own_address(c);
        struct fdpass_flusher_request request = {
                .size = sizeof(request),
                .method = flush_text(http->method),
                .target = flush_text(http->target),
                .host = { http->host.text, http->host.n },
                .fields = flush_text(http->fields),
                .minor = http->minor,
                .argument = config->flusher_argument,
                .route = route->config->unit,
                .listener = c->listener->name,
                .status = config->response_status,
                .reason = config->response_reason,
                .response_fields = config->response_fields,
                .peer = &c->address.sa,
                .peer_len = sizeof(c->address),
                .local = &local->sa,
                .local_len = local->sa.sa_family != AF_UNSPEC ? sizeof(*local) : 0,
                .date = flush_date(fl),
                .now_usec = loop_now(fl->loop),
                .header = flusher_header,
                .head = flusher_head,
        };

        return config->provider->flush(&request, output);
}

/* Sends as much as fits into the send buffer. Returns 0, or a negative errno if the client has left. */
static int flush_send(Client *c, const uint8_t *p, size_t size, size_t *n_sent) {
        while (*n_sent < size) {
                ssize_t n = send(c->fd, p + *n_sent, size - *n_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0)
                        return errno_is_transient(-errno) ? 0 : -errno;

                *n_sent += (size_t) n;
                c->baseline.n_written += (uint64_t) n;
        }

        return 0;
}

/* Keeps @n bytes that are still to be sent. Returns false if there is no memory. */
static bool flush_keep(Flushes *fl, Client *c, const char *bytes, size_t n, bool is_all) {
        Unsent *u = malloc(sizeof(*u) + n);

        if (!u)
                return false;

        *u = (Unsent){ .n = n, .is_all = is_all };
        memcpy(u->bytes, bytes, n);
        c->flush.unsent = u;
        c->wait.due = usec_add(loop_now(fl->loop), WAIT_USEC);
        return true;
}

static FlushResult flush_refuse(Client *c, Refusal why, unsigned status) {
        c->refused.why = why;
        c->refused.status = status;
        return FLUSH_REFUSED;
}

/* Puts the client into the list until its send buffer has room. */
static FlushResult flush_wait(Flushes *fl, Client *c) {
        if (watch_client_for_room(fl->loop, c) < 0)
                return flush_refuse(c, REFUSAL_BROKER, 0);

        c->state = CLIENT_FLUSHING;
        waiting_add(&fl->clients, &c->wait, c->wait.due);
        return FLUSH_WAIT;
}

static FlushResult flush_write(Flushes *fl, Client *c, const struct fdpass_flusher_output *output, bool is_all) {
        size_t n_sent = 0;

        c->flush.status = output->status;

        if (c->is_shared)
                return flush_keep(fl, c, output->bytes, output->len, is_all) ? FLUSH_INSPECT : flush_refuse(c, REFUSAL_BROKER, 0);

        if (flush_send(c, (const uint8_t *) output->bytes, output->len, &n_sent) < 0)
                return FLUSH_GONE;
        if (n_sent == output->len)
                return is_all ? FLUSH_ANSWERED : FLUSH_DONE;
        if (!flush_keep(fl, c, output->bytes + n_sent, output->len - n_sent, is_all))
                return flush_refuse(c, REFUSAL_BROKER, 0);

        return flush_wait(fl, c);
}

/* @http points into the head buffer. The bytes stay there, although the head was consumed from the socket. */
static FlushResult flush_respond(Flushes *fl, const Route *route, Client *c, const HttpFacts *http) {
        char bytes[FDPASS_FLUSHER_OUTPUT_MAX];
        struct fdpass_flusher_output output = {
                .size = sizeof(output),
                .bytes = bytes,
                .capacity = sizeof(bytes),
                .status = 0,
        };
        int verdict = flush_ask(fl, route, c, http, &output);

        if (verdict == FDPASS_FLUSHER_REFUSE && output.status == 0)
                output.status = 503;
        else if (output.status == 0)
                output.status = 200;

        if (verdict == FDPASS_FLUSHER_REFUSE && output.status >= 400 && output.status <= 599)
                return flush_refuse(c, REFUSAL_FLUSHER, output.status);

        if ((verdict == FDPASS_FLUSHER_GO || verdict == FDPASS_FLUSHER_DONE) && output.len <= output.capacity &&
            output.status >= 200 && output.status <= 599)
                return flush_write(fl, c, &output, verdict == FDPASS_FLUSHER_DONE);

        diag_flusher_failed(fl->diag, route->pool);
        return flush_refuse(c, REFUSAL_FLUSHER, 503);
}

FlushResult flush_begin(Flushes *fl, const Route *route, Client *c) {
        const HttpFacts *http = flush_find_request(fl->head_buffer, c);
        int r;

        /* A worker handed the client back without a request, for a route with Flusher=. */
        if (!http)
                return flush_refuse(c, REFUSAL_WORKER, 0);

        r = c->is_shared ? 0 : client_consume(c, http->head_length);
        if (r < 0 && errno_is_resource(r))
                return flush_refuse(c, REFUSAL_BROKER, 0);
        if (r < 0)
                return FLUSH_GONE; /* the bytes were there when they were peeked at */

        c->flush.head_length = http->head_length;
        return flush_respond(fl, route, c, http);
}

static FlushResult flush_finish(Client *c) {
        bool is_all = c->flush.unsent->is_all;

        free(TAKE_PTR(c->flush.unsent));
        return is_all ? FLUSH_ANSWERED : FLUSH_DONE;
}

void flush_describe(const Client *c, SocketTask *t) {
        const Unsent *u = c->flush.unsent;
        size_t n_consumed = client_consumed(c).n;

        t->steps = SOCKET_STEP_SEND;
        t->n_text = u->n - u->n_sent;
        memcpy(t->text, u->bytes + u->n_sent, t->n_text);
        if (n_consumed < c->flush.head_length) {
                t->steps |= SOCKET_STEP_CONSUME;
                t->n_consume = c->flush.head_length - n_consumed;
        }
}

FlushResult flush_continue(Flushes *fl, Client *c, const SocketTask *t) {
        Unsent *u = c->flush.unsent;

        if (!t || t->failed != 0 || (t->n_head > 0 && client_add_consumed(c, t->head, t->n_head) < 0))
                return FLUSH_GONE;

        u->n_sent += t->n_sent;
        if (!c->is_ktls) /* its mark was taken anew */
                c->baseline.n_written += t->n_sent;
        return u->n_sent == u->n ? flush_finish(c) : flush_wait(fl, c);
}

void flush_leave(Flushes *fl, Client *c) {
        unwatch_client(fl->loop, c);
        waiting_remove(&c->wait);
        c->state = CLIENT_NEW;
}

FlushResult flush_on_event(Flushes *fl, Client *c, uint32_t events) {
        Unsent *u = c->flush.unsent;
        bool has_left = events & EPOLLHUP;

        if (!has_left && c->is_shared) {
                flush_leave(fl, c);
                return FLUSH_INSPECT;
        }

        has_left = has_left || flush_send(c, u->bytes, u->n, &u->n_sent) < 0;
        if (!has_left && u->n_sent < u->n)
                return FLUSH_WAIT;

        flush_leave(fl, c);
        return has_left ? FLUSH_GONE : flush_finish(c);
}

static Client *flush_client_of(Wait *w) {
        return w ? CONTAINER_OF(w, Client, wait) : NULL;
}

Client *flush_first(const Flushes *fl) {
        return flush_client_of(waiting_first(&fl->clients));
}

Client *flush_next_due(Flushes *fl) {
        return flush_client_of(waiting_next_due(&fl->clients, loop_now(fl->loop)));
}

int flush_init(Flushes *fl, TimerHandler on_timer, void *userdata) {
        waiting_init(&fl->clients, &fl->timer);
        return timer_init(&fl->timer, fl->loop, on_timer, userdata);
}

void flush_done(Flushes *fl) {
        timer_done(&fl->timer);
}
