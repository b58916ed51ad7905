/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Makes ClientHellos, right ones, from a few properties: for the unit test, and for the comparison with
 * OpenSSL.
 */

#include <stdlib.h>

#include "probe/slice.h"

#define HELLO_MAX (128 * 1024)

typedef struct HelloSpec {
        const char *name;   /* server_name, NULL: none */
        const char *alpn;   /* joined by commas, NULL: none */
        size_t key_share;   /* bytes of a key share; a post-quantum one has 1216 */
        size_t record;      /* the hello is cut into records of this many bytes */
        bool grease;        /* GREASE among ciphers, extensions, protocols and versions (RFC 8701 3.1) */
        bool ech;
        Slice extensions;   /* whole extensions, put behind the others */
        bool no_extensions; /* not even their length */
} HelloSpec;

typedef struct Bytes {
        size_t n;
        uint8_t p[HELLO_MAX];
} Bytes;

static inline void put(Bytes *b, const void *p, size_t n) {
        if (n > sizeof(b->p) - b->n)
                abort();
        if (n > 0)
                memcpy(b->p + b->n, p, n);
        b->n += n;
}

static inline void put_number(Bytes *b, size_t value, unsigned size) {
        while (size-- > 0) {
                uint8_t c = (uint8_t) (value >> 8 * size);

                put(b, &c, 1);
        }
}

static inline void put_zeros(Bytes *b, size_t n) {
        while (n-- > 0)
                put_number(b, 0, 1);
}

/* Room for a length of @size bytes, filled in by end_length() with what was put since. */
static inline size_t begin_length(Bytes *b, unsigned size) {
        put_number(b, 0, size);
        return b->n;
}

static inline void end_length(Bytes *b, size_t begin, unsigned size) {
        size_t end = b->n, value = end - begin;

        b->n = begin - size;
        put_number(b, value, size);
        b->n = end;
}

static inline void put_server_name(Bytes *b, const char *name) {
        size_t n = strlen(name);

        put_number(b, 0, 2);
        put_number(b, n + 5, 2);
        put_number(b, n + 3, 2);
        put_number(b, 0, 1);
        put_number(b, n, 2);
        put(b, name, n);
}

static inline void put_alpn(Bytes *b, const char *list, bool grease) {
        size_t extension, protocols;

        put_number(b, 16, 2);
        extension = begin_length(b, 2);
        protocols = begin_length(b, 2);

        if (grease)
                put(b, "\x02\x5a\x5a", 3);

        while (*list) {
                size_t n = strcspn(list, ",");

                put_number(b, n, 1);
                put(b, list, n);
                list += n + (list[n] == ',');
        }

        end_length(b, protocols, 2);
        end_length(b, extension, 2);
}

static inline void put_extensions(Bytes *b, const HelloSpec *spec) {
        size_t begin;

        if (spec->grease)
                put(b, "\x0a\x0a\0\0", 4);
        if (spec->name)
                put_server_name(b, spec->name);
        if (spec->ech) {
                put(b, "\xfe\x0d\0\x20", 4);
                put_zeros(b, 32);
        }
        if (spec->alpn)
                put_alpn(b, spec->alpn, spec->grease);

        if (spec->grease)
                put(b, "\0\x2b\0\x07\x06\x1a\x1a\x03\x04\x03\x03", 11);
        else
                put(b, "\0\x2b\0\x05\x04\x03\x04\x03\x03", 9);

        if (spec->key_share > 0) {
                put_number(b, 51, 2);
                begin = begin_length(b, 2);
                put_number(b, spec->key_share + 4, 2);
                put_number(b, 0x11ec, 2); /* X25519MLKEM768 */
                put_number(b, spec->key_share, 2);
                put_zeros(b, spec->key_share);
                end_length(b, begin, 2);
        }

        if (spec->grease)
                put(b, "\xfa\xfa\0\x01\0", 5);
        put(b, spec->extensions.p, spec->extensions.n);
}

/* The handshake message alone. */
static inline void make_message(const HelloSpec *spec, Bytes *b) {
        size_t message, part;

        b->n = 0;
        put_number(b, 1, 1);
        message = begin_length(b, 3);

        put_number(b, 0x0303, 2);
        put_zeros(b, 32);
        put_number(b, 32, 1);
        put_zeros(b, 32);

        part = begin_length(b, 2);
        if (spec->grease)
                put(b, "\x3a\x3a", 2);
        put(b, "\x13\x01\x13\x02\xc0\x2f", 6);
        end_length(b, part, 2);

        put(b, "\x01\x00", 2);

        if (!spec->no_extensions) {
                part = begin_length(b, 2);
                put_extensions(b, spec);
                end_length(b, part, 2);
        }

        end_length(b, message, 3);
}

/* Cuts @p into records of @size bytes, behind what @ret holds already. */
static inline void put_records(Bytes *ret, const uint8_t *p, size_t n, size_t size) {
        for (size_t i = 0; i < n; i += size) {
                size_t k = MIN(size, n - i);

                put(ret, "\x16\x03\x01", 3);
                put_number(ret, k, 2);
                put(ret, p + i, k);
        }
}

static inline void make_hello(const HelloSpec *spec, Bytes *ret) {
        static Bytes message;

        make_message(spec, &message);
        ret->n = 0;
        put_records(ret, message.p, message.n, spec->record > 0 ? spec->record : 16384);
}

/* The @i-th of a collection of right hellos; false behind the last. */
static inline bool made_hello(unsigned i, HelloSpec *ret) {
        static const char *const names[] = { NULL, "a.example", "WWW.Example.ORG.", "x" };
        static const char *const alpns[] = {
                NULL, "h2", "h2,http/1.1", "acme-tls/1,\x01\xff,a,b,c,d,e,f,g,h,i,j,k",
        };
        static const size_t records[] = { 1, 2, 3, 7, 64, 1000, 16384 };
        static const size_t key_shares[] = { 0, 36, 1216, 15000 };

        *ret = (HelloSpec){};
        ret->name = names[i % ELEMENTSOF(names)];
        i /= ELEMENTSOF(names);
        ret->alpn = alpns[i % ELEMENTSOF(alpns)];
        i /= ELEMENTSOF(alpns);
        ret->record = records[i % ELEMENTSOF(records)];
        i /= ELEMENTSOF(records);
        ret->key_share = key_shares[i % ELEMENTSOF(key_shares)];
        i /= ELEMENTSOF(key_shares);
        ret->grease = i & 1;
        ret->ech = i & 2;
        return i < 4;
}
