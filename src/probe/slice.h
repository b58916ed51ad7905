/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A Slice is a range of borrowed bytes. A Reader reads one from its beginning. Every read checks the number of bytes
 * that are left. A read that does not fit reads nothing and returns false, so that no parser can overrun.
 */

#include "basic/macro.h"

typedef struct Slice {
        const uint8_t *p;
        size_t n;
} Slice;

/* A string literal, without its NUL. */
#define SLICE_LITERAL(s) ((Slice){ (const uint8_t *) (s), sizeof(s) - 1 })

static inline Slice slice_from_string(const char *s) {
        return (Slice){ (const uint8_t *) s, strlen(s) };
}

/* Returns @s without its first @n bytes. @n must be at most its length. */
static inline Slice slice_skip(Slice s, size_t n) {
        return (Slice){ s.p + n, s.n - n };
}

/* Returns the first @n bytes of @s, or all if it has fewer. */
static inline Slice slice_head(Slice s, size_t n) {
        return (Slice){ s.p, MIN(s.n, n) };
}

static inline bool slice_equal(Slice a, Slice b) {
        return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_has_prefix(Slice s, Slice prefix) {
        return s.n >= prefix.n && slice_equal(slice_head(s, prefix.n), prefix);
}

/* Returns the letter in lower case. Only ASCII letters change, in every locale. */
static inline uint8_t ascii_lower(uint8_t c) {
        return c >= 'A' && c <= 'Z' ? (uint8_t) (c | 0x20) : c;
}

/* Returns the value of a hexadecimal digit in either case, -1 for any other byte. */
static inline int ascii_hex_value(uint8_t c) {
        if (c >= '0' && c <= '9')
                return c - '0';

        c = ascii_lower(c);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Compares without regard to the case of ASCII letters. */
static inline bool slice_equal_fold(Slice a, Slice b) {
        if (a.n != b.n)
                return false;

        for (size_t i = 0; i < a.n; i++)
                if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
                        return false;

        return true;
}

/* True unless the byte is a control character: below the space, or DEL. */
static inline bool byte_is_text(uint8_t c) {
        return c >= 0x20 && c != 0x7f;
}

/* Returns the number of such bytes at the beginning of @s. Checks eight at a time. */
static inline size_t slice_span_text(Slice s) {
        const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
        size_t n = 0;

        for (; n + 8 <= s.n; n += 8) {
                uint64_t v, del;

                memcpy(&v, s.p + n, sizeof(v));
                del = v ^ (ones * 0x7f);

                /* A set top bit is a borrow of the subtraction: this or an earlier byte is a control character. */
                if ((((v - ones * 0x20) & ~v) | ((del - ones) & ~del)) & tops)
                        break;
        }

        while (n < s.n && byte_is_text(s.p[n]))
                n++;

        return n;
}

/* Removes the spaces and tabs at both ends. */
static inline Slice slice_trim(Slice s) {
        while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
                s = slice_skip(s, 1);
        while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
                s.n--;

        return s;
}

/* Parses a decimal number up to 65535, of one to five digits. Returns false for anything else. */
static inline bool slice_parse_u16(Slice s, uint16_t *ret) {
        uint32_t v = 0;

        if (s.n < 1 || s.n > 5)
                return false;

        for (size_t i = 0; i < s.n; i++) {
                if (s.p[i] < '0' || s.p[i] > '9')
                        return false;

                v = v * 10 + (s.p[i] - '0');
        }

        *ret = (uint16_t) v;
        return v <= UINT16_MAX;
}

/* A Reader is the Slice of the bytes that are left. Numbers are in network byte order. */
typedef Slice Reader;

static inline bool reader_take(Reader *r, size_t n, Slice *ret) {
        if (r->n < n)
                return false;

        *ret = slice_head(*r, n);
        *r = slice_skip(*r, n);
        return true;
}

static inline bool reader_u8(Reader *r, uint8_t *ret) {
        Slice s;

        if (!reader_take(r, 1, &s))
                return false;

        *ret = s.p[0];
        return true;
}

static inline bool reader_u16(Reader *r, uint16_t *ret) {
        Slice s;

        if (!reader_take(r, 2, &s))
                return false;

        *ret = (uint16_t) (s.p[0] << 8 | s.p[1]);
        return true;
}

static inline bool reader_u32(Reader *r, uint32_t *ret) {
        Slice s;

        if (!reader_take(r, 4, &s))
                return false;

        *ret = (uint32_t) s.p[0] << 24 | (uint32_t) s.p[1] << 16 | (uint32_t) s.p[2] << 8 | s.p[3];
        return true;
}

/*
 * Takes the next TLV of a PROXY header off @r: 1 byte of type, 2 bytes of length, and the value. Returns false at the
 * end, and then @r is empty unless the last TLV is truncated. The TLVs inside a TLV of type SSL begin at its sixth byte
 * (PROXY protocol 2.2.6).
 */
static inline bool reader_tlv(Reader *r, uint8_t *ret_type, Slice *ret_value) {
        Reader rest = *r;
        uint16_t length;

        if (!reader_u8(&rest, ret_type) || !reader_u16(&rest, &length) || !reader_take(&rest, length, ret_value))
                return false;

        *r = rest;
        return true;
}

/* Returns the value of the first TLV of this type. Its p is NULL if there is none; n may be 0 if there is one. */
static inline Slice slice_find_tlv(Slice tlvs, unsigned type) {
        Slice value;
        uint8_t t;

        while (reader_tlv(&tlvs, &t, &value))
                if (t == type)
                        return value;

        return (Slice){};
}
