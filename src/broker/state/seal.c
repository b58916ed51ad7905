/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/seal.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "basic/macro.h"

/* Two families, and the lengths of four facts. All facts have less than 65536 bytes. */
#define SEAL_LENGTHS (2 + 4 * 2)

/* Bytes of a fact that are taken as they are: listeners and protocols have short names. */
#define SEAL_FACT_MAX 32

int seal_key_init(SealKey *key) {
        ssize_t n = getrandom(key->bytes, sizeof(key->bytes), 0);

        return n == (ssize_t) sizeof(key->bytes) ? 0 : n < 0 ? -errno : -EIO;
}

/* Port and address, without the members that the PROXY protocol lacks. Returns their length. */
static size_t seal_add_address(uint8_t *p, const MessageAddress *a) {
        if (a->sa.sa_family == AF_INET) {
                memcpy(p, &a->in.sin_port, sizeof(a->in.sin_port));
                memcpy(p + sizeof(a->in.sin_port), &a->in.sin_addr, sizeof(a->in.sin_addr));
                return sizeof(a->in.sin_port) + sizeof(a->in.sin_addr);
        }
        if (a->sa.sa_family == AF_INET6) {
                memcpy(p, &a->in6.sin6_port, sizeof(a->in6.sin6_port));
                memcpy(p + sizeof(a->in6.sin6_port), &a->in6.sin6_addr, sizeof(a->in6.sin6_addr));
                return sizeof(a->in6.sin6_port) + sizeof(a->in6.sin6_addr);
        }

        return 0;
}

/* Appends a fact. Checksums stand for the few facts that are long. */
static size_t seal_add_fact(const SealKey *key, uint8_t *p, Slice fact) {
        uint64_t sum;

        if (fact.n <= SEAL_FACT_MAX) {
                if (fact.n > 0)
                        memcpy(p, fact.p, fact.n);
                return fact.n;
        }

        sum = siphash24(key->bytes, fact.p, fact.n);
        memcpy(p, &sum, sizeof(sum));
        return sizeof(sum);
}

uint64_t seal_cookie(int fd) {
        uint64_t cookie;

        /* Takes no lock of the socket (sk_getsockopt() in Linux), so it does not wait for its other holders. */
        return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &(socklen_t){ sizeof(cookie) }) < 0 ? 0 : cookie;
}

bool seal_make(const SealKey *key, uint64_t cookie, const Message *m, Seal *ret) {
        const Slice facts[] = { m->listener, m->ssl, m->alpn, m->proxy };
        uint8_t bytes[SEAL_LENGTHS + 8 + 2 * 18 + ELEMENTSOF(facts) * SEAL_FACT_MAX];
        size_t n = SEAL_LENGTHS;
        uint64_t seal;

        if (cookie == 0)
                return false;

        /* The lengths come first: without them one fact could end where the next one begins. */
        bytes[0] = (uint8_t) m->source.sa.sa_family;
        bytes[1] = (uint8_t) m->destination.sa.sa_family;
        for (size_t i = 0; i < ELEMENTSOF(facts); i++) {
                bytes[2 + 2 * i] = (uint8_t) (facts[i].n >> 8);
                bytes[3 + 2 * i] = (uint8_t) facts[i].n;
        }

        memcpy(bytes + n, &cookie, sizeof(cookie));
        n += sizeof(cookie);
        n += seal_add_address(bytes + n, &m->source);
        n += seal_add_address(bytes + n, &m->destination);
        for (size_t i = 0; i < ELEMENTSOF(facts); i++)
                n += seal_add_fact(key, bytes + n, facts[i]);

        seal = siphash24(key->bytes, bytes, n);
        memcpy(ret->bytes, &seal, sizeof(ret->bytes));
        return true;
}

bool seal_is_valid(const SealKey *key, uint64_t cookie, const Message *m) {
        Seal seal;

        return m->seal.n == sizeof(seal.bytes) && seal_make(key, cookie, m, &seal) &&
               memcmp(m->seal.p, seal.bytes, sizeof(seal.bytes)) == 0;
}
