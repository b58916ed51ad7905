/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Routes made at random: the index finds what a plain loop over the table of fdpass.unit(5) finds. */

#include "match-fixture.h"

/* A small generator (numerical recipes): each run asks the same. */
static unsigned next_number(unsigned n) {
        static uint32_t number = 1;

        number = number * 1664525 + 1013904223;
        return (number >> 16) % n;
}

/* Whether a key of a random route is set. */
static bool now_and_then(void) {
        return next_number(4) == 0;
}

#define VALUES_PER_KEY 3

/* The values that random routes and clients have. */
static const char *const some_listeners[] = { "public", "443", "9418" };
static const char *const some_hosts[] = { "*.c", "*.b.c", "a.b.c", "x.b.c", "b.c" };
static const char *const some_paths[] = { "/", "/p", "/p/q", "/r" };
static const char *const some_methods[] = { "GET", "PUT", "POST" };
static const char *const some_alpns[] = { "h2", "http/1.1", "x" };
static const char *const some_prefixes[] = { "G", "GE", "GET", "\x16", "S" };
static const char *const some_globs[] = { "*", "v*", "v", "[vw]", "w" };
static const unsigned some_protocols[] = { HTTP, TLS, SSH, PROTOCOL_SILENT, HTTP | TLS, SSH | PROTOCOL_SILENT };
static const unsigned some_bits[] = { 8, 16, 24 };

/* A random route, with the arrays that it points to. */
typedef struct Draft {
        RouteMatch match;
        char *listeners[VALUES_PER_KEY + 1], *hosts[VALUES_PER_KEY + 1], *paths[VALUES_PER_KEY + 1];
        char *methods[VALUES_PER_KEY + 1], *alpns[VALUES_PER_KEY + 1];
        BytesMatch prefixes[VALUES_PER_KEY];
        AddressRange sources[VALUES_PER_KEY];
        HeaderMatch headers[2 * VALUES_PER_KEY];
        char unit[16];
} Draft;

static char **draft_list(char **list, const char *const *from, size_t n_from) {
        size_t n = 0;

        if (!now_and_then())
                return NULL;

        /* In the order of @from, each once. */
        for (size_t i = 0; i < n_from && n < VALUES_PER_KEY; i++)
                if (next_number(2) || (n == 0 && i == n_from - 1))
                        list[n++] = (char *) (uintptr_t) from[i];
        list[n] = NULL;
        return list;
}

static void draft_headers(Draft *d) {
        for (unsigned name = 0; name < 2; name++)
                if (now_and_then())
                        for (unsigned i = next_number(VALUES_PER_KEY) + 1; i > 0; i--)
                                d->headers[d->match.n_headers++] = (HeaderMatch){
                                        .name = TEXT(name == 0 ? "cookie" : "x-a"),
                                        .glob = (char *) (uintptr_t) some_globs[next_number(ELEMENTSOF(some_globs))],
                                };
}

static void draft_make(Draft *d) {
        RouteMatch *m = &d->match;

        *d = (Draft){};
        m->priority = next_number(6) == 0 ? (int) next_number(3) - 1 : 0;
        m->listeners = draft_list(d->listeners, some_listeners, ELEMENTSOF(some_listeners));
        m->hosts = draft_list(d->hosts, some_hosts, ELEMENTSOF(some_hosts));
        m->paths = draft_list(d->paths, some_paths, ELEMENTSOF(some_paths));
        m->methods = draft_list(d->methods, some_methods, ELEMENTSOF(some_methods));
        m->alpns = draft_list(d->alpns, some_alpns, ELEMENTSOF(some_alpns));
        m->protocols = now_and_then() ? some_protocols[next_number(ELEMENTSOF(some_protocols))] : 0;

        m->prefixes = d->prefixes;
        for (unsigned i = now_and_then() ? next_number(VALUES_PER_KEY) + 1 : 0; i > 0; i--) {
                const char *s = some_prefixes[next_number(ELEMENTSOF(some_prefixes))];

                d->prefixes[m->n_prefixes++] = (BytesMatch){ (uint8_t *) (uintptr_t) s, strlen(s) };
        }

        m->sources = d->sources;
        for (unsigned i = now_and_then() ? next_number(VALUES_PER_KEY) + 1 : 0; i > 0; i--)
                d->sources[m->n_sources++] = (AddressRange){ AF_INET, { 10 }, some_bits[next_number(ELEMENTSOF(some_bits))] };

        m->headers = d->headers;
        draft_headers(d);
        (void) snprintf(d->unit, sizeof(d->unit), "%u.socket", next_number(1000000));
}

