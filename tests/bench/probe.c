/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What it costs to probe a client's first bytes: an HTTP head as a browser sends it, of 500 bytes, and the
 * ClientHello of a client with a post-quantum key share, of 1.7 KB, in one record and in records of 64
 * bytes.
 *
 * Each row is the median of many rounds, and the fastest of them: on a machine that does something else
 * besides, the two are apart. All bytes are in the cache, as they are when they were just peeked.
 */

#include <stdio.h>
#include <time.h>

#include "../unit/tls-hello.h"
#include "probe/probe.h"

#define ROUNDS 301
#define REPEATS 2000

#define HEAD_SIZE 500
#define LIMIT (64 * 1024)

static uint64_t now_nsec(void) {
        struct timespec ts = {};

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * UINT64_C(1000000000) + (uint64_t) ts.tv_nsec;
}

static int compare_doubles(const void *a, const void *b) {
        const double *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

typedef ProbeVerdict (*BenchProbe)(const uint8_t *p, size_t n);

static ProbeVerdict bench_http(const uint8_t *p, size_t n) {
        HttpFacts f;

        return probe_http1(p, n, LIMIT, &f);
}

static ProbeVerdict bench_tls(const uint8_t *p, size_t n) {
        TlsFacts f;

        return probe_tls(p, n, LIMIT, &f);
}

static ProbeVerdict bench_client(const uint8_t *p, size_t n) {
        Probe f;

        return probe_client(p, n, LIMIT, &f);
}

static void bench(const char *what, BenchProbe probe, const uint8_t *p, size_t n, ProbeVerdict wanted) {
        static double rounds[ROUNDS];

        for (unsigned i = 0; i < ROUNDS; i++) {
                uint64_t begin = now_nsec();

                for (unsigned k = 0; k < REPEATS; k++) {
                        /* The compiler must not know that the bytes are the same each time. */
                        __asm__ volatile("" : : "g"(p) : "memory");
                        if (probe(p, n) != wanted)
                                abort();
                }

                rounds[i] = (double) (now_nsec() - begin) / REPEATS;
        }

        qsort(rounds, ROUNDS, sizeof(rounds[0]), compare_doubles);
        printf("%-44s %6zu %8.0f %8.0f\n", what, n, rounds[ROUNDS / 2], rounds[0]);
}

/* A browser's request, with a cookie as long as it takes. */
static void make_head(char ret[static HEAD_SIZE + 1]) {
        static const char begin[] = "GET /chat/room?id=42 HTTP/1.1\r\n"
                                    "Host: www.example.org\r\n"
                                    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) "
                                    "Gecko/20100101 Firefox/128.0\r\n"
                                    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,"
                                    "*/*;q=0.8\r\n"
                                    "Accept-Language: en-US,en;q=0.5\r\n"
                                    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
                                    "Connection: keep-alive\r\n"
                                    "Cookie: session=";
        static const char end[] = "\r\nUpgrade-Insecure-Requests: 1\r\n\r\n";

        memset(ret, 'c', HEAD_SIZE);
        memcpy(ret, begin, strlen(begin));
        memcpy(ret + HEAD_SIZE - strlen(end), end, strlen(end) + 1);
}

int main(void) {
        HelloSpec spec = {
                .name = "www.example.org",
                .alpn = "h2,http/1.1",
                .key_share = 1216 + 320, /* X25519MLKEM768, and room for what else a browser sends */
                .grease = true,
                .ech = true,
        };
        static Bytes hello, cut;
        char head[HEAD_SIZE + 1];
        const uint8_t *p = (const uint8_t *) head;

        make_head(head);
        make_hello(&spec, &hello);
        spec.record = 64;
        make_hello(&spec, &cut);

        printf("%-44s %6s %8s %8s\n", "", "bytes", "median", "fastest");
        printf("%-44s %6s %8s %8s\n", "", "", "ns", "ns");
        bench("HTTP head", bench_http, p, HEAD_SIZE, PROBE_MATCH);
        bench("HTTP head, protocol unknown", bench_client, p, HEAD_SIZE, PROBE_MATCH);
        bench("HTTP head without its last byte", bench_http, p, HEAD_SIZE - 1, PROBE_NEED_MORE);
        bench("TLS hello", bench_tls, hello.p, hello.n, PROBE_MATCH);
        bench("TLS hello, protocol unknown", bench_client, hello.p, hello.n, PROBE_MATCH);
        bench("TLS hello in records of 64 bytes", bench_tls, cut.p, cut.n, PROBE_MATCH);
        return EXIT_SUCCESS;
}
