/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table of live connections: finding, counting, limits, and what the next process finds. */

#include "test.h"

#include <unistd.h>

#include "basic/fd.h"
#include "basic/hash.h"
#include "connections/store.h"
#include "connections/table.h"

static uint64_t source_of(const Connection *c) {
        return c->address[15];
}

static ConnectionTable *table_new(size_t max) {
        ConnectionStore *store;
        ConnectionTable *t;

        assert_int_equal(connection_store_new(&store), 0);
        assert_int_equal(connection_table_new(store, max, source_of, &t), 0);
        return t;
}

/* Gives the memfd to a new table, as the next process has it. */
static ConnectionTable *table_again(ConnectionTable *t, size_t max) {
        int fd = dup(t->store->fd);
        ConnectionStore *store;

        connection_table_free(t);
        assert_int_equal(connection_store_open(fd, &store), 0);
        assert_int_equal(connection_table_new(store, max, source_of, &t), 0);
        return t;
}

static ConnectionRoute *route_of(ConnectionTable *t, const char *unit, const char *path) {
        ConnectionRoute *route;

        assert_int_equal(connection_route_get(&t->routes, unit, path, &route), 0);
        return route;
}

static Connection *add(ConnectionTable *t, uint64_t cookie, uint8_t source, ConnectionRoute *route) {
        Connection model = { .cookie = cookie, .origin_id = cookie, .origin = 7, .begun_at = 1000 };

        model.address[15] = source;
        model.listener = (uint16_t) connection_listener(t, "public");
        return connection_add(t, &model, route);
}

static void test_counts(void **state) {
        ConnectionTable *t = table_new(8);
        ConnectionRoute *a = route_of(t, "a.socket", "/a"), *b = route_of(t, "b.socket", "/a"), *c = route_of(t, "c.socket", "/c");
        Connection *one = add(t, 1, 5, a), *two = add(t, 2, 5, b);

        assert_ptr_equal(connection_find(t, 1), one);
        assert_ptr_equal(connection_find(t, 2), two);
        assert_null(connection_find(t, 3));
        assert_int_equal(a->n_live, 1);
        assert_int_equal(connection_worker_find(&t->routes, "/a")->n_live, 2);
        assert_int_equal(connection_count_source(t, 5), 2);
        assert_int_equal(connection_count_source(t, 6), 0);

        /* A client that is in the broker again counts for no worker. Each route counts it once. */
        connection_take_back(t, one);
        connection_take_back(t, one);
        assert_int_equal(a->n_live, 0);
        assert_int_equal(t->n_in_broker, 1);
        assert_int_equal(connection_count_source(t, 5), 1);
        connection_move(t, one, c);
        connection_move(t, two, c);
        assert_int_equal(c->n_live, 2);
        assert_int_equal(b->n_live, 0);
        assert_int_equal(t->n_in_broker, 0);
        assert_int_equal(one->n_handoffs, 2);

        connection_remove(t, one);
        assert_null(connection_find(t, 1));
        assert_int_equal(c->worker->n_live, 1);
        assert_int_equal(connection_count_source(t, 5), 1);
        assert_int_equal(t->n_tracked, 1);
        connection_table_free(t);
}

/* Beyond the limit nothing is tracked, and a place that is free again is used. */
static void test_limit(void **state) {
        ConnectionTable *t = table_new(3);
        ConnectionRoute *a = route_of(t, "a.socket", "/a");

        for (uint64_t i = 1; i <= 3; i++)
                assert_non_null(add(t, i, 1, a));
        assert_null(add(t, 4, 1, a));
        assert_null(add(t, 0, 1, a));
        connection_remove(t, connection_find(t, 2));
        assert_non_null(add(t, 5, 1, a));
        assert_int_equal(a->n_live, 3);
        assert_int_equal(t->store->header->n_touched, 3);

        /* A lower limit ends nothing, and all are still found. */
        assert_int_equal(connection_table_set_max(t, 1), 0);
        assert_non_null(connection_find(t, 5));
        assert_null(add(t, 6, 1, a));
        assert_int_equal(connection_table_set_max(t, 1000), 0);
        assert_non_null(add(t, 6, 1, a));
        connection_table_free(t);
}

