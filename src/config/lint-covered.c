/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A route is covered if another one with a higher RoutePriority= takes all of its clients. The higher routes are sorted
 * by each of their hosts, so that a route is compared with few of them.
 */

#include <limits.h>
#include <stdio.h>

#include "config/lint-checks.h"
#include "probe/probe.h"

/* Limit of comparisons for a route, so that many routes are checked in short time. Further ones are left out. */
#define COMPARISONS_MAX 1000

/* A route and one of its hosts; "": it has no Host=. */
typedef struct CoverEntry {
        const char *host;
        const RouteConfig *route;
} CoverEntry;

typedef struct CoverIndex {
        CoverEntry *entries; /* sorted by host */
        size_t n_entries;
} CoverIndex;

static bool lint_covered_has_string(char **list, const char *s) {
        for (char **i = list; i && *i; i++)
                if (streq(*i, s))
                        return true;

        return false;
}

/* True if the list @a, which is NULL for everything, has all of @b. */
static bool lint_covered_strings(char **a, char **b) {
        if (!a || !b)
                return !a;

        for (char **i = b; *i; i++)
                if (!lint_covered_has_string(a, *i))
                        return false;

        return true;
}

/* True if @pattern, which begins with "*.", takes all names of @host, which may be such a pattern too. */
static bool lint_covered_is_below(const char *pattern, const char *host) {
        const char *end = pattern[0] == '*' ? endswith(host, pattern + 1) : NULL;

        return end && end > host;
}

static bool lint_covered_host(char **hosts, const char *host) {
        for (char **h = hosts; *h; h++)
                if (streq(*h, host) || lint_covered_is_below(*h, host))
                        return true;

        return false;
}

static bool lint_covered_hosts(const RouteMatch *a, const RouteMatch *b) {
        for (char **h = b->hosts; a->hosts && h && *h; h++)
                if (!lint_covered_host(a->hosts, *h))
                        return false;

        return !a->hosts || b->hosts;
}

static bool lint_covered_path(char **paths, const char *path) {
        for (char **p = paths; *p; p++)
                if (http_path_has_prefix(slice_from_string(path), slice_from_string(*p)))
                        return true;

        return false;
}

static bool lint_covered_paths(const RouteMatch *a, const RouteMatch *b) {
        for (char **p = b->paths; a->paths && p && *p; p++)
                if (!lint_covered_path(a->paths, *p))
                        return false;

        return !a->paths || b->paths;
}

/* True if @a takes every value of that field that the pattern takes. */
static bool lint_covered_header(const RouteMatch *a, const HeaderMatch *h) {
        for (size_t i = 0; i < a->n_headers; i++)
                if (streq(a->headers[i].name, h->name) &&
                    (streq(a->headers[i].glob, h->glob) || streq(a->headers[i].glob, "*")))
                        return true;

        return false;
}

static bool lint_covered_has_field(const RouteMatch *m, const char *name) {
        for (size_t i = 0; i < m->n_headers; i++)
                if (streq(m->headers[i].name, name))
                        return true;

        return false;
}

/* Each field that @a asks for is one that @b asks for, with no other values. */
static bool lint_covered_headers(const RouteMatch *a, const RouteMatch *b) {
        for (size_t i = 0; i < a->n_headers; i++)
                if (!lint_covered_has_field(b, a->headers[i].name))
                        return false;

        for (size_t i = 0; i < b->n_headers; i++)
                if (lint_covered_has_field(a, b->headers[i].name) && !lint_covered_header(a, &b->headers[i]))
                        return false;

        return true;
}

static bool lint_covered_range(const AddressRange *a, const AddressRange *b) {
        unsigned whole = a->n_bits / 8, rest = a->n_bits % 8;

        return a->family == b->family && a->n_bits <= b->n_bits && memcmp(a->address, b->address, whole) == 0 &&
               (rest == 0 || (a->address[whole] ^ b->address[whole]) >> (8 - rest) == 0);
}

