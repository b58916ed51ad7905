/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Flusher=limit [CLIENTS]: an example of a flusher that refuses clients and keeps state.
 *
 * It works as Flusher=flush. An address (for IPv6, a /64) that has come more than CLIENTS times within a minute (60 by
 * default) gets 429 (RFC 6585 4) until that minute is over. To build and install it:
 *
 *         cc -shared -fPIC -o /usr/lib/x86_64-linux-gnu/fdpass/flushers/limit.so limit.c
 *
 * Its memory is the table below, because clients must not be able to make it grow. An address without a free place in
 * its row shares the place with the lowest count. Otherwise addresses of one row that take turns would never be
 * limited. All routes share the table. A reload keeps it while a route uses this flusher.
 */

#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <fdpass-flusher.h>

#define CLIENTS_DEFAULT 60
#define CLIENTS_MAX 1000000
#define MINUTE_USEC (60 * (uint64_t) 1000000)
#define ROWS 4096
#define PLACES 4 /* places in a row */

struct place {
        unsigned char address[8];
        uint64_t since_usec; /* begin of the minute, CLOCK_MONOTONIC; 0: free */
        unsigned n;          /* clients in this minute */
};

static struct place table[ROWS][PLACES];

/* Random number, without which clients could choose addresses of one row. 0: not set yet. */
static uint64_t secret;

static long limit_parse(const char *argument) {
        long n = 0;

        for (const char *p = argument; *p; p++) {
                if (*p < '0' || *p > '9' || n > CLIENTS_MAX)
                        return -1;
                n = n * 10 + (*p - '0');
        }

        return n <= CLIENTS_MAX ? n : -1;
}

static int limit_check(const char *argument) {
        return limit_parse(argument) < 0;
}

/* Writes the key of an address: the /64 of IPv6, or IPv4 after a mark that no IPv6 network has. Others share one. */
static void limit_get_key(const struct sockaddr *sa, unsigned char ret[8]) {
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

/* Uses the end of SplitMix64: each bit of the key and of the secret changes half of the bits. */
static struct place *limit_find_row(const unsigned char key[8]) {
        uint64_t x;

        if (secret == 0)
                (void) !getrandom(&secret, sizeof(secret), 0);

        memcpy(&x, key, sizeof(x));
        x ^= secret;
        x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
        return table[(x ^ x >> 31) % ROWS];
}

static int limit_is_over(const struct place *p, uint64_t now) {
        return p->since_usec == 0 || now - p->since_usec >= MINUTE_USEC;
}

/* Returns the place of the address, a free one, or the one with the lowest count. */
static struct place *limit_find_place(struct place *row, const unsigned char key[8], uint64_t now) {
        struct place *best = row;

        for (size_t i = 0; i < PLACES; i++)
                if (!limit_is_over(&row[i], now) && memcmp(row[i].address, key, 8) == 0)
                        return &row[i];

        for (size_t i = 1; i < PLACES; i++)
                if (!limit_is_over(best, now) && (limit_is_over(&row[i], now) || row[i].n < best->n))
                        best = &row[i];

        return best;
}

static unsigned limit_count(const struct fdpass_flusher_request *request) {
        unsigned char key[8];
        struct place *p;

        limit_get_key(request->peer, key);
        p = limit_find_place(limit_find_row(key), key, request->now_usec);

        if (limit_is_over(p, request->now_usec)) {
                memcpy(p->address, key, 8);
                p->since_usec = request->now_usec;
                p->n = 0;
        }

        return ++p->n;
}

static int limit_flush(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output) {
        long limit = *request->argument ? limit_parse(request->argument) : CLIENTS_DEFAULT;

        if (limit >= 0 && limit_count(request) > (unsigned long) limit) {
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
        .flush = limit_flush,
        .check = limit_check,
};
