/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Where clients come from: which addresses are one place. */

#include "test.h"

#include <arpa/inet.h>

#include "broker/source.h"

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

/* Where one client of a place is all that may come from it, the other one is let in if it comes from another place. */
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

int main(void) {
        const struct CMUnitTest tests[] = { TEST(test_places) };

        return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
