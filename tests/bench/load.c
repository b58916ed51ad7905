/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The load generator: keeps a number of HTTP clients in flight, each of which connects, sends one small GET,
 * and reads until the server closes. One thread, epoll.
 *
 *         load [-c CLIENTS] [-r RATE] [-s SECONDS | -n CONNECTIONS] 127.0.0.1:PORT
 *
 * With -r it starts so many a second and no more, whatever becomes of them, while CLIENTS are not in flight. It makes
 * up for those that it could not start in time. SIGTERM ends it as the end of its time does.
 *
 * Prints one line of NAME=VALUE: how many were served, at which rate, the latency from connect() to the end
 * of the reply in µs, how long the shortest and the longest reply were, and the failures by kind: one that does not
 * begin and end as sink.c writes it is one. Exits with 1 where there were failures.
 *
 * It closes with a reset, so that no TIME_WAIT keeps the local port; the reply is complete by then. For the
 * same reason, and because of what it does to a server, it takes loopback addresses only.
 */

#include <arpa/inet.h>
#include <err.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/parse.h"
#include "basic/time.h"

#define CLIENTS_MAX 10000
#define SECONDS_MAX 600
#define RATE_MAX 1000000

/* A client without a complete reply after this long has failed. */
#define TIMEOUT_USEC (5 * USEC_PER_SEC)

/* Where so many failed, nobody is there, and going on would only heat the room. */
#define FALLBACKS_MAX 1000

/* One bucket a µs; what is longer is counted in the last one. */
#define LATENCY_MAX (1 * USEC_PER_SEC)

static const char request[] =
        "GET /bench/ok! HTTP/1.1\r\n" /* which the workers of some tests say again */
        "Host: bench.example\r\n"
        "User-Agent: load\r\n"
        "Accept: */*\r\n"
        "Connection: close\r\n"
        "\r\n";

static const char reply_start[] = "HTTP/1.1 200 ", reply_end[] = "ok!\n";

typedef enum Failure {
        FAILURE_CONNECT, /* connect() failed, or the handshake */
        FAILURE_RESET,   /* the connection was reset under way */
        FAILURE_REPLY,   /* it was closed without a reply, or with another one */
        FAILURE_TIMEOUT,
        _FAILURE_MAX,
} Failure;

static const char *const failure_names[_FAILURE_MAX] = { "connect", "reset", "reply", "timeout" };

typedef struct Client {
        int fd; /* -EBADF: none in flight */
        bool sent;
        bool good; /* the reply has begun as it should */
        size_t n;  /* bytes of it so far */
        char tail[sizeof(reply_end) - 1]; /* the last of them */
        usec_t begin;
} Client;

typedef struct Load {
        struct sockaddr_in target;
        int epoll_fd;

        unsigned n_clients;
        Client *clients;
        unsigned n_flying;

        uint64_t n_wanted; /* connections to start: not more than this, */
        unsigned rate;     /* nor than this a second, where it is not 0, */
        usec_t begin, end; /* and none later than this */

        uint64_t n_started, n_served;
        uint64_t n_failed, failures[_FAILURE_MAX];
        size_t size_min, size_max; /* of a reply */
        usec_t latency_max;
        uint32_t *latencies; /* how many took that many µs */
} Load;

static volatile sig_atomic_t terminated;

static void on_sigterm(int signal) {
        terminated = 1;
}

static void end_client(Load *l, Client *c) {
        /* Closing the only descriptor of a socket ends its watch (epoll(7)). */
        c->fd = fd_close(c->fd);
        l->n_flying--;
}

static void fail(Load *l, Client *c, Failure failure) {
        l->failures[failure]++;
        l->n_failed++;
        end_client(l, c);
}