/* Many cookies that come and go in any order: the index always agrees with a plain list. */
static void test_many(void **state) {
        static bool is_there[5000];
        ConnectionTable *t = table_new(ELEMENTSOF(is_there));
        ConnectionRoute *a = route_of(t, "a.socket", "/a");
        uint64_t random = 1;
        size_t n = 0;

        for (size_t i = 0; i < 100000; i++) {
                size_t k;

                random = mix64(random);
                k = random % ELEMENTSOF(is_there);
                if (is_there[k]) {
                        connection_remove(t, connection_find(t, k + 1));
                        n--;
                } else {
                        assert_non_null(add(t, k + 1, (uint8_t) k, a));
                        n++;
                }
                is_there[k] = !is_there[k];
                assert_int_equal(t->n_tracked, n);
        }

        for (size_t k = 0; k < ELEMENTSOF(is_there); k++) {
                const Connection *c = connection_find(t, k + 1);

                assert_int_equal(c != NULL, is_there[k]);
                assert_true(!c || c->cookie == k + 1);
        }
        connection_table_free(t);
}

static size_t iterate(const ConnectionTable *t) {
        size_t i = 0, n = 0;

        while (connection_next(t, &i))
                n++;
        return n;
}

/* Clients that were sent, and have no receipt: they count for nothing, and the next process takes them as live. */
static void test_sent(void **state) {
        ConnectionTable *t = table_new(4);
        ConnectionRoute *a = route_of(t, "a.socket", "/a"), *b = route_of(t, "b.socket", "/b");
        const Connection model = { .cookie = 10, .listener = (uint16_t) connection_listener(t, "public") };
        Connection *one, *two, *again;

        one = connection_add_sent(t, &model, a);
        assert_int_equal(t->n_tracked + t->n_in_broker + a->n_live + connection_count_source(t, 0), 0);
        assert_int_equal(t->n_sent, 1);
        connection_unsend(t, one);
        assert_null(connection_find(t, 10));
        assert_int_equal(t->n_sent, 0);

        /* Such a client takes a place. */
        for (uint64_t i = 1; i <= 3; i++)
                assert_non_null(add(t, i, 1, a));
        one = connection_add_sent(t, &model, a);
        assert_non_null(one);
        assert_null(add(t, 4, 1, a));
        connection_remove(t, connection_find(t, 1));

        /* A client that was handed back is sent on. If its worker does not take it, it is in the broker as before. */
        two = connection_find(t, 2);
        t->past[connection_number(t, two)] = (ConnectionPast){ .n_in = 9, .n_out = 9 };
        connection_take_back(t, two);
        assert_int_equal(t->past[connection_number(t, two)].n_in, 0);
        connection_mark_sent(t, two, b);
        assert_int_equal(t->n_in_broker, 1);
        connection_unsend(t, two);
        assert_ptr_equal(connection_route(t, two), a);
        connection_mark_sent(t, two, b);
        assert_int_equal(b->n_live, 0);

        t = table_again(t, 4);
        assert_int_equal(t->n_restored, 3);
        assert_int_equal(t->n_sent + t->n_in_broker, 0);
        assert_int_equal(connection_worker_find(&t->routes, "/a")->n_live, 2);
        assert_int_equal(connection_worker_find(&t->routes, "/b")->n_live, 1);
        again = connection_find(t, 2);
        assert_string_equal(connection_route(t, again)->unit, "b.socket");
        assert_int_equal(again->n_handoffs, 2);
        assert_int_equal(connection_find(t, 10)->n_handoffs, 1);
        assert_int_equal(iterate(t), 3);
        connection_table_free(t);
}

/* The next process has the same connections, with their routes, listeners, names and bytes. */
static void test_next_process(void **state) {
        ConnectionTable *t = table_new(100);
        ConnectionRoute *a = route_of(t, "a.socket", "/a"), *b = route_of(t, "b.socket", "/b");
        Connection *c;
        size_t n;

        for (uint64_t i = 1; i <= 50; i++)
                add(t, i, (uint8_t) i, i % 2 ? a : b);
        for (uint64_t i = 10; i < 20; i++)
                connection_remove(t, connection_find(t, i));
        connection_take_back(t, connection_find(t, 2));
        connection_set_id(t, connection_find(t, 3), "another-name", 12);
        connection_move(t, connection_find(t, 5), b);
        t->past[connection_number(t, connection_find(t, 5))] = (ConnectionPast){ .n_in = 10, .n_out = 20 };

        t = table_again(t, 200);
        assert_int_equal(t->n_tracked, 40);
        assert_int_equal(t->n_restored, 40);
        assert_int_equal(iterate(t), 40);
        assert_int_equal(t->n_in_broker, 1);
        assert_int_equal(connection_worker_find(&t->routes, "/a")->n_live, 19);
        assert_int_equal(connection_worker_find(&t->routes, "/b")->n_live, 20);
        c = connection_find(t, 3);
        assert_string_equal(connection_route(t, c)->unit, "a.socket");
        assert_string_equal(connection_listener_name(t, c), "public");
        assert_memory_equal(connection_id(t, c, &n), "another-name", 12);
        assert_int_equal(n, 12);
        assert_null(connection_id(t, connection_find(t, 4), &n));
        assert_int_equal(t->past[connection_number(t, connection_find(t, 5))].n_out, 20);
        assert_int_equal(connection_count_source(t, 5), 1);

        /* The free places are known. */
        for (uint64_t i = 10; i < 20; i++)
                assert_non_null(add(t, i, 1, connection_route(t, c)));
        assert_int_equal(t->store->header->n_touched, 50);
        connection_table_free(t);
}

