/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Shares of the workers of a pool, by each Balance=. */

#include "test.h"

#include <stdio.h>

#include "basic/hash.h"
#include "broker/stage/balance.h"
#include "connections/routes.h"

#define N_MAX 5
#define NOW (100 * USEC_PER_SEC)

static struct {
        RoutingShared shared;
        Routing routing;
        RouteConfig configs[N_MAX];
        Worker workers[N_MAX];
        Route routes[N_MAX];
        Pool pool;
} t;

static void make_pool(Balance balance, size_t n) {
        memset(&t, 0, sizeof(t));
        t.routing.shared = &t.shared;
        t.pool = (Pool){ .routing = &t.routing, .routes = t.routes, .n_routes = n, .config = &t.configs[0] };

        for (size_t i = 0; i < N_MAX; i++) {
                char path[32];

                (void) snprintf(path, sizeof(path), "/run/%zu.sock", i);
                t.configs[i] = (RouteConfig){ .weight = 1, .max_pending = 100 };
                t.routes[i] = (Route){ .config = &t.configs[i], .pool = &t.pool, .worker = &t.workers[i],
                                       .hash = hash_string(path) };
        }
        t.configs[0].balance = balance;
}

static size_t next(const Client *c) {
        Route *route = balance_pick(&t.pool, c, NOW);

        if (!route)
                return SIZE_MAX;

        balance_sent(&t.pool, route, NOW);
        return (size_t) (route - t.routes);
}

static Client client_from(uint32_t address) {
        return (Client){ .address.in = { .sin_family = AF_INET, .sin_addr.s_addr = address } };
}

/* By weight, no worker has more than one client more than another. */
static void test_least_pending(void **state) {
        make_pool(BALANCE_LEAST_PENDING, 3);
        t.configs[2].weight = 2;

        for (size_t i = 0; i < 40; i++)
                t.workers[next(NULL)].n_pending++;

        assert_int_equal(t.workers[0].n_pending, 10);
        assert_int_equal(t.workers[1].n_pending, 10);
        assert_int_equal(t.workers[2].n_pending, 20);
}

/* Workers that are equally free take turns, also where every client is gone before the next one comes. */
static void test_ties_take_turns(void **state) {
        make_pool(BALANCE_LEAST_PENDING, 3);

        for (size_t i = 0; i < 9; i++)
                assert_int_equal(next(NULL), i % 3);
}

/* Shares by weight, however many clients each one has, and no long runs of one worker. */
static void test_round_robin(void **state) {
        size_t counts[3] = {}, run = 0, last = SIZE_MAX;

        make_pool(BALANCE_ROUND_ROBIN, 3);
        t.configs[0].weight = 3;
        t.configs[1].weight = 2;
        t.workers[0].n_pending = 50;

        for (size_t i = 0; i < 60; i++) {
                size_t k = next(NULL);

                counts[k]++;
                run = k == last ? run + 1 : 1;
                last = k;
                assert_true(run <= 2);
        }

        assert_int_equal(counts[0], 30);
        assert_int_equal(counts[1], 20);
        assert_int_equal(counts[2], 10);
}

/* A source keeps its worker. A new worker takes its share and moves no other source; nor does a worker that goes. */
static void test_source_hash(void **state) {
        enum { N = 2000 };
        static size_t before[N];
        size_t counts[N_MAX] = {}, moved = 0;

        make_pool(BALANCE_SOURCE_HASH, 4);
        for (uint32_t i = 0; i < N; i++) {
                Client c = client_from(i * 2654435761U);

                before[i] = next(&c);
                assert_int_equal(next(&c), before[i]);
                counts[before[i]]++;
        }
        for (size_t i = 0; i < 4; i++)
                assert_in_range(counts[i], N / 4 * 8 / 10, N / 4 * 12 / 10);

        t.pool.n_routes = 5;
        for (uint32_t i = 0; i < N; i++) {
                Client c = client_from(i * 2654435761U);
                size_t k = next(&c);

                assert_true(k == before[i] || k == 4);
                moved += k == 4;
        }
        assert_in_range(moved, N / 5 * 8 / 10, N / 5 * 12 / 10);

        t.workers[1].retry_at = NOW + 1;
        t.pool.n_routes = 4;
        for (uint32_t i = 0; i < N; i++) {
                Client c = client_from(i * 2654435761U);
                size_t k = next(&c);

                assert_true(before[i] == 1 ? k != 1 : k == before[i]);
        }
}

/* A full or resting worker gets nothing; with none left there is no answer. */
static void test_only_ready(void **state) {
        make_pool(BALANCE_LEAST_PENDING, 2);
        t.workers[0].n_pending = 100;
        assert_int_equal(next(NULL), 1);
        t.workers[1].retry_at = NOW + 1;
        assert_int_equal(next(NULL), SIZE_MAX);
        t.shared.ignores_max_pending = true;
        assert_int_equal(next(NULL), 0);
}

/* A backup gets clients when all others can't be reached, and not when they are merely full. */
static void test_backup(void **state) {
        make_pool(BALANCE_LEAST_PENDING, 3);
        t.configs[2].backup = t.pool.has_backup = true;

        t.workers[0].n_pending = t.workers[1].n_pending = 100;
        assert_int_equal(next(NULL), SIZE_MAX);

        t.workers[0].unreachable = true;
        t.workers[0].retry_at = NOW + 1;
        assert_int_equal(next(NULL), SIZE_MAX);

        t.workers[1].unreachable = true;
        t.workers[1].retry_at = NOW + 1;
        assert_int_equal(next(NULL), 2);
}

/* Clients that a worker has count, too: the one that keeps them longest gets the fewest new ones. */
static void test_least_connections(void **state) {
        ConnectionWorker live[3] = { { .n_live = 5 }, { .n_live = 0 }, { .n_live = 4 } };

        make_pool(BALANCE_LEAST_CONNECTIONS, 3);
        t.configs[2].weight = 2;
        for (size_t i = 0; i < 3; i++)
                t.workers[i].connections = &live[i];

        for (size_t i = 0; i < 31; i++)
                live[next(NULL)].n_live++;

        assert_int_equal(live[0].n_live, 10);
        assert_int_equal(live[1].n_live, 10);
        assert_int_equal(live[2].n_live, 20);
}

/* A worker with MaxConnections= clients gets no more, neither as the only one nor while the broker stops. */
static void test_max_connections(void **state) {
        ConnectionWorker live = { .n_live = 3 };

        make_pool(BALANCE_LEAST_PENDING, 1);
        t.configs[0].max_connections = 5;
        t.workers[0].connections = &live;
        t.workers[0].n_pending = 1;
        assert_int_equal(next(NULL), 0);
        t.workers[0].n_pending = 2;
        assert_int_equal(next(NULL), SIZE_MAX);
        t.shared.ignores_max_pending = true;
        assert_int_equal(next(NULL), SIZE_MAX);
        live.n_live = 2;
        assert_int_equal(next(NULL), 0);
}

TEST_MAIN(TEST(test_least_pending),
          TEST(test_least_connections),
          TEST(test_max_connections),
          TEST(test_ties_take_turns),
          TEST(test_round_robin),
          TEST(test_source_hash),
          TEST(test_only_ready),
          TEST(test_backup))
