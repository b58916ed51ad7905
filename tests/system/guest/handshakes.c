/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * HTTPS clients at a steady rate: handshakes PROCESSES RATE SECONDS HOST. Each client makes a new connection to 127.0.0.1:443,
 * does a full handshake, and asks for "/". Prints how many clients there were, how many of them failed, and the longest time
 * in ms. The reasons of the first failures go to standard error. No certificate is verified.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REASONS_MAX 5 /* of each process */

typedef struct Result {
        unsigned n, n_failed;
        uint64_t longest; /* us */
} Result;

static uint64_t now_usec(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

static int client_connect(void) {
        const struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(443), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        const struct timeval limit = { .tv_sec = 10 };
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        if (connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0) {
                close(fd);
                return -1;
        }
        return fd;
}

/* Returns NULL, or what failed. */
static const char *client_ask(SSL *ssl, const char *host) {
        char text[4096];
        int n, k;

        SSL_set_tlsext_host_name(ssl, host);
        if (SSL_connect(ssl) != 1)
                return "handshake";

        n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host);
        if (SSL_write(ssl, text, n) != n)
                return "write";

        for (n = 0; n < 12 && (k = SSL_read(ssl, text + n, (int) sizeof(text) - n)) > 0; n += k)
                ;
        return n >= 12 && memcmp(text, "HTTP/1.1 200", 12) == 0 ? NULL : n > 0 ? "status" : "read";
}

static void client_run(SSL_CTX *ctx, const char *host, Result *result) {
        uint64_t begin = now_usec();
        const char *failed = "connect";
        SSL *ssl = SSL_new(ctx);
        int fd = client_connect();

        ERR_clear_error();
        if (fd >= 0) {
                SSL_set_fd(ssl, fd);
                failed = client_ask(ssl, host);
        }
        if (failed && result->n_failed++ < REASONS_MAX)
                fprintf(stderr, "%s: %s, %s\n", failed, strerror(errno), ERR_reason_error_string(ERR_peek_error()));

        SSL_free(ssl);
        if (fd >= 0)
                close(fd);
        result->n++;
        if (now_usec() - begin > result->longest)
                result->longest = now_usec() - begin;
}

static void process_run(double rate, unsigned seconds, const char *host, Result *result) {
        SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
        uint64_t begin = now_usec(), end = begin + seconds * UINT64_C(1000000);

        for (unsigned i = 0;; i++) {
                uint64_t at = begin + (uint64_t) (i * 1e6 / rate), now = now_usec();

                if (at > now)
                        usleep((useconds_t) (at - now));
                if (now_usec() >= end)
                        break;
                client_run(ctx, host, result);
        }
}

int main(int argc, char *argv[]) {
        unsigned n = argc == 5 ? (unsigned) atoi(argv[1]) : 0;
        Result *results = mmap(NULL, sizeof(*results) * (n + 1), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        Result *sum = &results[n];

        if (n == 0)
                return 2;

        signal(SIGPIPE, SIG_IGN);
        for (unsigned i = 0; i < n; i++)
                if (fork() == 0) {
                        process_run(atof(argv[2]) / n, (unsigned) atoi(argv[3]), argv[4], &results[i]);
                        _exit(0);
                }
        while (wait(NULL) > 0)
                ;

        for (unsigned i = 0; i < n; i++) {
                sum->n += results[i].n;
                sum->n_failed += results[i].n_failed;
                if (results[i].longest > sum->longest)
                        sum->longest = results[i].longest;
        }
        printf("%u %u %u\n", sum->n, sum->n_failed, (unsigned) (sum->longest / 1000));
        return 0;
}
