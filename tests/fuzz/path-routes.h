/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Routes with Path=, and two ways to find the one that gets a path. The first is that of the broker, for all readings
 * of the path. The second uses no index, and is for one reading.
 */

#include <stdlib.h>

#include "match/decide.h"
#include "path-readings.h"

#define PATH_LIST(...) ((char **) (uintptr_t) (const char *const[]){ __VA_ARGS__, NULL })

/* The number of a route. PATH_NONE: no route gets the path. PATH_REFUSED: its readings lead to different routes. */
enum { SITE, CHAT, API, DEEP, LOGO, EVENTS, ONLY, CAFE, PATH_NONE, PATH_REFUSED };

static const RouteMatch path_routes[] = {
        [SITE] = { .hosts = PATH_LIST("h", "plain") },
        [CHAT] = { .hosts = PATH_LIST("h"), .paths = PATH_LIST("/chat", "/talk") },
        [API] = { .hosts = PATH_LIST("h"), .paths = PATH_LIST("/api", "/a+b") },
        [DEEP] = { .hosts = PATH_LIST("h"), .paths = PATH_LIST("/api/v1/deep") },
        [LOGO] = { .hosts = PATH_LIST("*.w"), .paths = PATH_LIST("/logo") },
        [EVENTS] = { .paths = PATH_LIST("/events") },
        [ONLY] = { .hosts = PATH_LIST("only"), .paths = PATH_LIST("/only/a", "/only/b") },
        [CAFE] = { .hosts = PATH_LIST("h"), .paths = PATH_LIST("/caf%C3%A9", "/caf%c3%a9", "/one%C3%A9") },
};

/* The index has the first @n routes. Without CAFE no Path= has an escape, and the index takes a shorter way. */
static inline MatchIndex *path_make_index(size_t n) {
        MatchIndex *index;

        if (match_index_new(&index) < 0)
                abort();
        for (size_t i = 0; i < n; i++)
                if (match_index_add(index, &path_routes[i], "a.socket", i) < 0)
                        abort();
        if (match_index_finish(index) < 0)
                abort();

        return index;
}

static inline int path_ask(const MatchIndex *index, const char *host, Slice path) {
        ProbeName name;
        ClientFacts facts = { .listener = "public", .protocol = 1U << PROBE_HTTP, .host = &name, .path = path };
        Decision d;

        if (!probe_name_set(&name, slice_from_string(host)))
                abort();
        d = decide_facts(index, &facts);
        if (d.kind == DECISION_MALFORMED && d.reason != PROBE_REASON_HTTP_AMBIGUOUS_PATH)
                abort();

        return d.kind == DECISION_MALFORMED ? PATH_REFUSED : d.kind == DECISION_ROUTE ? (int) d.pool : PATH_NONE;
}

/* True if the reading @path lies at or below @prefix as it is, or as a server has it that decodes it. */
static inline bool path_is_below(const char *prefix, Slice path) {
        uint8_t decoded[64];
        Slice p = slice_from_string(prefix);

        if (http_path_has_prefix(path, p))
                return true;

        memcpy(decoded, p.p, p.n);
        return http_path_has_prefix(path, (Slice){ decoded, path_step(PATH_DECODE, decoded, p.n) });
}

static inline bool path_names_host(const RouteMatch *m, const char *host) {
        for (char **h = m->hosts; h && *h; h++)
                if (streq(*h, host))
                        return true;

        return !m->hosts;
}

/* Returns 0 if the route does not take the reading. The largest number is that of the best route. */
static inline size_t path_weigh(const RouteMatch *m, const char *host, Slice path) {
        size_t length = m->paths ? 0 : 1;

        for (char **p = m->paths; p && *p; p++)
                if (path_is_below(*p, path))
                        length = MAX(length, strlen(*p) + 1);

        return length > 0 && path_names_host(m, host) ? length + (m->hosts ? 1000 : 0) : 0;
}

/* The route of one reading among the first @n routes. */
static inline int path_ask_plainly(size_t n, const char *host, Slice path) {
        int best = PATH_NONE;
        size_t most = 0;

        for (size_t i = 0; i < n; i++) {
                size_t weight = path_weigh(&path_routes[i], host, path);

                if (weight > most) {
                        best = (int) i;
                        most = weight;
                }
        }

        return best;
}