static void succeed(Load *l, Client *c, usec_t now) {
        const struct linger reset = { .l_onoff = 1 };
        usec_t latency = now - c->begin;

        (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        end_client(l, c);

        l->n_served++;
        l->size_min = MIN(l->size_min, c->n);
        l->size_max = MAX(l->size_max, c->n);
        l->latency_max = MAX(l->latency_max, latency);
        l->latencies[MIN(latency, LATENCY_MAX - 1)]++;
}

/* Returns 0 where the handshake still goes on. */
static int send_request(Load *l, Client *c) {
        ssize_t n = send(c->fd, request, sizeof(request) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
                return 0;
        if (n < 0) {
                fail(l, c, errno == ECONNRESET || errno == EPIPE ? FAILURE_RESET : FAILURE_CONNECT);
                return -1;
        }

        c->sent = true;
        return 1;
}

static void start(Load *l, Client *c, usec_t now) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                err(EXIT_FAILURE, "socket");

        *c = (Client){ .fd = fd, .begin = now };
        l->n_started++;
        l->n_flying++;

        if (connect(fd, (const struct sockaddr *) &l->target, sizeof(l->target)) < 0 &&
            errno != EINPROGRESS) {
                fail(l, c, FAILURE_CONNECT);
                return;
        }

        /* On loopback the handshake is mostly over by now. */
        if (send_request(l, c) < 0)
                return;

        struct epoll_event event = { .events = EPOLLIN | (c->sent ? 0 : EPOLLOUT), .data.ptr = c };

        if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                err(EXIT_FAILURE, "epoll_ctl");
}

static void remember_tail(Client *c, const char *p, size_t n) {
        size_t keep = n < sizeof(c->tail) ? sizeof(c->tail) - n : 0;

        memmove(c->tail, c->tail + sizeof(c->tail) - keep, keep);
        memcpy(c->tail + keep, p + n - (sizeof(c->tail) - keep), sizeof(c->tail) - keep);
        c->n += n;
}

static void read_reply(Load *l, Client *c, usec_t now) {
        char buffer[4096];
        ssize_t n;

        while ((n = recv(c->fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0) {
                remember_tail(c, buffer, (size_t) n);
                if (!c->good) {
                        /* A worker that sends less than this in its first segment is none of ours. */
                        if ((size_t) n < sizeof(reply_start) - 1 ||
                            memcmp(buffer, reply_start, sizeof(reply_start) - 1) != 0)
                                break;
                        c->good = true;
                }
        }

        if (n < 0 && errno == EAGAIN)
                return;

        if (n < 0)
                fail(l, c, FAILURE_RESET);
        else if (n > 0 || !c->good || memcmp(c->tail, reply_end, sizeof(c->tail)) != 0)
                fail(l, c, FAILURE_REPLY);
        else
                succeed(l, c, now);
}

static void on_event(Load *l, Client *c, usec_t now) {
        if (!c->sent) {
                struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

                if (send_request(l, c) <= 0)
                        return;
                if (epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, c->fd, &event) < 0)
                        err(EXIT_FAILURE, "epoll_ctl");
        }

        read_reply(l, c, now);
}

static bool is_over(const Load *l, usec_t now) {
        return terminated || l->n_started >= l->n_wanted || now >= l->end || l->n_failed >= FALLBACKS_MAX;
}

static bool may_start(const Load *l, usec_t now) {
        return !is_over(l, now) && (l->rate == 0 || l->n_started < (now - l->begin) * l->rate / USEC_PER_SEC);
}

static void fail_overdue(Load *l) {
        usec_t now = usec_now(); /* no client has begun later than this */

        for (unsigned i = 0; i < l->n_clients; i++)
                if (l->clients[i].fd >= 0 && now - l->clients[i].begin > TIMEOUT_USEC)
                        fail(l, &l->clients[i], FAILURE_TIMEOUT);
}

/* Also takes up the slots whose client failed in the moment it was started. */
static void refill(Load *l, usec_t now) {
        for (unsigned i = 0; i < l->n_clients && l->n_flying < l->n_clients && may_start(l, now); i++)
                if (l->clients[i].fd < 0)
                        start(l, &l->clients[i], now);
}

/* Until something happens, the next client is due, or it is time to look for those that are overdue. */
static int wait_for_events(const Load *l, struct epoll_event *events, int n, usec_t now) {
        usec_t usec = USEC_PER_SEC / 10;

        if (l->rate > 0 && l->n_flying < l->n_clients && !is_over(l, now)) {
                usec_t next = l->begin + (l->n_started + 1) * USEC_PER_SEC / l->rate;

                usec = MIN(usec, next > now ? next - now : 0);
        }

        const struct timespec timeout = { .tv_nsec = (long) usec * 1000 };

        return epoll_pwait2(l->epoll_fd, events, n, &timeout, NULL);
}

static void run(Load *l) {
        usec_t now = usec_now(), checked = now;

        refill(l, now);

        while (l->n_flying > 0 || !is_over(l, now)) {
                struct epoll_event events[64];
                int n = wait_for_events(l, events, ELEMENTSOF(events), now);

                now = usec_now();

                for (int i = 0; i < n; i++) {
                        Client *c = events[i].data.ptr;

                        on_event(l, c, now);
                        if (c->fd < 0 && may_start(l, now))
                                start(l, c, usec_now());
                }

                if (now - checked >= USEC_PER_SEC / 10) {
                        checked = now;
                        fail_overdue(l);
                        refill(l, now);
                } else if (l->rate > 0)
                        refill(l, now);
        }
}

static usec_t percentile(const Load *l, unsigned percent) {
        uint64_t below = 0, wanted = l->n_served * percent / 100;

        for (usec_t i = 0; i < LATENCY_MAX; i++) {
                below += l->latencies[i];
                if (below > wanted)
                        return i;
        }

        return 0; /* nobody was served */
}

static void report(const Load *l, usec_t usec) {
        double seconds = (double) usec / (double) USEC_PER_SEC;

        printf("served=%" PRIu64 " seconds=%.3f rate=%.0f", l->n_served, seconds,
               (double) l->n_served / seconds);
        printf(" p50=%" PRIu64 " p99=%" PRIu64 " max=%" PRIu64, percentile(l, 50), percentile(l, 99),
               l->latency_max);

        printf(" size_min=%zu size_max=%zu", l->n_served > 0 ? l->size_min : 0, l->size_max);

        for (Failure f = 0; f < _FAILURE_MAX; f++)
                printf(" %s=%" PRIu64, failure_names[f], l->failures[f]);

        putchar('\n');
}

static void parse_target(const char *s, struct sockaddr_in *ret) {
        char address[INET_ADDRSTRLEN];
        const char *colon = strchr(s, ':');
        unsigned port;

        if (!colon || (size_t) (colon - s) >= sizeof(address) || parse_unsigned(colon + 1, &port) < 0 ||
            port == 0 || port > UINT16_MAX)
                errx(EXIT_FAILURE, "Not an IPv4 address and port: %s", s);

        *(char *) mempcpy(address, s, (size_t) (colon - s)) = '\0';
        *ret = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t) port) };

        if (inet_pton(AF_INET, address, &ret->sin_addr) != 1)
                errx(EXIT_FAILURE, "Not an IPv4 address: %s", address);
        if (ntohl(ret->sin_addr.s_addr) >> IN_CLASSA_NSHIFT != IN_LOOPBACKNET)
                errx(EXIT_FAILURE, "Not a loopback address: %s", address);
}