static bool lint_covered_sources(const RouteMatch *a, const RouteMatch *b) {
        for (size_t i = 0; a->n_sources > 0 && i < b->n_sources; i++) {
                size_t k = 0;

                while (k < a->n_sources && !lint_covered_range(&a->sources[k], &b->sources[i]))
                        k++;
                if (k == a->n_sources)
                        return false;
        }

        return a->n_sources == 0 || b->n_sources > 0;
}

static bool lint_covered_bytes(const BytesMatch *a, const BytesMatch *b) {
        return a->n <= b->n && memcmp(a->p, b->p, a->n) == 0;
}

static bool lint_covered_prefixes(const RouteMatch *a, const RouteMatch *b) {
        for (size_t i = 0; a->n_prefixes > 0 && i < b->n_prefixes; i++) {
                size_t k = 0;

                while (k < a->n_prefixes && !lint_covered_bytes(&a->prefixes[k], &b->prefixes[i]))
                        k++;
                if (k == a->n_prefixes)
                        return false;
        }

        return a->n_prefixes == 0 || b->n_prefixes > 0;
}

/* Without Protocol= a route takes every client but silent ones. */
static bool lint_covered_protocols(const Lint *l, const RouteConfig *a, const RouteConfig *b) {
        unsigned clients = lint_keys_protocols(l, b);

        if (!b->match.protocols)
                clients &= ~PROTOCOL_SILENT;

        return a->match.protocols ? (clients & ~a->match.protocols) == 0 : !(clients & PROTOCOL_SILENT);
}

/* True if @a takes every client that @b takes. */
static bool lint_covered_by(const Lint *l, const RouteConfig *a, const RouteConfig *b) {
        const RouteMatch *x = &a->match, *y = &b->match;

        return streq(x->name ?: "", y->name ?: "") && lint_covered_hosts(x, y) && lint_covered_paths(x, y) &&
               lint_covered_strings(x->listeners, y->listeners) && lint_covered_strings(x->methods, y->methods) &&
               lint_covered_strings(x->alpns, y->alpns) && lint_covered_headers(x, y) && lint_covered_sources(x, y) &&
               lint_covered_prefixes(x, y) && (x->tls == TLS_MATCH_ANY || x->tls == y->tls) &&
               lint_covered_protocols(l, a, b);
}

static int lint_covered_compare(const void *x, const void *y) {
        const CoverEntry *a = x, *b = y;
        int r = strcmp(a->host, b->host);

        return r != 0 ? r : strcmp(a->route->unit, b->route->unit);
}

/* Returns the index of the first entry of this host. */
static size_t lint_covered_first(const CoverIndex *index, const char *host) {
        size_t low = 0, high = index->n_entries;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(index->entries[middle].host, host) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }

        return low;
}

static const RouteConfig *lint_covered_search(const Lint *l, const CoverIndex *index, const char *host,
                                              const RouteConfig *route, unsigned *n_left) {
        for (size_t i = lint_covered_first(index, host); i < index->n_entries && *n_left > 0; i++, (*n_left)--) {
                const CoverEntry *e = &index->entries[i];

                if (!streq(e->host, host))
                        return NULL;
                if (e->route->match.priority > route->match.priority && lint_covered_by(l, e->route, route))
                        return e->route;
        }

        return NULL;
}

/* Searches by the first host of @route, by each wildcard above it, and then routes without Host=. */
static const RouteConfig *lint_covered_find(const Lint *l, const CoverIndex *index, const RouteConfig *route) {
        const char *host = route->match.hosts ? route->match.hosts[0] : "";
        const RouteConfig *found = NULL;
        unsigned n_left = COMPARISONS_MAX;
        char pattern[PROBE_NAME_MAX + 3];

        if (*host)
                found = lint_covered_search(l, index, host, route, &n_left);

        for (const char *dot = strchr(host, '.'); !found && dot; dot = strchr(dot + 1, '.')) {
                (void) snprintf(pattern, sizeof(pattern), "*%s", dot);
                found = lint_covered_search(l, index, pattern, route, &n_left);
        }

        return found ?: lint_covered_search(l, index, "", route, &n_left);
}

