/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Clients that keep their connections, and ask several workers in turn, at random:
 *
 *     asking PORT CLIENTS REQUESTS SECONDS SEED HOST/PATH=WORKER...
 *
 * It ends after REQUESTS of all clients together, or after SECONDS. Each answer has to be the one to its request. X-Worker
 * names the worker, and X-Request has what the client said in the request. With X-Echo the body is that, a line feed, and
 * the request's body. A path that ends with "/file" has a body of FILE_SIZE bytes "0123456789abcdef" without end.
 *
 * It prints a line of JSON. "closed" are connections that ended at a request before a byte of its response, and "failed"
 * those that ended within a response; "status" counts responses of 400 and more.
 */

#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TARGETS_MAX 64
#define BUFFER (2 << 20)
#define FILE_SIZE (256 << 10)
#define TIMEOUT_SEC 20

typedef struct Target {
        char host[64], path[64], worker[32];
} Target;

typedef struct Asker {
        int fd;
        unsigned seed, n;
        char *in, *out, tag[64];
        size_t n_in, n_out, n_body; /* received, to send, of that the body as the worker is to see it */
        const char *body;
        const Target *target;
        bool is_head;
} Asker;

static Target targets[TARGETS_MAX];
static size_t n_targets;
static int port;
static long requests;
static time_t end;
static atomic_long n_asked, n_right, n_wrong, n_closed, n_failed, n_status, n_connections;

static unsigned choose(Asker *a, unsigned n) {
        return (unsigned) rand_r(&a->seed) % n;
}

static void make_body(Asker *a, char *p, size_t n) {
        static const char trick[] = "GET / HTTP/1.1\r\nHost: other.test\r\nX-Request: trick\r\n\r\n";

        if (choose(a, 2))
                for (size_t i = 0; i < n; i++)
                        p[i] = trick[i % (sizeof(trick) - 1)];
        else
                for (size_t i = 0; i < n; i++)
                        p[i] = (char) choose(a, 256);
}

static void make_request(Asker *a) {
        static const size_t sizes[] = { 0, 1, 10, 500, 5000, 70000 };
        unsigned kind = choose(a, 10);
        size_t n = sizes[choose(a, sizeof(sizes) / sizeof(sizes[0]))];
        char *p = a->out;

        a->target = &targets[choose(a, (unsigned) n_targets)];
        a->is_head = kind == 0;
        a->n_body = 0;
        (void) snprintf(a->tag, sizeof(a->tag), "%d-%u-%u", (int) getpid(), a->seed, ++a->n);
        p += sprintf(p, "%s %s?%s HTTP/1.1\r\nHost: %s\r\nX-Request: %s\r\n", kind == 0 ? "HEAD" : kind < 7 ? "GET" : "POST",
                     a->target->path, a->tag, a->target->host, a->tag);
        if (kind == 7 || kind == 8) {
                p += sprintf(p, "Content-Length: %zu\r\n\r\n", n);
                make_body(a, p, n);
                a->body = p;
                a->n_body = n;
                p += n;
        } else if (kind == 9) {
                /* The body is one chunk, so that it lies here as the worker sees it. */
                p += sprintf(p, "Transfer-Encoding: chunked\r\n\r\n");
                if (n > 0) {
                        p += sprintf(p, "%zx\r\n", n);
                        make_body(a, p, n);
                        a->body = p;
                        a->n_body = n;
                        p += n;
                        p += sprintf(p, "\r\n");
                }
                p += sprintf(p, "0\r\n\r\n");
        } else
                p += sprintf(p, "\r\n");
        a->n_out = (size_t) (p - a->out);
}

static bool send_bytes(Asker *a, const char *p, size_t n) {
        while (n > 0) {
                ssize_t k = send(a->fd, p, n, MSG_NOSIGNAL);

                if (k <= 0)
                        return false;
                p += k;
                n -= (size_t) k;
        }

        return true;
}

