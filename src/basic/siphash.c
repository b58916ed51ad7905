/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/siphash.h"

#include <endian.h>
#include <string.h>

static uint64_t siphash_read(const uint8_t *p) {
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return le64toh(v);
}

static uint64_t siphash_rotate(uint64_t v, unsigned n) {
        return v << n | v >> (64 - n);
}

static void siphash_rounds(uint64_t v[static 4], unsigned n) {
        for (unsigned i = 0; i < n; i++) {
                v[0] += v[1];
                v[2] += v[3];
                v[1] = siphash_rotate(v[1], 13) ^ v[0];
                v[3] = siphash_rotate(v[3], 16) ^ v[2];
                v[0] = siphash_rotate(v[0], 32);
                v[2] += v[1];
                v[0] += v[3];
                v[1] = siphash_rotate(v[1], 17) ^ v[2];
                v[3] = siphash_rotate(v[3], 21) ^ v[0];
                v[2] = siphash_rotate(v[2], 32);
        }
}

static void siphash_add(uint64_t v[static 4], uint64_t word) {
        v[3] ^= word;
        siphash_rounds(v, 2);
        v[0] ^= word;
}

uint64_t siphash24(const uint8_t key[static SIPHASH_KEY_SIZE], const void *p, size_t n) {
        const uint64_t k0 = siphash_read(key), k1 = siphash_read(key + 8);
        uint64_t v[4] = { k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                          k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573) };
        const uint8_t *bytes = p;
        uint8_t last[8] = {};
        size_t i;

        for (i = 0; i + 8 <= n; i += 8)
                siphash_add(v, siphash_read(bytes + i));

        memcpy(last, bytes + i, n - i);
        last[7] = (uint8_t) n;
        siphash_add(v, siphash_read(last));

        v[2] ^= 0xff;
        siphash_rounds(v, 4);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}
