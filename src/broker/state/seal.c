/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/seal.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "basic/macro.h"

int seal_key_init(SealKey *key) {
        ssize_t n = getrandom(key->bytes, sizeof(key->bytes), 0);

        return n == (ssize_t) sizeof(key->bytes) ? 0 : n < 0 ? -errno : -EIO;
}

/* Appends a fact with its length. A checksum stands for its bytes, so that all facts have room. */
static void seal_add(const SealKey *key, uint8_t **p, const void *bytes, size_t n) {
        const uint64_t v[] = { n, siphash24(key->bytes, bytes, n) };

        memcpy(*p, v, sizeof(v));
        *p += sizeof(v);
}

bool seal_make(const SealKey *key, int fd, const Message *m, Seal *ret) {
        const Slice facts[] = { m->listener, m->ssl, m->alpn, m->proxy };
        size_t n_facts = m->proxy.n > 0 ? ELEMENTSOF(facts) : ELEMENTSOF(facts) - 1; /* few clients have the last one */
        uint8_t bytes[(3 + ELEMENTSOF(facts)) * 16], *p = bytes;
        uint64_t cookie, seal;

        /* Takes no lock of the socket (sk_getsockopt() in Linux), so it does not wait for its other holders. */
        if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &(socklen_t){ sizeof(cookie) }) < 0)
                return false;

        seal_add(key, &p, &cookie, sizeof(cookie));
        seal_add(key, &p, &m->source, message_address_length(&m->source));
        seal_add(key, &p, &m->destination, message_address_length(&m->destination));
        for (size_t i = 0; i < n_facts; i++)
                seal_add(key, &p, facts[i].n > 0 ? facts[i].p : bytes, facts[i].n);

        seal = siphash24(key->bytes, bytes, (size_t) (p - bytes));
        memcpy(ret->bytes, &seal, sizeof(ret->bytes));
        return true;
}

bool seal_is_valid(const SealKey *key, int fd, const Message *m) {
        Seal seal;

        return m->seal.n == sizeof(seal.bytes) && seal_make(key, fd, m, &seal) &&
               memcmp(m->seal.p, seal.bytes, sizeof(seal.bytes)) == 0;
}