/* Returns the first line of match keys. NULL: the unit has none. */
static Assignment *lint_covered_line(const Unit *unit) {
        static const char *const keys[] = {
                "Host", "Path", "Header", "Method", "Protocol", "ALPN", "Prefix", "Source", "TLS", "Listener", "InternalName",
        };
        Assignment *a = NULL;

        for (size_t i = 0; !a && i < ELEMENTSOF(keys); i++)
                a = lint_in_effect(unit, SECTION_FDPASS, keys[i]);

        return a ?: lint_listen_line(unit) ?: lint_in_effect(unit, SECTION_FDPASS, "Worker");
}

static int lint_covered_report(const Lint *l, const RouteConfig *route, const RouteConfig *by) {
        _cleanup_(unit_freep) Unit *unit = NULL;
        Assignment *a;
        int r;

        r = unit_load(l->path, route->unit, &unit);
        if (r != 0)
                return r < 0 ? r : 0;

        a = lint_covered_line(unit);
        if (a)
                lint_warn(l, unit, a, "No client comes here, because %s takes all of these clients, and its "
                          "RoutePriority=%i is higher than %i. Raise RoutePriority= here, or narrow that route; a "
                          "stand-in for it has the same RoutePriority= and Backup=yes.",
                          by->unit, by->match.priority, route->match.priority);
        return 0;
}

static size_t lint_covered_count_hosts(const RouteConfig *route) {
        size_t n = 0;

        for (char **h = route->match.hosts; h && *h; h++)
                n++;

        return MAX(n, (size_t) 1);
}

/* The shipped worker takes clients that no other route takes, so it is no mistake that another one takes all. */
static bool lint_covered_is_hello(const RouteConfig *route) {
        return streq(route->unit, "fdpass-hello.socket");
}

/* Returns the lowest RoutePriority= of the routes that are checked. */
static int lint_covered_lowest(const Config *c) {
        int lowest = INT_MAX;

        for (size_t i = 0; i < c->n_routes; i++)
                if (!lint_covered_is_hello(&c->routes[i]))
                        lowest = MIN(lowest, c->routes[i].match.priority);

        return lowest;
}

/* Makes the index of the routes whose RoutePriority= is above @lowest. Others cover none. */
static int lint_covered_make_index(const Config *c, int lowest, CoverIndex *index) {
        size_t n = 0;

        for (size_t i = 0; i < c->n_routes; i++)
                n += c->routes[i].match.priority > lowest ? lint_covered_count_hosts(&c->routes[i]) : 0;

        index->entries = calloc(MAX(n, (size_t) 1), sizeof(*index->entries));
        if (!index->entries)
                return -ENOMEM;

        for (size_t i = 0; i < c->n_routes; i++) {
                char **hosts = c->routes[i].match.hosts;

                if (c->routes[i].match.priority <= lowest)
                        continue;
                if (!hosts)
                        index->entries[index->n_entries++] = (CoverEntry){ "", &c->routes[i] };
                for (char **h = hosts; h && *h; h++)
                        index->entries[index->n_entries++] = (CoverEntry){ *h, &c->routes[i] };
        }

        if (index->n_entries > 0)
                qsort(index->entries, index->n_entries, sizeof(*index->entries), lint_covered_compare);
        return 0;
}

static void lint_covered_done(CoverIndex *index) {
        free(index->entries);
}

int lint_covered(const Lint *l) {
        _cleanup_(lint_covered_done) CoverIndex index = {};
        const Config *c = l->config;
        int r;

        r = lint_covered_make_index(c, lint_covered_lowest(c), &index);
        for (size_t i = 0; r >= 0 && index.n_entries > 0 && i < c->n_routes; i++) {
                const RouteConfig *by = NULL;

                if (!lint_covered_is_hello(&c->routes[i]))
                        by = lint_covered_find(l, &index, &c->routes[i]);
                if (by)
                        r = lint_covered_report(l, &c->routes[i], by);
        }

        return r;
}
