/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How long finding a route by host takes, from 10 routes to 100,000. Prints a table. */

#include <stdio.h>

#include "basic/macro.h"
#include "basic/time.h"
#include "match/match.h"

#define N_ROUNDS 15
#define N_LOOKUPS 100000
#define NAME_MAX_SIZE 48

static int compare_doubles(const void *a, const void *b) {
        double x = *(const double *) a, y = *(const double *) b;

        return (x > y) - (x < y);
}

static double measure(const MatchIndex *index, const ProbeName *names, size_t n) {
        size_t found = 0, k = 0;
        usec_t start = usec_now();

        for (size_t i = 0; i < N_LOOKUPS; i++) {
                ClientFacts facts = { .listener = "public", .protocol = 1U << PROBE_HTTP, .host = &names[k],
                                .path = SLICE_LITERAL("/index.html") };
                MatchResult result;

                match_index_find(index, &facts, &result);
                found += result.found;
                k = (k + 7919) % n; /* a prime: all names in turn, and not in the order of memory */
        }

        if (found != N_LOOKUPS)
                abort();

        return (double) (usec_now() - start) * 1000 / N_LOOKUPS;
}

static void run(size_t n) {
        char *text = calloc(n, NAME_MAX_SIZE), **lists = calloc(2 * n, sizeof(char *));
        RouteMatch *routes = calloc(n, sizeof(*routes));
        ProbeName *names = calloc(n, sizeof(*names));
        double ns[N_ROUNDS];
        MatchIndex *index;

        if (!text || !lists || !routes || !names || match_index_new(&index) < 0)
                abort();

        for (size_t i = 0; i < n; i++) {
                char *name = text + NAME_MAX_SIZE * i;

                (void) snprintf(name, NAME_MAX_SIZE, "tenant%zu.example.org", i);
                lists[2 * i] = name;
                routes[i].hosts = &lists[2 * i];
                if (!probe_name_set(&names[i], slice_from_string(name)) || match_index_add(index, &routes[i], name, i) < 0)
                        abort();
        }

        if (match_index_finish(index) < 0)
                abort();

        for (size_t i = 0; i < N_ROUNDS; i++)
                ns[i] = measure(index, names, n);
        qsort(ns, N_ROUNDS, sizeof(*ns), compare_doubles);
        printf("%8zu routes: %6.0f ns a look-up (%.0f-%.0f)\n", n, ns[N_ROUNDS / 2], ns[0], ns[N_ROUNDS - 1]);

        match_index_free(index);
        free(text);
        free(lists);
        free(routes);
        free(names);
}

int main(void) {
        static const size_t sizes[] = { 10, 100, 1000, 10000, 100000 };

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++)
                run(sizes[i]);

        return 0;
}