/* A memfd that is broken: nothing is taken up that has no route, no listener, or a cookie that is there already. */
static void test_broken_memfd(void **state) {
        ConnectionTable *t = table_new(100);
        ConnectionRoute *a = route_of(t, "a.socket", "/a");
        int fd;

        for (uint64_t i = 1; i <= 10; i++)
                add(t, i, 1, a);
        connection_find(t, 1)->route = 77;
        connection_find(t, 2)->route = UINT16_MAX;
        connection_find(t, 3)->listener = 9;
        connection_find(t, 4)->cookie = 5;
        connection_find(t, 6)->flags = UINT8_MAX;
        connection_find(t, 7)->n_handoffs = 0;
        memset(t->store->listeners[0], 'x', STORE_LISTENER_SIZE);
        t = table_again(t, 100);
        assert_int_equal(t->n_tracked, 6);
        assert_int_equal(strlen(connection_listener_name(t, connection_find(t, 5))), STORE_LISTENER_SIZE - 1);

        /* Of another form, too short, or too many slots: none of ours. */
        t->store->header->n_touched = UINT32_MAX;
        fd = dup(t->store->fd);
        assert_int_equal(connection_store_open(fd, &(ConnectionStore *){ NULL }), STORE_FOREIGN);
        t->store->header->n_touched = 0;
        t->store->header->version++;
        assert_int_equal(connection_store_open(fd, &(ConnectionStore *){ NULL }), STORE_FOREIGN);
        t->store->header->version--;
        connection_table_free(t);
        assert_int_equal(ftruncate(fd, 100), 0);
        assert_int_equal(connection_store_open(fd, &(ConnectionStore *){ NULL }), STORE_FOREIGN);
        fd_close(fd);
}

/* Routes live as long as a connection or a configuration has them, and their numbers are used again. */
static void test_routes(void **state) {
        ConnectionTable *t = table_new(100);
        ConnectionRoute *a = route_of(t, "a.socket", "/a"), *b = route_of(t, "b.socket", "/a"), *again = route_of(t, "a.socket", "/a");

        assert_ptr_equal(a, again);
        add(t, 1, 1, a);
        connection_route_put(a);
        connection_route_put(a);
        assert_int_equal(connection_route(t, connection_find(t, 1))->n_live, 1);
        connection_remove(t, connection_find(t, 1));
        assert_null(t->routes.routes[0]);
        assert_int_equal(route_of(t, "c.socket", "/c")->number, 0);
        connection_route_put(b);
        assert_null(connection_worker_find(&t->routes, "/a"));
        connection_table_free(t);
}

/* Sources: many, with gaps that close. */
static void test_sources(void **state) {
        SourceCounts s = {};

        for (uint64_t i = 0; i < 1000; i++)
                for (uint64_t k = 0; k <= i % 3; k++)
                        assert_int_equal(source_counts_add(&s, i), 0);
        for (uint64_t i = 0; i < 1000; i += 2)
                source_counts_remove(&s, i);
        source_counts_remove(&s, 5000);
        for (uint64_t i = 0; i < 1000; i++)
                assert_int_equal(source_counts_get(&s, i), i % 3 + 1 - (i % 2 == 0));
        source_counts_done(&s);
}

/* A duration is in the bucket that it does not exceed. */
static void test_durations(void **state) {
        ConnectionDurations d = {};

        connection_durations_add(&d, 0);
        connection_durations_add(&d, 1000);
        connection_durations_add(&d, 1001);
        connection_durations_add(&d, 3 * USEC_PER_SEC);
        connection_durations_add(&d, 100 * 3600 * USEC_PER_SEC);
        assert_int_equal(d.n[0], 2);
        assert_int_equal(d.n[1], 1);
        assert_int_equal(d.n[12], 1);
        assert_int_equal(d.n[CONNECTION_DURATION_BUCKETS - 1], 1);
}

TEST_MAIN(TEST(test_counts),
          TEST(test_limit),
          TEST(test_many),
          TEST(test_sent),
          TEST(test_next_process),
          TEST(test_broken_memfd),
          TEST(test_routes),
          TEST(test_sources),
          TEST(test_durations))
