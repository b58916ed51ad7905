/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sources: which addresses are one place, and how much of a pool's queue one place may have. */

#include "tcp-fixture.h"

#include <arpa/inet.h>

#include "broker/state/source.h"

/* "fe80::1%2" is on the second interface. */
static ClientAddress address_of(const char *text) {
        char host[INET6_ADDRSTRLEN];
        size_t n = strcspn(text, "%");
        ClientAddress a = {};

        assert_true(n < sizeof(host));
        memcpy(host, text, n);
        host[n] = 0;

        if (inet_pton(AF_INET, host, &a.in.sin_addr) == 1)
                a.in.sin_family = AF_INET;
        else {
                assert_int_equal(inet_pton(AF_INET6, host, &a.in6.sin6_addr), 1);
                a.in6.sin6_family = AF_INET6;
                a.in6.sin6_scope_id = text[n] ? (uint32_t) (text[n + 1] - '0') : 0;
        }

        return a;
}

/* With a limit of one client a place, the second client is let in only from another place. */
static bool is_one_place(const char *x, const char *y) {
        Client a = { .address = address_of(x) }, b = { .address = address_of(y) };
        SourceTable table;
        bool is_one;

        assert_int_equal(source_table_init(&table, 2), 0);
        assert_true(source_get(&table, &a, 1));
        is_one = !source_get(&table, &b, 1);
        source_put(&table, &a);
        source_put(&table, &b);
        source_table_done(&table);

        assert_int_equal(source_hash(&a.address) == source_hash(&b.address), is_one);
        return is_one;
}

static void test_places(void **state) {
        static const struct {
                const char *a, *b;
                bool is_one;
        } cases[] = {
                { "192.0.2.1", "192.0.2.1", true },
                { "192.0.2.1", "192.0.2.2", false },
                { "192.0.2.1", "::ffff:192.0.2.1", true },
                { "2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6", true },
                { "2001:db8:1:2::1", "2001:db8:1:3::1", false },
                { "::1", "::2", true },

                /* All of IPv4, where a translator is in front. */
                { "64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2", false },
                { "64:ff9b::192.0.2.1", "192.0.2.1", true },
                { "64:ff9b:0:0:1::192.0.2.1", "192.0.2.1", false },
                { "64:ff9b:1::192.0.2.1", "64:ff9b:1::192.0.2.2", false },
                { "64:ff9b:1::192.0.2.1", "64:ff9b:1::192.0.2.1", true },
                { "64:ff9b:1:c000:2:100::", "64:ff9b:1:c000:2:200::", false },

                /* All hosts of a link. */
                { "fe80::1%2", "fe80::2%2", false },
                { "fe80::1%2", "fe80::1%2", true },
                { "fe80::1%2", "fe80::1%3", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (is_one_place(cases[i].a, cases[i].b) != cases[i].is_one)
                        fail_msg("%s and %s", cases[i].a, cases[i].b);
}

/* A client from 127.0.0.0 plus @host, which says @what. The broker has it when this returns. */
static int come_from(unsigned host, char what) {
        struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl((127U << 24) + host) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        uint64_t before = n_accepted();

        assert_int_equal(bind(fd, (struct sockaddr *) &sin, sizeof(sin)), 0);
        assert_int_equal(connect(fd, (struct sockaddr *) &tcp, sizeof(tcp)), 0);
        assert_int_equal(send(fd, &what, 1, MSG_NOSIGNAL), 1);
        WAIT_FOR(n_accepted() > before);
        return fd;
}

static uint64_t count_full(void) {
        return n_refused(REFUSAL_QUEUE_FULL);
}

static void use_queue(unsigned max_queued) {
        const RouteSpec spec = { .unit = "a.socket", .worker = "a", .max_pending = 1, .max_queued = max_queued };

        assert_int_equal(broker_set_config(t.broker, config_of(&spec, 1)), 0);
}

/* Two addresses fill a queue. A third and a fourth have places as well, as far as that evens out. */
static void test_full_queue(void **state) {
        static const char in_order[] = "AAAABBBCCD";
        int worker, clients[16];
        size_t n = 0;

        add_tcp("tcp");
        worker = listen_at("a", 64);
        use_queue(8);

        for (unsigned i = 0; i < 5; i++)
                clients[n++] = come_from(2, 'A');
        for (unsigned i = 0; i < 4; i++)
                clients[n++] = come_from(3, 'B');
        assert_int_equal(count_full(), 0);

        clients[n++] = come_from(3, 'B'); /* as many as the other one, and the queue is full */
        assert_int_equal(count_full(), 1);
        clients[n++] = come_from(4, 'C');
        assert_int_equal(count_full(), 2);
        WAIT_FOR(has_event(clients[8], POLLIN)); /* the end, for the newest of the fullest */
        clients[n++] = come_from(4, 'C');
        clients[n++] = come_from(4, 'C'); /* more than two of nine would not be even */
        clients[n++] = come_from(5, 'D');
        assert_int_equal(count_full(), 5);
        assert_int_equal(queued("a.socket"), 8);

        for (size_t i = 0; i < 9; i++) {
                char byte = take_byte(worker);

                assert_non_null(strchr(in_order, byte));
                n -= byte == 'C' || byte == 'D';
        }
        assert_int_equal(n, 14 - 3);

        for (size_t i = 0; i < 14; i++)
                fd_close(clients[i]);
        fd_close(worker);
}

/* The same with many newcomers of one address each: more than PLACE_LOOK_MAX of them get places. */
static void test_many_newcomers(void **state) {
        enum { N_GREEDY = 150, N = 200 };
        struct rlimit limit;
        static int clients[2 * N_GREEDY + 1 + N];
        size_t n = 0;
        int worker;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        if (limit.rlim_max < 4096)
                skip();
        limit.rlim_cur = limit.rlim_max;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);

        t.broker = broker_free(t.broker);
        assert_int_equal(broker_new(t.event, t.log, 4096, &t.broker), 0);
        add_tcp("tcp");
        worker = listen_at("a", 64);
        use_queue(2 * N_GREEDY);

        for (unsigned i = 0; i < 2 * N_GREEDY + 1; i++)
                clients[n++] = come_from(2 + i % 2, 'x');
        assert_int_equal(count_full(), 0);

        for (unsigned i = 0; i < N; i++)
                clients[n++] = come_from(256 + i, 'y');
        assert_int_equal(count_full(), N); /* one for each: if not the newcomer, an older one */

        for (size_t i = 0, n_new = 0; i < 2 * N_GREEDY + 1; i++) {
                n_new += take_byte(worker) == 'y';
                if (i == 2 * N_GREEDY)
                        assert_in_range(n_new, N * 9 / 10, N);
        }

        for (size_t i = 0; i < n; i++)
                fd_close(clients[i]);
        fd_close(worker);
}

TEST_MAIN(TEST(test_places),
          BROKER_TEST(test_full_queue),
          BROKER_TEST(test_many_newcomers))
