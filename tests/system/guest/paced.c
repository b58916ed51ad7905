/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * So many HTTP clients a second, whatever becomes of them:
 *
 *         paced SOURCE ADDRESS PORT HOST RATE
 *
 * Each connects from one of 32 loopback addresses, the first of which is SOURCE, sends a GET for HOST, and reads until the server closes. One that
 * fails is a line "TIME KIND" on stdout, with the time of CLOCK_MONOTONIC in seconds at which it began; SIGTERM ends
 * it with a line of JSON. Latencies are from connect() to the end of the reply.
 */

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 16384
#define TIMEOUT_USEC (20 * 1000000)
#define LATENCY_MAX (2 * 1000000) /* one bucket a µs; what is longer is counted in the last one */

typedef struct Client {
        int fd;
        bool sent;
        char reply[16];
        size_t n; /* of reply */
        uint64_t begin;
} Client;

static Client clients[CLIENTS_MAX];
static unsigned free_slots[CLIENTS_MAX], n_free;
static uint32_t latencies[LATENCY_MAX];
static uint64_t n_started, n_served, n_failed, n_late, latency_max;
static struct sockaddr_in source, target;
static char request[512];
static int epoll_fd;
static volatile sig_atomic_t stopping;

static void on_signal(int signo) {
        stopping = 1;
}

static uint64_t now_usec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}

static void end(Client *c) {
        const struct linger reset = { .l_onoff = 1 };

        /* No TIME_WAIT keeps the port: the reply is complete. */
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(c->fd);
        c->fd = -1;
        free_slots[n_free++] = (unsigned) (c - clients);
}

static void fail(Client *c, const char *kind) {
        printf("%.6f %s\n", (double) c->begin / 1e6, kind);
        n_failed++;
        end(c);
}

static void try_send(Client *c) {
        ssize_t n = send(c->fd, request, strlen(request), MSG_NOSIGNAL);

        if (n > 0)
                c->sent = true;
        else if (errno != EAGAIN)
                fail(c, errno == ECONNREFUSED ? "connect" : "reset");
}

static void start(uint64_t now) {
        const int yes = 1;
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
        Client *c;

        n_started++;
        if (n_free == 0) {
                n_late++; /* too many are under way: this one did not come */
                return;
        }

        c = &clients[free_slots[--n_free]];
        *c = (Client){ .begin = now, .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) };
        if (c->fd < 0)
                err(EXIT_FAILURE, "socket");

        /* IP_BIND_ADDRESS_NO_PORT: the port is chosen by connect(), so that it may be in use to elsewhere. */
        setsockopt(c->fd, IPPROTO_IP, 24, &yes, sizeof(yes));
        struct sockaddr_in from = source;

        from.sin_addr.s_addr = htonl(ntohl(source.sin_addr.s_addr) + (uint32_t) (n_started % 32));
        if (bind(c->fd, (struct sockaddr *) &from, sizeof(from)) < 0)
                err(EXIT_FAILURE, "bind");
        if (connect(c->fd, (struct sockaddr *) &target, sizeof(target)) < 0 && errno != EINPROGRESS) {
                fail(c, "connect");
                return;
        }

        event.data.ptr = c;
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
                err(EXIT_FAILURE, "epoll_ctl");
}

static void finish(Client *c, uint64_t now) {
        uint64_t took = now - c->begin;

        if (c->n == 0)
                fail(c, "closed");
        else if (c->n < 12 || memcmp(c->reply, "HTTP/1.1 200", 12) != 0) {
                char kind[32];

                snprintf(kind, sizeof(kind), "refused-%.3s", c->n >= 12 ? c->reply + 9 : "?");
                fail(c, kind);
        } else {
                n_served++;
                latencies[took < LATENCY_MAX ? took : LATENCY_MAX - 1]++;
                if (took > latency_max)
                        latency_max = took;
                end(c);
        }
}

