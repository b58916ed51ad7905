/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A seal holds for one socket and for the facts that it was made with. */

#include "handoff-fixture.h"

#include "broker/state/seal.h"

/* The first vectors of the authors' reference implementation: the key is 00 to 0f, the bytes are 00, 01, 02 and so on. */
static void test_siphash(void **state) {
        static const struct {
                size_t n;
                uint64_t sum;
        } vectors[] = {
                { 0, UINT64_C(0x726fdb47dd0e0e31) },
                { 1, UINT64_C(0x74f839c593dc67fd) },
                { 7, UINT64_C(0xab0200f58b01d137) },
                { 8, UINT64_C(0x93f5f5799a932462) },
                { 15, UINT64_C(0xa129ca6149be45e5) },
        };
        uint8_t key[SIPHASH_KEY_SIZE], bytes[16];

        for (size_t i = 0; i < sizeof(bytes); i++)
                key[i] = bytes[i] = (uint8_t) i;
        for (size_t i = 0; i < ELEMENTSOF(vectors); i++)
                assert_true(siphash24(key, bytes, vectors[i].n) == vectors[i].sum);
}

static Message example(void) {
        Message m = MESSAGE_NULL;

        m.source.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = 1, .sin_addr.s_addr = 2 };
        m.destination.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = 3, .sin_addr.s_addr = 4 };
        m.listener = SLICE_LITERAL("web");
        return m;
}

static void test_facts(void **state) {
        int a[2], b[2];
        SealKey key, other;
        Message m, changed;
        Seal seal;

        client_pair(a);
        client_pair(b);
        assert_int_equal(seal_key_init(&key), 0);
        assert_int_equal(seal_key_init(&other), 0);

        m = example();
        assert_false(seal_is_valid(&key, seal_cookie(a[1]), &m)); /* there is none */
        assert_true(seal_make(&key, seal_cookie(a[1]), &m, &seal));
        m.seal = (Slice){ seal.bytes, sizeof(seal.bytes) };
        assert_true(seal_is_valid(&key, seal_cookie(a[1]), &m));
        m.unique_id = SLICE_LITERAL("another");
        assert_true(seal_is_valid(&key, seal_cookie(a[1]), &m)); /* it is for logs only */

        assert_false(seal_is_valid(&other, seal_cookie(a[1]), &m));
        assert_false(seal_is_valid(&key, seal_cookie(b[1]), &m));
        assert_false(seal_is_valid(&key, seal_cookie(a[0]), &m)); /* the other end has a number of its own */

        changed = m;
        changed.source.in.sin_addr.s_addr = 5;
        assert_false(seal_is_valid(&key, seal_cookie(a[1]), &changed));
        changed = m;
        changed.source.in.sin_port = 5;
        assert_false(seal_is_valid(&key, seal_cookie(a[1]), &changed));
        changed = m;
        changed.destination.in.sin_port = 5;
        assert_false(seal_is_valid(&key, seal_cookie(a[1]), &changed));
        changed = m;
        changed.source.sa.sa_family = changed.destination.sa.sa_family = AF_UNSPEC;
        assert_false(seal_is_valid(&key, seal_cookie(a[1]), &changed));
        changed = m;
        changed.listener = SLICE_LITERAL("we");
        assert_false(seal_is_valid(&key, seal_cookie(a[1]), &changed));
        changed = m;
        changed.alpn = SLICE_LITERAL("h2");
        assert_false(seal_is_valid(&key, seal_cookie(a[1]), &changed));
        changed = m;
        changed.ssl = SLICE_LITERAL("\1\0\0\0\0");
        assert_false(seal_is_valid(&key, seal_cookie(a[1]), &changed));
        changed = m;
        changed.proxy = SLICE_LITERAL("\x02\0\1a");
        assert_false(seal_is_valid(&key, seal_cookie(a[1]), &changed));
        changed = m;
        changed.seal.n--;
        assert_false(seal_is_valid(&key, seal_cookie(a[1]), &changed));

        pair_close(a);
        pair_close(b);
        assert_false(seal_make(&key, seal_cookie(-EBADF), &m, &seal));
}

TEST_MAIN(TEST(test_siphash),
          TEST(test_facts))
