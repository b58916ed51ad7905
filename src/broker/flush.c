/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/flush.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "basic/error.h"
#include "broker/diag.h"
#include "broker/judge.h"
#include "broker/listener.h"
#include "broker/pool.h"
#include "broker/refusal.h"
#include "broker/watch.h"
#include "flusher/flusher.h"

/*
 * The send buffer of a new connection has room for everything that a flusher may write. One that came back may be
 * full of a response that the client does not read, and SendBuffer= in the unit of the public socket may be small.
 */
#define WAIT_USEC (2 * USEC_PER_SEC)

bool flush_is_due(const Route *route, const Client *c) {
        return c->status == 0 && route->pool->routes[0].config->provider;
}

/* What a route's workers are told of a client. */
static bool tells(const Route *route) {
        return route->form != WORKER_STREAM && route->config->metadata;
}

/* What the request says whose head is there whole, NULL where none is. Points into the broker's scratch. */
static const HttpFacts *find_request(Broker *b, const Client *c) {
        const Probe *probe = broker_probe(b, c);

        return probe && probe->protocol == PROBE_HTTP ? &probe->http : NULL;
}

/*
 * Bytes that were consumed can only be given to a worker in a message that has room for them, but for the head of a
 * request that is answered already. And whoever writes whole responses has to know of that.
 */
bool flush_can_take(Broker *b, const Pool *p, const Client *c) {
        size_t n = c->baggage ? c->baggage->consumed.n : 0;
        bool flushes = p->routes[0].config->provider, all_tell = true;
        const HttpFacts *http;

        for (size_t i = 0; i < p->n_routes; i++)
                all_tell = all_tell && tells(&p->routes[i]);

        if (all_tell)
                return true;
        if (c->status != 0)
                return flushes && n <= c->head_length;

        if (n == 0)
                return true;

        http = flushes ? find_request(b, c) : NULL;
        return http && n <= http->head_length;
}

/* RFC 9110 5.6.7, in English whatever the locale. Made once a second. */
static const char *date_of(Broker *b) {
        static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t now = time(NULL);
        struct tm tm;

        if (now == b->date_at && b->date[0])
                return b->date;

        if (!gmtime_r(&now, &tm))
                tm = (struct tm){ .tm_mday = 1, .tm_year = 70, .tm_wday = 4 };

        (void) snprintf(b->date, sizeof(b->date), "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
                        days + 3 * (tm.tm_wday % 7), (unsigned) tm.tm_mday % 100, months + 3 * (tm.tm_mon % 12),
                        (unsigned) (tm.tm_year + 1900) % 10000, (unsigned) tm.tm_hour % 100, (unsigned) tm.tm_min % 100,
                        (unsigned) tm.tm_sec % 100);
        b->date_at = now;
        return b->date;
}

static struct fdpass_flusher_text text_of(Slice s) {
        return (struct fdpass_flusher_text){ (const char *) s.p, s.n };
}

/* Asks the flusher. Returns its verdict. */
static int ask(Broker *b, const Route *route, Client *c, const HttpFacts *http,
               struct fdpass_flusher_output *output) {
        const RouteConfig *config = route->pool->routes[0].config;
        const ClientAddress *local = c->local.sa.sa_family != AF_UNSPEC ? &c->local : client_own_address(c);
        struct fdpass_flusher_request request = {
                .size = sizeof(request),
                .method = text_of(http->method),
                .target = text_of(http->target),
                .host = { http->host.text, http->host.n },
                .fields = text_of(http->fields),
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
                .date = date_of(b),
                .now_usec = broker_now(b),
                .header = flusher_header,
                .head = flusher_head,
        };

        return config->provider->flush(&request, output);
}

/* Sends what fits. Returns 0 or a negative errno, which is the client's fault. */
static int send_some(Client *c, const uint8_t *p, size_t size, size_t *n_sent) {
        while (*n_sent < size) {
                ssize_t n = send(c->fd, p + *n_sent, size - *n_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0)
                        return errno_is_transient(-errno) ? 0 : -errno;

                *n_sent += (size_t) n;
                c->untouched.n_written += (uint64_t) n;
        }

        return 0;
}