static void on_event(Client *c, uint64_t now) {
        char buffer[4096];
        ssize_t n;

        if (!c->sent)
                try_send(c);
        if (c->fd < 0 || !c->sent)
                return;

        while ((n = recv(c->fd, buffer, sizeof(buffer), 0)) > 0)
                if (c->n < sizeof(c->reply)) {
                        size_t k = (size_t) n < sizeof(c->reply) - c->n ? (size_t) n : sizeof(c->reply) - c->n;

                        memcpy(c->reply + c->n, buffer, k);
                        c->n += k;
                }

        if (n == 0)
                finish(c, now);
        else if (errno != EAGAIN)
                fail(c, "reset");
}

static void fail_overdue(uint64_t now) {
        for (unsigned i = 0; i < CLIENTS_MAX; i++)
                if (clients[i].fd >= 0 && now - clients[i].begin > TIMEOUT_USEC)
                        fail(&clients[i], "timeout");
}

static uint64_t percentile(double share) {
        uint64_t below = 0;

        for (uint64_t i = 0; i < LATENCY_MAX; i++)
                if ((below += latencies[i]) >= (uint64_t) ((double) n_served * share))
                        return i;
        return LATENCY_MAX;
}

static void run(double rate) {
        uint64_t begin = now_usec(), checked = begin, n_due = 0, stopped = 0;

        for (;;) {
                struct epoll_event events[256];
                int n = epoll_wait(epoll_fd, events, 256, 1);
                uint64_t now = now_usec();

                for (int i = 0; i < n; i++)
                        if (((Client *) events[i].data.ptr)->fd >= 0)
                                on_event(events[i].data.ptr, now);

                if (now - checked > 1000000) {
                        checked = now;
                        fail_overdue(now);
                        fflush(stdout);
                }

                if (stopping && stopped == 0)
                        stopped = now;
                if (stopped != 0 && (n_free == CLIENTS_MAX || now - stopped > TIMEOUT_USEC))
                        return;

                /* Where this process was not run for long, it does not make up for more than 100 ms. */
                n_due = (uint64_t) ((double) (now - begin) / 1e6 * rate);
                if (stopped == 0) {
                        if (n_due - n_started > (uint64_t) (rate / 10) + 1) {
                                uint64_t skipped = n_due - n_started - (uint64_t) (rate / 10) - 1;

                                n_started += skipped;
                                n_late += skipped;
                        }
                        while (n_started < n_due)
                                start(now);
                }
        }
}

int main(int argc, char *argv[]) {
        struct rlimit limit;

        if (argc != 6)
                errx(EXIT_FAILURE, "Usage: paced SOURCE ADDRESS PORT HOST RATE");

        source = (struct sockaddr_in){ .sin_family = AF_INET };
        target = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t) atoi(argv[3])) };
        if (inet_pton(AF_INET, argv[1], &source.sin_addr) != 1 || inet_pton(AF_INET, argv[2], &target.sin_addr) != 1 ||
            ntohl(source.sin_addr.s_addr) >> 24 != 127 || ntohl(target.sin_addr.s_addr) >> 24 != 127)
                errx(EXIT_FAILURE, "Not loopback addresses: %s %s", argv[1], argv[2]);
        snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", argv[4]);

        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        for (unsigned i = 0; i < CLIENTS_MAX; i++) {
                clients[i].fd = -1;
                free_slots[n_free++] = CLIENTS_MAX - 1 - i;
        }
        signal(SIGTERM, on_signal);

        uint64_t begin = now_usec();
        run(atof(argv[5]));

        printf("{\"started\": %" PRIu64 ", \"not started\": %" PRIu64 ", \"served\": %" PRIu64 ", \"failed\": %" PRIu64
               ", \"seconds\": %.1f, \"p50\": %" PRIu64 ", \"p99\": %" PRIu64 ", \"p999\": %" PRIu64 ", \"longest\": %" PRIu64 "}\n",
               n_started - n_late, n_late, n_served, n_failed, (double) (now_usec() - begin) / 1e6, percentile(0.5),
               percentile(0.99), percentile(0.999), latency_max);
        return 0;
}