static void some_sample(Sample *p) {
        static const unsigned protocols[] = { HTTP, HTTP, HTTP, TLS, TLS, SSH, 0 };
        static const char *const hosts[] = { "a.b.c", "x.b.c", "y.b.c", "b.c", "q" };
        static const char *const paths[] = { "/", "/p", "/p/q", "/p/q/z", "/r", "/s" };
        unsigned protocol = protocols[next_number(ELEMENTSOF(protocols))];

        sample_make(p, protocol, some_listeners[next_number(3)], next_number(2) ? "10.0.0.1" : "10.0.9.1",
                    protocol == HTTP ? "GET " : protocol == TLS ? "\x16" : "SSH-");
        if (protocol == HTTP || protocol == TLS)
                sample_set_host(p, hosts[next_number(ELEMENTSOF(hosts))]);
        if (protocol == TLS)
                for (size_t i = 0; i < ELEMENTSOF(some_alpns); i++)
                        if (next_number(2))
                                sample_add_alpn(p, some_alpns[i]);
        if (protocol != HTTP)
                return;

        p->facts.path = slice_from_string(paths[next_number(ELEMENTSOF(paths))]);
        p->facts.method = slice_from_string(some_methods[next_number(ELEMENTSOF(some_methods))]);
        (void) snprintf(p->fields, sizeof(p->fields), "Cookie: %s\r\nX-A: %s\r\n", next_number(2) ? "v" : "w", next_number(2) ? "v" : "vv");
        p->facts.fields = slice_from_string(p->fields);
}

static size_t length_of(char **l) {
        size_t n = 0;

        while (l && l[n])
                n++;

        return n;
}

static bool list_has(char **l, const char *s) {
        for (; l && *l; l++)
                if (streq(*l, s))
                        return true;

        return false;
}

/* The columns of the table in fdpass.unit(5), the more the better, without a shortcut. The name is not among them. */
enum { N_COLUMNS = 11 };

static int64_t best_host(const RouteMatch *m, const char *host) {
        int64_t best = 0;

        for (char **h = m->hosts; h && *h; h++)
                if (host && streq(*h, host))
                        return 1000;
                else if (host && (*h)[0] == '*' && strlen(host) > strlen(*h + 1) && streq(host + strlen(host) - strlen(*h + 1), *h + 1))
                        best = MAX(best, (int64_t) strlen(*h));

        return best;
}

static int64_t best_prefix(const RouteMatch *m, Slice head) {
        int64_t best = 0;

        for (size_t i = 0; i < m->n_prefixes; i++)
                if (slice_has_prefix(head, (Slice){ m->prefixes[i].p, m->prefixes[i].n }))
                        best = MAX(best, (int64_t) m->prefixes[i].n);

        return best;
}

static int64_t best_path(const RouteMatch *m, Slice path) {
        int64_t best = 0;

        for (char **p = m->paths; p && *p; p++)
                if (http_path_has_prefix(path, slice_from_string(*p)))
                        best = MAX(best, (int64_t) strlen(*p));

        return best;
}

static int64_t n_protocols(const RouteMatch *m) {
        int64_t n = 0;

        if (m->protocols == 0 && !m->hosts && !m->paths && !m->methods && m->n_headers == 0 && !m->alpns)
                return 100;

        for (unsigned bit = 0; bit < 32; bit++) {
                unsigned p = 1U << bit;

                n += (m->protocols == 0 || m->protocols & p) && (!m->hosts || p == HTTP || p == TLS) && (!m->alpns || p == TLS) &&
                     ((!m->paths && !m->methods && m->n_headers == 0) || p == HTTP);
        }

        return n;
}

/* Weights of some_globs, as match-rank.c has them. */
static int64_t weight_of_headers(const RouteMatch *m, const char *name) {
        static const int64_t weights[] = { 1, 4, 5, 3, 5 };
        int64_t weakest = 0;

        for (size_t i = 0; i < m->n_headers; i++)
                for (size_t k = 0; k < ELEMENTSOF(some_globs); k++)
                        if (streq(m->headers[i].name, name) && streq(m->headers[i].glob, some_globs[k]))
                                weakest = weakest == 0 ? weights[k] : MIN(weakest, weights[k]);

        return weakest;
}

static void rate(const RouteMatch *m, const ClientFacts *f, bool is_owned, int64_t columns[static N_COLUMNS]) {
        int64_t cookie = weight_of_headers(m, "cookie"), other = weight_of_headers(m, "x-a"), bits = 0;

        for (size_t i = 0; i < m->n_sources; i++)
                bits = i == 0 ? m->sources[i].n_bits : MIN(bits, (int64_t) m->sources[i].n_bits);

        memcpy(columns, (int64_t[N_COLUMNS]){
                m->priority,
                is_owned && m->listeners,
                best_host(m, f->host ? f->host->text : NULL),
                best_path(m, f->path),
                (cookie > 0) + (other > 0) + !!m->methods + !!m->alpns + (m->n_prefixes > 0) + (m->n_sources > 0),
                -n_protocols(m),
                m->listeners != NULL,
                best_prefix(m, f->head),
                bits,
                cookie + other,
                -(int64_t) (length_of(m->listeners) + length_of(m->hosts) + length_of(m->paths) + length_of(m->methods) +
                            length_of(m->alpns) + m->n_headers + m->n_prefixes + m->n_sources),
        }, N_COLUMNS * sizeof(int64_t));
}

