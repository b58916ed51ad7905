/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * fdpass-proxy: a worker for services that can't take a socket. It connects to them, and moves the bytes.
 *
 *     service.h ── client ──▶ proxy-connect.c ── proxy-backend.c: which service? ── connect(2) ──▶ (backend)
 *                                  │
 *                                  ▼
 *     proxy-loop.c ── event ──▶ proxy-connection.c ──▶ proxy-flow.c: one direction ── proxy-pipe.c: if much is moved
 *                                  └── proxy-http.c: between two requests, with --http
 *
 * There is one thread. proxy-resolve.c has another one while it looks a name up.
 */

#include <sys/epoll.h>

#include "basic/list.h"
#include "workers/proxy-backend.h"
#include "workers/proxy-flow.h"
#include "workers/proxy-header.h"
#include "workers/proxy-pipe.h"
#include "workers/service.h"

/* The phases of a connection. Each has one time limit. */
typedef enum ProxyPhase {
        PHASE_CONNECTING,
        PHASE_RETRY,   /* no backend was reached: waits for the next attempt */
        PHASE_OPEN,
        PHASE_ENDING,  /* one direction has ended */
        PHASE_LINGER,  /* the backend has closed; the client has not yet */
        _PHASE_MAX,
} ProxyPhase;

typedef struct Proxy {
        Service service;
        Backends backends;
        PipePool pipes;
        ProxyHeader header;        /* for backends */

        usec_t limits[_PHASE_MAX]; /* of the phases; USEC_INFINITY: none */
        usec_t retry_usec;         /* time from the handoff within which attempts are repeated; 0: one attempt only */
        usec_t keepalive_usec;     /* TCP_KEEPIDLE; 0: that of the public socket (KeepAlive=) */
        usec_t drain_usec;         /* time that connections have after SIGTERM */
        bool is_http;              /* clients may be handed back between two requests (--http) */
        const char *return_path;   /* of the broker's return socket; NULL: the usual one */
        bool may_decline;          /* if no backend is reached, another worker may get the client; otherwise none may */

        int epoll_fd;              /* all sockets of connections; data: Side */
        sd_event_source *io;       /* @epoll_fd */
        sd_event_source *more;     /* on while @busy has connections */
        sd_event_source *timer;
        usec_t timer_at;           /* when @timer is due; USEC_INFINITY: off */
        sd_event_source *drained;  /* end of @drain_usec */
        List phases[_PHASE_MAX];   /* ProxyConnection.link, earliest end first */
        List busy;                 /* ProxyConnection.busy: used their turn up, and can go on */
        List dead;                 /* ProxyConnection.link: freed after the turn, whose events may refer to them */
        usec_t now;                /* time of this turn; CLOCK_MONOTONIC */
        uint8_t *scratch;          /* SCRATCH_SIZE bytes, for copies */
} Proxy;

typedef struct ProxyHttp ProxyHttp;

/* A client and its backend. Memory that is needed only while bytes are moved is allocated then. */
typedef struct ProxyConnection {
        Proxy *proxy;
        List link;               /* Proxy.phases or Proxy.dead */
        List busy;               /* Proxy.busy */
        usec_t since;            /* begin of the phase, or of the last turn that moved bytes */
        usec_t begin;
        ProxyPhase phase;
        int error;               /* negative errno of the last address */
        unsigned backend;        /* index in Backends.items */
        unsigned address;        /* index of the next one in Backend.addresses */
        unsigned n_left;         /* backends that were not yet tried, with the current one */
        const ServiceSocket *from;
        struct fdpass *info;     /* NULL: the client is taken, or came without a broker */
        ProxyHttp *http;         /* owned; NULL: the messages are not followed */
        Side client;
        Side server;
        Flow up;                 /* from the client to the server */
        Flow down;               /* from the server to the client */
} ProxyConnection;

/* The defaults of fdpass-proxy(8). proxy_init() and proxy_done() continue from here. */
#define PROXY_NULL(_log)                                                        \
        {                                                                       \
                .service = {                                                    \
                        .log = (_log),                                          \
                        .what = "connections",                                  \
                        .credits = 32,                                          \
                        .n_max = INT32_MAX,                                     \
                        .exit_idle_usec = USEC_INFINITY,                        \
                },                                                              \
                .header = PROXY_HEADER_NONE,                                    \
                .limits = {                                                     \
                        [PHASE_CONNECTING] = 5 * USEC_PER_SEC,                  \
                        [PHASE_OPEN] = USEC_INFINITY,                           \
                        [PHASE_ENDING] = 300 * USEC_PER_SEC,                    \
                },                                                              \
                .epoll_fd = -EBADF,                                             \
        }

/* Events of a connection's socket. EPOLLOUT is added when the socket is full for the first time. */
#define SOCKET_EVENTS ((uint32_t) EPOLLIN | EPOLLRDHUP | EPOLLET)

/* proxy-loop.c */

/* Continues from PROXY_NULL. Call it after service_init(). Returns 0 or a negative errno. */
int proxy_init(Proxy *p);
void proxy_done(Proxy *p);

/* proxy-connect.c. Each of these may end the connection. */

/* Takes a client (Service.take). */
void proxy_connection_start(Service *s, int client_fd, struct fdpass *info, const ServiceSocket *from);

/* Tries addresses, beginning with the next one, until there is an event to wait for. */
void proxy_connection_try(ProxyConnection *c);

/* Handles the result of a connect(2) that was in progress. */
void proxy_connection_on_connect(ProxyConnection *c);

/* proxy-connection.c */

/* Sets the timer to @at, unless it is due earlier. */
void proxy_arm_timer(Proxy *p, usec_t at);

void proxy_connection_set_phase(ProxyConnection *c, ProxyPhase phase);

/* Adds a side to the epoll, or changes its events (EPOLL_CTL_…). Returns 0 or a negative errno. */
int proxy_connection_watch(ProxyConnection *c, Side *side, int operation, uint32_t events);
void proxy_connection_close_side(ProxyConnection *c, Side *side);

/* Moves bytes in both directions. May end the connection. */
void proxy_connection_pump(ProxyConnection *c);

/* Ends a connection. _reset() lets both ends see an error, because the streams are incomplete. */
void proxy_connection_free(ProxyConnection *c);
void proxy_connection_reset(ProxyConnection *c);

/* Ends a connection without a backend. The broker hears that another worker may have the client, or none should. */
void proxy_connection_give_up(ProxyConnection *c, bool another_may);

/* proxy-http.c */

/* Follows the messages of a connection from its first request on. Consumes @info. Does nothing if there is no memory. */
void proxy_http_start(ProxyConnection *c, struct fdpass *info);

/* Follows the connection no more. Does nothing if it is not followed. */
void proxy_http_stop(ProxyConnection *c);

/*
 * Begins the next request if the last one is over. Returns false if the caller has to free the connection: the client
 * was handed back, or could not be.
 */
bool proxy_http_look(ProxyConnection *c);

/* True if proxy_http_look() may find more now. */
bool proxy_http_has_news(const ProxyConnection *c);
