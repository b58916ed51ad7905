/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The libfdpass worker of `web`: a server of HTTP/1.1 in one process, which waits by epoll(7).
 *
 *         web-worker accept|handoff RETURN NAME...
 *
 * File 3 is its listener: a plain one, or a handoff socket whose clients go back by the return socket at RETURN. NAME is
 * site or api. Requests are "GET /SIZE" for the site, and "GET /api/SIZE"; others get 404. A request has to come in one
 * piece, as wrk sends it.
 */

#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libfdpass/fdpass.h"

#define LISTENER_FD 3
#define CLIENTS_MAX 4096
#define BODY_MAX (256 * 1024)
#define N_NAMES 2

#define NOT_FOUND "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

typedef struct Client {
        int fd;
        struct fdpass *f;    /* NULL: it came by accept4() */
        const char *rest;    /* of the body, which the socket had no room for */
        size_t n_rest;
        bool is_served;      /* it has had a response */
        bool is_last;        /* it closes after this response */
} Client;

static const char *const names[N_NAMES] = { "site", "api" };
static const char *const prefixes[N_NAMES] = { "/", "/api/" };
static char bodies[N_NAMES][BODY_MAX];
static bool is_ours[N_NAMES];
static Client clients[CLIENTS_MAX];
static struct fdpass_next_args next_args = { .size = sizeof(next_args) };
static int epoll_fd;

static void make_bodies(void) {
        for (size_t i = 0; i < N_NAMES; i++) {
                char line[16];
                int n = snprintf(line, sizeof(line), "%-4s hello\n", names[i]);

                for (size_t k = 0; k < BODY_MAX; k++)
                        bodies[i][k] = line[k % (size_t) n];
        }
}

static void watch(Client *c, int how, uint32_t events) {
        struct epoll_event event = { .events = events, .data.ptr = c };

        if (epoll_ctl(epoll_fd, how, c->fd, &event) < 0)
                err(EXIT_FAILURE, "epoll_ctl");
}

/* The broker may have the client, too, so its end is told by shutdown(2), and its events by EPOLL_CTL_DEL. */
static void end(Client *c, bool is_returned) {
        if (c->f) {
                (void) epoll_ctl(epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
                if (!is_returned)
                        (void) shutdown(c->fd, SHUT_WR);
        }

        fdpass_free(c->f);
        close(c->fd);
        c->f = NULL;
}

static void send_rest(Client *c) {
        ssize_t n = send(c->fd, c->rest, c->n_rest, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN) {
                end(c, /* is_returned= */ false);
                return;
        }

        c->rest += n > 0 ? n : 0;
        c->n_rest -= n > 0 ? (size_t) n : 0;
        if (c->n_rest == 0 && c->is_last)
                end(c, /* is_returned= */ false);
        else if (c->n_rest == 0)
                watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static void respond(Client *c, size_t name, size_t size) {
        char head[128];
        int n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n",
                         size, c->is_last ? "Connection: close\r\n" : "");
        struct iovec iov[] = { { head, (size_t) n }, { bodies[name], size } };
        ssize_t sent = writev(c->fd, iov, 2);

        if (sent < n) {
                end(c, /* is_returned= */ false);
                return;
        }

        c->rest = bodies[name] + (sent - n);
        c->n_rest = size - (size_t) (sent - n);
        if (c->n_rest > 0)
                watch(c, EPOLL_CTL_MOD, EPOLLOUT);
        else if (c->is_last)
                end(c, /* is_returned= */ false);
}

static void serve(Client *c) {
        char request[4096];
        ssize_t n = recv(c->fd, request, sizeof(request) - 1, MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN)
                return;
        if (n <= 0) {
                end(c, /* is_returned= */ false);
                return;
        }

        request[n] = 0;
        c->is_served = true;
        c->is_last = strstr(request, "\r\nConnection: close\r\n");
        for (size_t i = N_NAMES; i-- > 0;) {
                size_t n_prefix = strlen(prefixes[i]);

                if (strncmp(request, "GET ", 4) != 0 || strncmp(request + 4, prefixes[i], n_prefix) != 0)
                        continue;
                if (is_ours[i]) {
                        unsigned long size = strtoul(request + 4 + n_prefix, NULL, 10);

                        respond(c, i, size < BODY_MAX ? size : BODY_MAX);
                        return;
                }
                break;
        }

        (void) !send(c->fd, NOT_FOUND, strlen(NOT_FOUND), MSG_NOSIGNAL);
}

static void handle(Client *c) {
        int r;

        if (c->n_rest > 0) {
                send_rest(c);
                return;
        }

        r = c->f && c->is_served ? fdpass_next(c->fd, c->f, &next_args) : FDPASS_NEXT_OWN;
        if (r == FDPASS_NEXT_OWN)
                serve(c);
        else if (r != -EAGAIN && r != -EINTR)
                end(c, r == FDPASS_NEXT_RETURNED);
}

static void take(bool is_handoff) {
        struct fdpass *f = NULL;
        int fd = is_handoff ? fdpass_accept(LISTENER_FD, SOCK_CLOEXEC | SOCK_NONBLOCK, &f)
                            : accept4(LISTENER_FD, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
                return;
        if (fd >= CLIENTS_MAX)
                errx(EXIT_FAILURE, "Too many clients.");

        clients[fd] = (Client){ .fd = fd, .f = f };
        watch(&clients[fd], EPOLL_CTL_ADD, EPOLLIN);
        if (is_handoff)
                handle(&clients[fd]); /* its request is there */
}

int main(int argc, char *argv[]) {
        struct epoll_event event = { .events = EPOLLIN }, events[64];
        bool is_handoff;

        if (argc < 4)
                errx(EXIT_FAILURE, "Usage: web-worker accept|handoff RETURN NAME...");

        is_handoff = strcmp(argv[1], "handoff") == 0;
        next_args.path = argv[2];
        for (int i = 3; i < argc; i++)
                for (size_t k = 0; k < N_NAMES; k++)
                        is_ours[k] = is_ours[k] || strcmp(argv[i], names[k]) == 0;

        make_bodies();
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, LISTENER_FD, &event) < 0)
                err(EXIT_FAILURE, "epoll");

        for (;;) {
                int n = epoll_wait(epoll_fd, events, 64, -1);

                for (int i = 0; i < n; i++)
                        if (events[i].data.ptr)
                                handle(events[i].data.ptr);
                        else
                                take(is_handoff);
        }
}
