/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Load balancers ask in two languages. Health checks speak HTTP. On sockets with the name AGENT they speak the grammar of
 * HAProxy's agent check ("agent-check" in HAProxy's configuration manual, section 5.2).
 */

#include "fdpassctl/health-serve.h"

#include <stdio.h>

#include "fdpassctl/health-ask.h"
#include "fdpassctl/serve.h"
#include "probe/http-piece.h"

/* FileDescriptorName= of fdpass-agent.socket */
#define AGENT "agent"

/* The answer to a health check while the host is drained (?drain=). */
typedef enum HealthDrain {
        HEALTH_DRAIN_FAILS,     /* 503 */
        HEALTH_DRAIN_NOT_FOUND, /* 404, which HAProxy's disable-on-404 takes as "no new clients" */
        HEALTH_DRAIN_IGNORED,   /* 200, because the agent tells it */
} HealthDrain;

/* Decodes the escapes of a query (RFC 3986 2.1) into @text. Returns the length, or 0 if it does not fit or is wrong. */
static size_t health_decode(Slice value, char *text, size_t size) {
        size_t n = 0;

        for (size_t i = 0; i < value.n; i++) {
                int c = value.p[i];

                if (c == '%') {
                        c = http_piece_decode((Slice){ value.p + i, value.n - i });
                        i += 2;
                }
                if (n == size || c <= 0)
                        return 0;
                text[n++] = (char) c;
        }

        return n;
}

/* Reads one "name=value". Returns false if it is not understood. */
static bool health_read_parameter(Slice parameter, HealthQuestion *q, HealthDrain *drain) {
        const uint8_t *sign = memchr(parameter.p, '=', parameter.n);
        Slice name, value;
        char text[256];

        if (!sign)
                return false;

        name = (Slice){ parameter.p, (size_t) (sign - parameter.p) };
        value = (Slice){ sign + 1, parameter.n - name.n - 1 };
        if (slice_equal(name, SLICE_LITERAL("route")))
                return health_add(q, text, health_decode(value, text, sizeof(text)));
        if (!slice_equal(name, SLICE_LITERAL("drain")))
                return false;

        if (slice_equal(value, SLICE_LITERAL("404")))
                *drain = HEALTH_DRAIN_NOT_FOUND;
        else if (slice_equal(value, SLICE_LITERAL("200")))
                *drain = HEALTH_DRAIN_IGNORED;
        else
                return slice_equal(value, SLICE_LITERAL("503"));

        return true;
}

static bool health_read_query(const HttpFacts *http, HealthQuestion *q, HealthDrain *drain) {
        const uint8_t *p = http->path.p + http->path.n;
        size_t n = http->target.n - (size_t) (p - http->target.p);

        *drain = HEALTH_DRAIN_FAILS;
        if (n == 0)
                return true;

        for (p++, n--; n > 0;) {
                const uint8_t *end = memchr(p, '&', n);
                size_t length = end ? (size_t) (end - p) : n;

                if (!health_read_parameter((Slice){ p, length }, q, drain))
                        return false;

                p += length;
                n -= length;
                if (n > 0)
                        p++, n--;
        }

        return true;
}

static const char *health_status(const HealthAnswer *a, HealthDrain drain) {
        if (!a->is_well)
                return "503 Service Unavailable";
        if (!a->is_draining || drain == HEALTH_DRAIN_IGNORED)
                return "200 OK";

        return drain == HEALTH_DRAIN_NOT_FOUND ? "404 Not Found" : "503 Service Unavailable";
}

static bool health_answer_http(HealthCache *cache, ServePeer *peer) {
        HealthQuestion q = {};
        const HealthAnswer *a;
        HealthDrain drain;
        HttpFacts http;
        char body[8192];
        bool needs_more;
        int n;

        if (!serve_read_http(peer, &http, &needs_more))
                return !needs_more;

        /* Not 404, because it would mean that the host is drained. */
        if (!slice_equal(http.path, SLICE_LITERAL("/fdpass/health")) || !health_read_query(&http, &q, &drain)) {
                serve_reply_status(peer, "400 Bad Request");
                return true;
        }

        a = health_get(cache, &q);
        n = snprintf(body, sizeof(body), "%s%s%s\n%s",
                     !a->is_well ? "down" : a->is_draining ? "draining" : "ready", a->reason[0] ? ": " : "", a->reason,
                     a->details ?: "");
        serve_reply_http(peer, health_status(a, drain), "text/plain; charset=utf-8", body,
                         MIN((size_t) MAX(n, 0), sizeof(body) - 1), slice_equal(http.method, SLICE_LITERAL("GET")));
        return true;
}

/* Reads the units of "agent-send". Words are separated as in HAProxy's own grammar. */
static bool health_read_agent(const char *line, size_t n, HealthQuestion *q) {
        for (size_t i = 0, length; i < n; i += length + 1) {
                for (length = 0; i + length < n && !memchr(" \t,\r", line[i + length], 4);)
                        length++;
                if (length > 0 && !health_add(q, line + i, length))
                        return false;
        }

        return true;
}

/*
 * Each answer says the administrative state, the operational state, and the weight, because HAProxy keeps what an answer
 * does not name.
 */
static bool health_answer_agent(HealthCache *cache, ServePeer *peer) {
        const char *end = memchr(peer->question, '\n', peer->n_question);
        HealthQuestion q = {};
        const HealthAnswer *a;
        char text[1024];

        if (!end && !peer->is_complete && peer->n_question < sizeof(peer->question))
                return false;

        if (!health_read_agent(peer->question, end ? (size_t) (end - peer->question) : peer->n_question, &q)) {
                serve_reply(peer, "ready down #the question is too long\n");
                return true;
        }

        a = health_get(cache, &q);
        if (!a->is_well)
                (void) snprintf(text, sizeof(text), "%s down #%s\n", a->is_draining ? "drain" : "ready", a->reason);
        else
                (void) snprintf(text, sizeof(text), "%s up %u%%\n", a->is_draining ? "drain" : "ready", a->percent);
        serve_reply(peer, text);
        return true;
}

static bool health_answer(void *userdata, ServePeer *peer) {
        return streq(peer->socket, AGENT) ? health_answer_agent(userdata, peer) : health_answer_http(userdata, peer);
}

int health_serve(void) {
        HealthCache *cache = calloc(1, sizeof(*cache));
        int r;

        if (!cache)
                return -ENOMEM;

        r = serve(health_answer, cache);
        for (size_t i = 0; i < HEALTH_CACHE_SIZE; i++)
                health_answer_done(&cache->slots[i].answer);
        free(cache);
        return r;
}