static void flush_ask(Broker *b, Client *c, SocketTask *t);
static void flush_go_on(Broker *b, Client *c, const SocketTask *t);

static const JudgeKind flush_kind = { flush_ask, flush_go_on };

static void timer_arm(Broker *b) {
        List *l = list_first(&b->flushing);

        if (l)
                timer_set(&b->flush_timer, CONTAINER_OF(l, Client, link)->flush_until);
}

/* Keeps the rest until there is room for it. False where that can't be. */
static bool wait_for_room(Broker *b, Client *c, const struct fdpass_flusher_output *output, size_t n_sent, bool is_all) {
        size_t n = output->len - n_sent;
        Unsent *u = malloc(sizeof(*u) + n);

        if (!u)
                return false;

        *u = (Unsent){ .n = n, .is_all = is_all };
        memcpy(u->bytes, output->bytes + n_sent, n);
        c->unsent = u;

        if (watch_client_for_room(&b->watch, c) < 0)
                return false;

        c->state = CLIENT_FLUSHING;
        c->flush_until = broker_now(b) + WAIT_USEC;
        list_append(&b->flushing, &c->link);
        b->n.n_flush_waits++;
        timer_arm(b);
        return true;
}

static int gone(Broker *b, Client *c) {
        b->n.n_gone++;
        broker_drop(b, c);
        return FLUSH_ENDED;
}

/* All is sent that the flusher has to say, and it says that this was all. */
static int whole(Broker *b, Client *c) {
        b->n.n_flush_whole++;
        if (b->log_handoffs >= LOG_HANDOFFS_YES)
                diag_answered(b, c);
        refusal_see_off(b, c);
        return FLUSH_ENDED;
}

/* The socket is another worker's as well: the helper takes the head off it and sends the response. */
static int flush_write_by_helper(Broker *b, Client *c, const struct fdpass_flusher_output *output, bool is_all) {
        Unsent *u = malloc(sizeof(*u) + output->len);

        if (!u) {
                refusal_close(b, c, REFUSAL_BROKER);
                return FLUSH_ENDED;
        }

        *u = (Unsent){ .n = output->len, .is_all = is_all };
        memcpy(u->bytes, output->bytes, output->len);
        c->unsent = u;
        c->flush_until = usec_add(broker_now(b), WAIT_USEC);
        judge_begin(b, c, &flush_kind);
        return FLUSH_LATER;
}

static int write_out(Broker *b, Client *c, const struct fdpass_flusher_output *output, bool is_all) {
        size_t n_sent = 0;

        c->status = output->status;
        b->n.n_flushed++;

        if (c->is_shared)
                return flush_write_by_helper(b, c, output, is_all);

        if (send_some(c, (const uint8_t *) output->bytes, output->len, &n_sent) < 0)
                return gone(b, c);

        if (n_sent < output->len) {
                if (wait_for_room(b, c, output, n_sent, is_all))
                        return FLUSH_LATER;

                refusal_close(b, c, REFUSAL_BROKER);
                return FLUSH_ENDED;
        }

        return is_all ? whole(b, c) : 0;
}

static int refuse(Broker *b, Client *c, unsigned status) {
        c->refusal_status = status;
        refusal_send(b, c, REFUSAL_FLUSHER, PROBE_REASON_NONE);
        return FLUSH_ENDED;
}

/* The response of one whose head is consumed. What @http points to is not that, and still there. */
static int respond(Broker *b, Route *route, Client *c, const HttpFacts *http) {
        char bytes[FDPASS_FLUSHER_OUTPUT_MAX];
        struct fdpass_flusher_output output = {
                .size = sizeof(output),
                .bytes = bytes,
                .capacity = sizeof(bytes),
                .status = 0,
        };
        int verdict = ask(b, route, c, http, &output);

        if (verdict == FDPASS_FLUSHER_REFUSE && output.status == 0)
                output.status = 503;
        else if (output.status == 0)
                output.status = 200;

        if (verdict == FDPASS_FLUSHER_REFUSE && output.status >= 400 && output.status <= 599)
                return refuse(b, c, output.status);

        if ((verdict == FDPASS_FLUSHER_GO || verdict == FDPASS_FLUSHER_DONE) && output.len <= output.capacity &&
            output.status >= 200 && output.status <= 599)
                return write_out(b, c, &output, verdict == FDPASS_FLUSHER_DONE);

        diag_flusher_failed(route->pool);
        return refuse(b, c, 503);
}