static unsigned parse_argument(const char *s, unsigned max) {
        unsigned v;

        if (parse_unsigned(s, &v) < 0 || v == 0 || v > max)
                errx(EXIT_FAILURE, "Not a number from 1 to %u: %s", max, s);

        return v;
}

static void load_done(Load *l) {
        free(l->clients); /* none is in flight any more */
        free(l->latencies);
        fd_close(l->epoll_fd);
}

int main(int argc, char *argv[]) {
        _cleanup_(load_done) Load l = { .epoll_fd = -EBADF, .n_clients = 64, .n_wanted = UINT64_MAX, .size_min = SIZE_MAX };
        unsigned seconds = 0;
        int option;

        while ((option = getopt(argc, argv, "c:n:r:s:")) != -1)
                switch (option) {
                case 'c':
                        l.n_clients = parse_argument(optarg, CLIENTS_MAX);
                        break;
                case 'n':
                        l.n_wanted = parse_argument(optarg, UINT32_MAX);
                        break;
                case 'r':
                        l.rate = parse_argument(optarg, RATE_MAX);
                        break;
                case 's':
                        seconds = parse_argument(optarg, SECONDS_MAX);
                        break;
                default:
                        return EXIT_FAILURE;
                }

        if (argc - optind != 1)
                errx(EXIT_FAILURE, "Usage: load [-c CLIENTS] [-r RATE] [-s SECONDS | -n CONNECTIONS] 127.0.0.1:PORT");

        parse_target(argv[optind], &l.target);

        l.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        l.clients = calloc(l.n_clients, sizeof(*l.clients));
        l.latencies = calloc(LATENCY_MAX, sizeof(*l.latencies));
        if (l.epoll_fd < 0 || !l.clients || !l.latencies)
                err(EXIT_FAILURE, "start");

        for (unsigned i = 0; i < l.n_clients; i++)
                l.clients[i].fd = -EBADF;

        /* Without -s a number of connections is all that ends it, within a bound. */
        l.begin = usec_now();
        if (seconds == 0)
                seconds = l.n_wanted == UINT64_MAX ? 1 : SECONDS_MAX;
        l.end = l.begin + seconds * USEC_PER_SEC;

        (void) signal(SIGTERM, on_sigterm);
        run(&l);
        report(&l, usec_now() - l.begin);

        return l.n_failed > 0 || l.n_served == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