/* One request of ten comes in two parts, which are cut anywhere in the head. */
static bool send_request(Asker *a) {
        size_t k = choose(a, 10) ? 0 : 1 + choose(a, a->n_out < 100 ? (unsigned) a->n_out - 1 : 99);

        if (k > 0) {
                if (!send_bytes(a, a->out, k))
                        return false;
                (void) usleep(choose(a, 3000));
        }

        return send_bytes(a, a->out + k, a->n_out - k);
}

/* Receives until there are @n bytes. */
static bool need(Asker *a, size_t n) {
        while (a->n_in < n) {
                ssize_t k = n < BUFFER ? recv(a->fd, a->in + a->n_in, BUFFER - 1 - a->n_in, 0) : 0;

                if (k <= 0)
                        return false;
                a->n_in += (size_t) k;
                a->in[a->n_in] = '\0';
        }

        return true;
}

/* Returns the offset behind the next @end from @from on, or 0. */
static size_t find(Asker *a, size_t from, const char *what) {
        for (;;) {
                char *at = a->n_in > from ? memmem(a->in + from, a->n_in - from, what, strlen(what)) : NULL;

                if (at)
                        return (size_t) (at - a->in) + strlen(what);
                if (!need(a, a->n_in + 1))
                        return 0;
        }
}

/* The value of a field of the head, or "". */
static const char *field(const char *head, const char *name, char ret[static 128]) {
        const char *at = strcasestr(head, name);

        ret[0] = '\0';
        if (at)
                (void) sscanf(at + strlen(name), " %127[^\r]", ret);
        return ret;
}

/* Moves a chunked body together at @at. Returns where what follows it begins, or 0. */
static size_t join_chunks(Asker *a, size_t at, size_t *ret_n) {
        size_t from = at, n;

        *ret_n = 0;
        do {
                size_t behind = find(a, from, "\r\n");

                if (behind == 0)
                        return 0;
                n = strtoul(a->in + from, NULL, 16);
                if (!need(a, behind + n + 2))
                        return 0;
                memmove(a->in + at + *ret_n, a->in + behind, n);
                *ret_n += n;
                from = behind + n + 2;
        } while (n > 0);

        return from;
}

static bool is_file(const Asker *a) {
        size_t n = strlen(a->target->path);

        return n >= 5 && strcmp(a->target->path + n - 5, "/file") == 0;
}

static bool is_body_right(const Asker *a, const char *head, const char *body, size_t n) {
        size_t n_tag = strlen(a->tag);
        char value[128];

        if (is_file(a)) {
                for (size_t i = 0; i < n; i++)
                        if (body[i] != "0123456789abcdef"[i % 16])
                                return false;
                return n == FILE_SIZE;
        }
        if (!*field(head, "\r\nX-Echo:", value))
                return true;

        return n == n_tag + 1 + a->n_body && memcmp(body, a->tag, n_tag) == 0 && body[n_tag] == '\n' &&
               memcmp(body + n_tag + 1, a->body, a->n_body) == 0;
}

static void complain(const Asker *a, const char *head, size_t n_body) {
        if (atomic_fetch_add(&n_wrong, 1) < 5)
                fprintf(stderr, "WRONG %s%s for %s, request %s (%.60s), body %zu:\n%s\n", a->target->host, a->target->path,
                        a->target->worker, a->tag, a->out, n_body, head);
}