int flush(Broker *b, Route *route, Client *c) {
        const HttpFacts *http = find_request(b, c);
        int r;

        /* A worker has named a route that answers requests, and did not give one with the client. */
        if (!http) {
                refusal_send(b, c, REFUSAL_WORKER, PROBE_REASON_NONE);
                return FLUSH_ENDED;
        }

        r = c->is_shared ? 0 : client_consume(c, http->head_length);
        if (r < 0 && errno_is_resource(r)) {
                refusal_send(b, c, REFUSAL_BROKER, PROBE_REASON_NONE);
                return FLUSH_ENDED;
        }
        if (r < 0)
                return gone(b, c); /* the bytes were there when they were looked at */

        c->head_length = http->head_length;
        return respond(b, route, c, http);
}

static void leave(Broker *b, Client *c) {
        unwatch_client(&b->watch, c);
        list_remove(&c->link);
        c->state = CLIENT_NEW;
}

/* All was sent that the flusher wrote. */
static void flush_finish(Broker *b, Client *c) {
        bool is_all = c->unsent->is_all;

        free(TAKE_PTR(c->unsent));
        if (is_all)
                (void) whole(b, c);
        else
                pool_readmit(c);
}

static void flush_ask(Broker *b, Client *c, SocketTask *t) {
        const Unsent *u = c->unsent;
        size_t n_consumed = c->baggage ? c->baggage->consumed.n : 0;

        t->steps = SOCKET_STEP_SEND;
        t->n_text = u->n - u->n_sent;
        memcpy(t->text, u->bytes + u->n_sent, t->n_text);
        if (n_consumed < c->head_length) {
                t->steps |= SOCKET_STEP_CONSUME;
                t->n_consume = c->head_length - n_consumed;
        }
}

static void flush_go_on(Broker *b, Client *c, const SocketTask *t) {
        Unsent *u = c->unsent;

        if (!t || t->failed != 0 || (t->n_head > 0 && client_add_consumed(c, t->head, t->n_head) < 0)) {
                (void) gone(b, c);
                return;
        }

        u->n_sent += t->n_sent;
        c->untouched.n_written += t->n_sent;
        if (u->n_sent == u->n)
                flush_finish(b, c);
        else if (watch_client_for_room(&b->watch, c) < 0)
                refusal_close(b, c, REFUSAL_BROKER);
        else {
                c->state = CLIENT_FLUSHING;
                list_append(&b->flushing, &c->link);
                b->n.n_flush_waits++;
                timer_arm(b);
        }
}

void flush_on_event(Broker *b, Client *c, uint32_t events) {
        Unsent *u = c->unsent;

        if (c->is_shared && !(events & EPOLLHUP)) {
                leave(b, c);
                judge_begin(b, c, &flush_kind);
                return;
        }

        if (events & EPOLLHUP || send_some(c, u->bytes, u->n, &u->n_sent) < 0) {
                leave(b, c);
                (void) gone(b, c);
                return;
        }

        if (u->n_sent < u->n)
                return;

        leave(b, c);
        flush_finish(b, c);
}

void flush_end_all(Broker *b) {
        for (List *l; (l = list_first(&b->flushing));) {
                leave(b, CONTAINER_OF(l, Client, link));
                refusal_close(b, CONTAINER_OF(l, Client, link), REFUSAL_STOPPING);
        }
}

static void on_timer(void *userdata) {
        Broker *b = userdata;
        usec_t now = broker_now(b);
        List *l;

        while ((l = list_first(&b->flushing)) && CONTAINER_OF(l, Client, link)->flush_until <= now) {
                Client *c = CONTAINER_OF(l, Client, link);

                leave(b, c);
                refusal_close(b, c, REFUSAL_SLOW);
        }

        timer_arm(b);
}

int flush_timer_add(Broker *b) {
        return timer_init(&b->flush_timer, b, on_timer, b);
}
