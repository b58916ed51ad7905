/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Flusher=limit [CLIENTS]: as Flusher=flush, but an address (of IPv6, a /64) that has come more than CLIENTS times
 * within a minute (60, if not said) is answered 429 (RFC 6585 4) until that minute is over.
 *
 * An example of a flusher that refuses, and that remembers: its memory is as large as the table below, whatever
 * clients do. An address that finds no free place in its row is counted in the place with the lowest count there, together
 * with the address that has it: otherwise addresses of one row that take turns would never be limited. All routes
 * share the table, and a reload keeps it for as long as some route uses this flusher.
 */

#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "fdpass-flusher.h"

#define CLIENTS_DEFAULT 60
#define CLIENTS_MAX 1000000
#define MINUTE_USEC (60 * (uint64_t) 1000000)
#define ROWS 4096
#define PLACES 4 /* in a row */

struct place {
        unsigned char address[8];
        uint64_t since_usec; /* 0: free */
        unsigned n;
};

static struct place table[ROWS][PLACES];

/* Without it clients could choose addresses that fall into one row. */
static uint64_t secret;

static long clients_of(const char *argument) {
        long n = 0;

        for (const char *p = argument; *p; p++) {
                if (*p < '0' || *p > '9' || n > CLIENTS_MAX)
                        return -1;
                n = n * 10 + (*p - '0');
        }

        return n <= CLIENTS_MAX ? n : -1;
}

static int check(const char *argument) {
        return clients_of(argument) < 0;
}

/* What tells addresses apart: IPv4 behind a mark that no IPv6 network has, the network of IPv6. Others are all one. */
static void key_of(const struct sockaddr *sa, unsigned char ret[8]) {
        static const unsigned char nat64[12] = { 0x00, 0x64, 0xff, 0x9b }; /* RFC 6052 */

        memset(ret, 0xff, 8);

        if (sa && sa->sa_family == AF_INET) {
                struct sockaddr_in in;

                memcpy(&in, sa, sizeof(in));
                memcpy(ret + 4, &in.sin_addr, 4);
        } else if (sa && sa->sa_family == AF_INET6) {
                struct sockaddr_in6 in6;

                memcpy(&in6, sa, sizeof(in6));
                if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) || memcmp(&in6.sin6_addr, nat64, sizeof(nat64)) == 0)
                        memcpy(ret + 4, in6.sin6_addr.s6_addr + 12, 4);
                else
                        memcpy(ret, in6.sin6_addr.s6_addr, 8);
        }
}

/* The end of SplitMix64: each bit of the address and of the secret changes half of the bits. */
static struct place *row_of(const unsigned char key[8]) {
        uint64_t x;

        if (secret == 0)
                (void) !getrandom(&secret, sizeof(secret), 0);

        memcpy(&x, key, sizeof(x));
        x ^= secret;
        x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
        return table[(x ^ x >> 31) % ROWS];
}

static int is_over(const struct place *p, uint64_t now) {
        return p->since_usec == 0 || now - p->since_usec >= MINUTE_USEC;
}

/* The address's own place, or a free one, or that with the lowest count. */
static struct place *place_of(struct place *row, const unsigned char key[8], uint64_t now) {
        struct place *best = row;

        for (size_t i = 0; i < PLACES; i++)
                if (!is_over(&row[i], now) && memcmp(row[i].address, key, 8) == 0)
                        return &row[i];

        for (size_t i = 1; i < PLACES; i++)
                if (!is_over(best, now) && (is_over(&row[i], now) || row[i].n < best->n))
                        best = &row[i];

        return best;
}

static unsigned count(const struct fdpass_flusher_request *request) {
        unsigned char key[8];
        struct place *p;

        key_of(request->peer, key);
        p = place_of(row_of(key), key, request->now_usec);

        if (is_over(p, request->now_usec)) {
                memcpy(p->address, key, 8);
                p->since_usec = request->now_usec;
                p->n = 0;
        }

        return ++p->n;
}

static int flush(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output) {
        long limit = *request->argument ? clients_of(request->argument) : CLIENTS_DEFAULT;

        if (limit >= 0 && count(request) > (unsigned long) limit) {
                output->status = 429;
                return FDPASS_FLUSHER_REFUSE;
        }

        return request->head(request, output, NULL);
}

FDPASS_FLUSHER_PUBLIC extern const struct fdpass_flusher fdpass_flusher;

const struct fdpass_flusher fdpass_flusher = {
        .abi = FDPASS_FLUSHER_ABI,
        .size = sizeof(struct fdpass_flusher),
        .name = "limit",
        .flush = flush,
        .check = check,
};