/* Receives the response and counts it. Returns false if the connection is over. */
static bool receive(Asker *a) {
        char head[8192], worker[128], request[128], value[128];
        size_t body, n = 0, behind;
        int status;

        do {
                body = find(a, 0, "\r\n\r\n");
                if (body == 0 || body >= sizeof(head)) {
                        atomic_fetch_add(a->n_in == 0 ? &n_closed : &n_failed, 1);
                        return false;
                }
                (void) snprintf(head, sizeof(head), "%.*s", (int) body, a->in);
                status = atoi(head + strcspn(head, " "));
                if (status < 200)
                        memmove(a->in, a->in + body, (a->n_in -= body) + 1);
        } while (status < 200);

        behind = body;
        if (!a->is_head && status != 204 && status != 304) {
                if (strcasecmp(field(head, "\r\nTransfer-Encoding:", value), "chunked") == 0)
                        behind = join_chunks(a, body, &n);
                else {
                        n = strtoul(field(head, "\r\nContent-Length:", value), NULL, 10);
                        behind = need(a, body + n) ? body + n : 0;
                }
                if (behind == 0) {
                        atomic_fetch_add(&n_failed, 1);
                        return false;
                }
        }

        (void) field(head, "\r\nX-Worker:", worker);
        (void) field(head, "\r\nX-Request:", request);
        if (status >= 400 && !*worker) {
                if (atomic_fetch_add(&n_status, 1) < 3)
                        fprintf(stderr, "%.300s -> %.300s\n", a->out, a->in);
        } else if (strcmp(worker, a->target->worker) != 0 || strcmp(request, a->tag) != 0 || a->n_in != behind ||
                 (!a->is_head && !is_body_right(a, head, a->in + body, n)))
                complain(a, head, n);
        else
                atomic_fetch_add(&n_right, 1);

        a->n_in = 0;
        return strcasecmp(field(head, "\r\nConnection:", value), "close") != 0;
}

static void dial(Asker *a) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((in_port_t) port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct timeval timeout = { .tv_sec = TIMEOUT_SEC };
        int on = 1;

        a->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (a->fd < 0 || connect(a->fd, (struct sockaddr *) &in, sizeof(in)) < 0)
                err(EXIT_FAILURE, "connect");
        (void) setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void) setsockopt(a->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
        a->n_in = 0;
        atomic_fetch_add(&n_connections, 1);
}

static void *ask(void *userdata) {
        Asker *a = userdata;

        a->in = malloc(BUFFER);
        a->out = malloc(BUFFER);
        if (!a->in || !a->out)
                err(EXIT_FAILURE, "malloc");

        dial(a);
        while (time(NULL) < end && atomic_fetch_add(&n_asked, 1) < requests) {
                bool is_open = true;

                make_request(a);
                /* A response may have come already where the request can't be sent. */
                (void) send_request(a);
                is_open = receive(a);
                if (!is_open) {
                        (void) close(a->fd);
                        dial(a);
                }
        }

        (void) close(a->fd);
        return NULL;
}

int main(int argc, char *argv[]) {
        pthread_t threads[1024];
        int clients = argc > 6 ? atoi(argv[2]) : 0;

        if (clients < 1 || clients > 1024)
                errx(EXIT_FAILURE, "see the beginning of asking.c");
        port = atoi(argv[1]);
        requests = atol(argv[3]);
        end = time(NULL) + atol(argv[4]);
        for (int i = 6; i < argc && n_targets < TARGETS_MAX; i++, n_targets++)
                if (sscanf(argv[i], "%63[^/]%63[^=]=%31s", targets[n_targets].host, targets[n_targets].path,
                           targets[n_targets].worker) != 3)
                        errx(EXIT_FAILURE, "%s is not HOST/PATH=WORKER", argv[i]);

        for (int i = 0; i < clients; i++) {
                Asker *a = calloc(1, sizeof(*a));

                if (!a)
                        err(EXIT_FAILURE, "calloc");
                a->seed = (unsigned) (atoi(argv[5]) * 1024 + i);
                if (pthread_create(&threads[i], NULL, ask, a) != 0)
                        errx(EXIT_FAILURE, "pthread_create");
        }
        for (int i = 0; i < clients; i++)
                (void) pthread_join(threads[i], NULL);

        printf("{\"right\": %ld, \"wrong\": %ld, \"closed\": %ld, \"failed\": %ld, \"status\": %ld, \"connections\": %ld}\n",
               n_right, n_wrong, n_closed, n_failed, n_status, n_connections);
        return 0;
}
