/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A broker with two workers, between which clients wander by fdpass_next(). */

#include "handback-fixture.h"

#include <sys/ioctl.h>

#include "tcp-fixture.h"

#include "broker/host-drain.h"
#include "libfdpass/fdpass.h"

#define SITE { .unit = "site.socket", .worker = "site", .transport = TRANSPORT_SEQPACKET }
#define API { .unit = "api.socket", .worker = "api", .transport = TRANSPORT_SEQPACKET, .path = "/api" }
#define RETURN_CONNECTION 200 /* the descriptor that libfdpass chooses for it */

#define GET(path) "GET " path " HTTP/1.1\r\nHost: example.org\r\n\r\n"

/* Two workers, a broker, and a client. */
typedef struct World {
        int site, api, client;
        char path[64];
        struct fdpass_next_args args;
} World;

static inline void world_open(World *w, int client) {
        *w = (World){
                .site = listen_type_at("site", SOCK_SEQPACKET, 64),
                .api = listen_type_at("api", SOCK_SEQPACKET, 64),
                .client = client,
                .args = { .size = sizeof(w->args), .path = w->path },
        };
        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 64)), 0);
        path_of("return", w->path);
        USE(SITE, API);
}

static inline void world_close(World *w) {
        fd_close(w->client);
        WAIT_FOR(n_in_broker() == 0);
        fd_close(w->site);
        fd_close(w->api);
}

static inline int take(int worker, struct fdpass **ret) {
        int fd;

        WAIT_FOR(has_event(worker, POLLIN));
        fd = fdpass_accept(worker, SOCK_CLOEXEC | SOCK_NONBLOCK | FDPASS_ANY_SENDER, ret);
        assert_true(fd >= 0);
        return fd;
}

static inline void leave(int fd, struct fdpass *f) {
        fd_close(fd);
        fdpass_free(f);
}

static inline size_t n_readable(int fd) {
        int n;

        assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
        return (size_t) n;
}

/* The client sends @n bytes. Returns when they are in the worker's socket @fd. */
static inline void ask_part(const World *w, int fd, const char *request, size_t n) {
        assert_int_equal(send(w->client, request, n, 0), n);
        WAIT_FOR(n_readable(fd) == n);
}

static inline void ask(const World *w, int fd, const char *request) {
        ask_part(w, fd, request, strlen(request));
}

/* The worker reads exactly this, and answers it. */
static inline void serve(int fd, const char *request) {
        char buffer[65536];
        size_t n = strlen(request);

        WAIT_FOR(n_readable(fd) >= n);
        assert_int_equal(recv(fd, buffer, n, 0), n);
        assert_memory_equal(buffer, request, n);
        assert_int_equal(send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38, 0), 38);
}

static inline void read_answer(int client) {
        char buffer[38];

        assert_int_equal(recv(client, buffer, sizeof(buffer), MSG_WAITALL), sizeof(buffer));
}

/* The client asks for what is another worker's, goes back, and is served there. Returns the other worker's descriptor. */
static inline int wander(const World *w, int fd, struct fdpass **f, int worker, const char *request) {
        ask(w, fd, request);
        assert_int_equal(fdpass_next(fd, *f, &w->args), FDPASS_NEXT_RETURNED);
        leave(fd, *f);
        fd = take(worker, f);
        serve(fd, request);
        read_answer(w->client);
        return fd;
}

/* Accepts a client whose first request is for the site. */
static inline int begin(World *w, struct fdpass **ret) {
        int fd;

        say(w->client, GET("/"));
        fd = take(w->site, ret);
        serve(fd, GET("/"));
        read_answer(w->client);
        return fd;
}
