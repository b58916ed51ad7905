/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * With --http a connection is looked at between two requests. The next one goes to the backend if the route of this
 * worker has it. For any other one the client is handed back to the broker, with its socket untouched.
 *
 * A request goes to the backend only when the response to the last one is with the client. So pipelined requests find
 * their workers, too. A connection that can't be followed becomes a plain one: after a message without a clear end, an
 * upgrade, bytes of another protocol, or the end of one side.
 */

#include <sys/socket.h>

#include "handoff/ktls.h"
#include "workers/framing-request.h"
#include "workers/proxy.h"

/* Bytes of a request that are looked at, as fdpass_next() does. */
#define HEAD_MAX ((size_t) 16 * 1024)

/* The messages of a connection. */
struct ProxyHttp {
        struct fdpass *info;      /* owned */
        FlowMessages requests;
        FlowMessages responses;
        uint64_t n_begun;         /* requests that the backend gets */
};

void proxy_http_start(ProxyConnection *c, struct fdpass *info) {
        ProxyHttp *h = calloc(1, sizeof(*h));

        if (!h) {
                fdpass_free(info);
                return;
        }

        h->info = info;
        h->requests.is_request = true;
        c->http = h;
        c->up.messages = &h->requests;
        c->down.messages = &h->responses;
}

void proxy_http_stop(ProxyConnection *c) {
        if (!c->http)
                return;

        c->up.messages = c->down.messages = NULL;
        fdpass_free(c->http->info);
        free(TAKE_PTR(c->http));
}

/* Begins the request whose head begins @bytes. The first @n_sent bytes are on their way to the backend already. */
static bool http_begin_request(ProxyHttp *h, Slice bytes, size_t n_sent) {
        const uint8_t *p = bytes.p;
        HttpFacts facts;
        bool is_last;
        int r;

        if (probe_http1(bytes.p, bytes.n, HEAD_MAX, &facts) != PROBE_MATCH ||
            !framing_begin_head(&h->requests.framing, &facts, &is_last))
                return false;

        h->responses.is_head = slice_equal(facts.method, SLICE_LITERAL("HEAD"));
        h->n_begun++;

        r = framing_feed(&h->requests.framing, &p, &n_sent, /* is_head= */ false);
        return r >= 0 && n_sent == 0;
}

/* Returns the bytes that came with the handoff, and belong to the first request. */
static Slice http_consumed(const ProxyHttp *h) {
        size_t n = 0;
        const void *p = h->n_begun == 0 ? fdpass_consumed(h->info, &n) : NULL;

        return (Slice){ p, n };
}

/* Asks whose the next request is. Returns false if the connection is to end. */
static bool http_ask(const ProxyConnection *c) {
        const struct fdpass_next_args args = { .size = sizeof(args), .path = c->proxy->return_path };
        Service *s = &c->proxy->service;
        int r = fdpass_next(c->client.fd, c->http->info, &args);

        if (r == FDPASS_NEXT_OWN || r == FDPASS_NEXT_END)
                return true;

        /* Between two requests a client has to expect the end of its connection (RFC 9112 section 9.5). */
        if (r < 0)
                service_complain(s, "A client could not be handed back, and is closed between two requests: %s. Does the "
                                 "service have SupplementaryGroups=fdpass?", strerror(-r));
        return false;
}

/* Looks at the next request. Returns false if the connection is to end. */
static bool http_look_at_next(ProxyConnection *c) {
        ProxyHttp *h = c->http;
        uint8_t *buffer = c->proxy->scratch;
        Slice consumed = http_consumed(h);
        size_t n = MIN(consumed.n, HEAD_MAX);
        ssize_t k;

        if (n > 0)
                memcpy(buffer, consumed.p, n);
        k = ktls_recv(c->client.fd, buffer + n, HEAD_MAX - n, MSG_PEEK | MSG_DONTWAIT);
        if (k == -EAGAIN && n == 0) {
                c->client.can_read = false;
                return true;
        }
        if (k > 0 && h->n_begun > 0 && !http_ask(c))
                return false;
        if ((k <= 0 && n == 0) || !http_begin_request(h, (Slice){ buffer, n + (size_t) MAX(k, (ssize_t) 0) }, consumed.n))
                proxy_http_stop(c);

        return true;
}

static bool http_is_lost(const ProxyConnection *c) {
        const ProxyHttp *h = c->http;

        return h->requests.framing.state == FRAMING_LOST || h->responses.framing.state == FRAMING_LOST ||
               h->responses.n_ended > h->n_begun || c->client.has_error || c->up.is_discarded || c->down.ended;
}

/* True if the client has the whole response to its last request, and has sent no byte of the next one to the backend. */
static bool http_is_between(const ProxyConnection *c) {
        const ProxyHttp *h = c->http;

        return h->requests.framing.state == FRAMING_START && h->responses.framing.state == FRAMING_START &&
               h->responses.n_ended == h->n_begun && flow_n_pending(&c->down) == 0;
}

/*
 * True if the client has sent its end behind a request. The backend has to see it, because it may be
 * making a response that no client awaits.
 */
static bool http_has_ended(const ProxyConnection *c) {
        uint8_t byte;

        return c->client.has_end && c->http->requests.framing.state == FRAMING_START &&
               ktls_recv(c->client.fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) == 0;
}

bool proxy_http_look(ProxyConnection *c) {
        if (!c->http)
                return true;

        if (http_is_lost(c) || http_has_ended(c)) {
                proxy_http_stop(c);
                return true;
        }

        return !c->client.can_read || !http_is_between(c) || http_look_at_next(c);
}

bool proxy_http_has_news(const ProxyConnection *c) {
        return c->http && (http_is_lost(c) || (c->client.can_read && http_is_between(c)));
}