/* True if a route with Listener= alone takes the clients of this listener, at this priority or a higher one. */
static bool owns(const Draft *drafts, size_t n, const char *listener, int priority) {
        for (size_t i = 0; i < n; i++) {
                const RouteMatch *m = &drafts[i].match;

                if (list_has(m->listeners, listener) && m->priority >= priority && !m->hosts && !m->paths && !m->methods && !m->alpns &&
                    m->protocols == 0 && m->n_headers + m->n_prefixes + m->n_sources == 0)
                        return true;
        }

        return false;
}

static size_t find_plainly(const Draft *drafts, size_t n, const ClientFacts *f) {
        int64_t columns[N_COLUMNS], best_columns[N_COLUMNS];
        size_t best = NONE;

        for (size_t i = 0; i < n; i++) {
                const RouteMatch *m = &drafts[i].match;
                int d = 0;

                if (match_first_miss(m, f) != MATCH_NO_MISS)
                        continue;

                rate(m, f, owns(drafts, n, f->listener, m->priority), columns);
                for (size_t k = 0; best != NONE && d == 0 && k < N_COLUMNS; k++)
                        d = (columns[k] > best_columns[k]) - (columns[k] < best_columns[k]);
                if (best == NONE || d > 0 || (d == 0 && strcmp(drafts[i].unit, drafts[best].unit) < 0)) {
                        best = i;
                        memcpy(best_columns, columns, sizeof(columns));
                }
        }

        return best;
}

/* The index finds the route that a plain loop over the table finds. */
static void test_as_table(void **state) {
        enum { N = 12 };
        static Draft drafts[N];
        size_t n_found = 0;

        for (unsigned round = 0; round < 4000; round++) {
                MatchIndex *index;

                assert_int_equal(match_index_new(&index), 0);
                for (size_t i = 0; i < N; i++) {
                        draft_make(&drafts[i]);
                        assert_int_equal(match_index_add(index, &drafts[i].match, drafts[i].unit, i), 0);
                }
                assert_int_equal(match_index_finish(index), 0);

                for (unsigned k = 0; k < 20; k++) {
                        Sample p;
                        size_t expected, found;

                        some_sample(&p);
                        expected = find_plainly(drafts, N, &p.facts);
                        found = find(index, &p.facts);
                        if (found != expected)
                                fail_msg("round %u: %zi, not %zi", round, (ssize_t) found, (ssize_t) expected);
                        n_found += found != NONE;
                }
                match_index_free(index);
        }

        assert_in_range(n_found, 20000, 79999); /* else the cases are no cases */
}

/* Makes @b of @a: the same route with one more key, or one value less. Returns false if that did not work out. */
static bool narrow(const Draft *a, Draft *b) {
        Draft other;
        char ***lists[] = { &b->match.listeners, &b->match.hosts, &b->match.paths, &b->match.methods, &b->match.alpns };
        char **storage[] = { b->listeners, b->hosts, b->paths, b->methods, b->alpns };
        char **others[] = { other.listeners, other.hosts, other.paths, other.methods, other.alpns };
        char ***other_lists[] = { &other.match.listeners, &other.match.hosts, &other.match.paths, &other.match.methods, &other.match.alpns };
        size_t which = next_number(ELEMENTSOF(lists)), n;

        *b = *a;
        b->match.prefixes = b->prefixes;
        b->match.sources = b->sources;
        b->match.headers = b->headers;
        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                if (*lists[i])
                        *lists[i] = storage[i];

        draft_make(&other);
        if (!*lists[which] && *other_lists[which]) {
                memcpy(storage[which], others[which], (VALUES_PER_KEY + 1) * sizeof(char *));
                *lists[which] = storage[which];
                return true;
        }

        n = length_of(*lists[which]);
        if (n < 2)
                return false;

        /* The first value is the widest. Without a narrower one the route would take other hosts, or by a shorter path. */
        memmove(storage[which], storage[which] + 1, n * sizeof(char *));
        return true;
}

/* A route that takes a part of what another takes wins, whatever the units are called. */
static void test_narrower_wins(void **state) {
        size_t n_compared = 0;

        for (unsigned round = 0; round < 200000; round++) {
                static Draft a, b;
                const char *const units[] = { "a", "b" };
                RouteMatch both[2];
                MatchIndex *index;
                Sample p;

                draft_make(&a);
                some_sample(&p);
                if (!narrow(&a, &b) || match_first_miss(&a.match, &p.facts) != MATCH_NO_MISS ||
                    match_first_miss(&b.match, &p.facts) != MATCH_NO_MISS)
                        continue;

                both[0] = a.match;
                both[1] = b.match;
                index = index_of(both, units, 2);
                if (find(index, &p.facts) != 1)
                        fail_msg("round %u: the wider route wins, by %i", round, match_explain_loss(index, &both[1], &both[0], &p.facts));
                n_compared++;
                match_index_free(index);
        }

        assert_true(n_compared > 2000);
}

TEST_MAIN(TEST(test_as_table),
          TEST(test_narrower_wins))
