/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * fdpass-proxy: a worker for services that can't take a socket. It connects to them and moves the bytes.
 *
 *     service.c ── client ──▶ proxy-connect.c ── proxy-backend.c: where to? ── connect(2) ──▶ (backend)
 *                                  │
 *                                  ▼
 *     proxy-loop.c ── event ──▶ proxy-connection.c ──▶ proxy-flow.c: one direction, with a pipe of proxy-pipe.c
 *                                                      while much is moved
 *
 * One thread; proxy-resolve.c has another one while a name is looked up.
 */

#include <sys/epoll.h>

#include "basic/list.h"
#include "workers/proxy-backend.h"
#include "workers/proxy-flow.h"
#include "workers/proxy-header.h"
#include "workers/proxy-pipe.h"
#include "workers/service.h"

/* A connection is in one of these, and each has one time limit: its members are in the order of their ends. */
typedef enum Phase {
        PHASE_CONNECTING,
        PHASE_RETRY,   /* no backend was there: soon again */
        PHASE_OPEN,
        PHASE_ENDING,  /* one direction has ended */
        PHASE_LINGER,  /* the server is gone, and the client has not yet noticed */
        _PHASE_MAX,
} Phase;

typedef struct Proxy {
        Service service;
        Backends backends;
        PipePool pipes;
        ProxyHeader header;      /* what backends are told of clients */

        usec_t limits[_PHASE_MAX];
        usec_t retry_usec;       /* how long a backend that isn't there is tried again */
        usec_t keepalive_usec;   /* 0: as the listener had it (KeepAlive=) */
        usec_t drain_usec;       /* how long connections may go on once we are to end */
        bool refuse_on_failure;  /* another worker may have the client; else it gets an answer from the broker */

        int epoll_fd;
        sd_event_source *io;
        sd_event_source *more;   /* on while there are connections in busy */
        sd_event_source *timer;
        usec_t timer_at;         /* when it goes off; USEC_INFINITY: not */
        sd_event_source *drained;
        List phases[_PHASE_MAX]; /* Connection.link */
        List busy;               /* Connection.busy: had more to move than one turn lets it */
        List dead;               /* Connection.link: freed when no event of this turn can mean them any more */
        usec_t now;              /* of this turn */
        uint8_t *scratch;        /* SCRATCH_SIZE: small amounts are moved through here */
} Proxy;

/* One client and its backend. What is not needed while nothing moves is not in here. */
typedef struct Connection {
        Proxy *proxy;
        List link;               /* Proxy.phases or Proxy.dead */
        List busy;               /* Proxy.busy */
        usec_t since;            /* in this phase, or since something was moved */
        usec_t begin;
        Phase phase;
        int error;               /* why the last address was none */
        unsigned backend;        /* the one that is tried or used, by its place in Backends */
        unsigned address;        /* the next of its addresses */
        unsigned n_left;         /* backends that were not tried yet */
        const Inlet *inlet;
        struct fdpass *told;     /* until it is taken */
        Side client, server;
        Flow up, down;           /* from the client to the server, and back */
} Connection;

/* One with what is so where nothing else is said; proxy_init() and proxy_done() go on from here. */
#define PROXY_NULL(_log)                                                        \
        {                                                                       \
                .service = {                                                    \
                        .log = (_log),                                          \
                        .what = "connections",                                  \
                        .credits = 32,                                          \
                        .n_max = INT32_MAX,                                     \
                        .exit_idle_usec = USEC_INFINITY,                        \
                },                                                              \
                .limits = {                                                     \
                        [PHASE_CONNECTING] = 5 * USEC_PER_SEC,                  \
                        [PHASE_OPEN] = USEC_INFINITY,                           \
                        [PHASE_ENDING] = 300 * USEC_PER_SEC,                    \
                },                                                              \
                .epoll_fd = -EBADF,                                             \
        }

/* What a socket of a connection is watched for, and when it was full, for room in it too. */
#define SOCKET_EVENTS ((uint32_t) EPOLLIN | EPOLLRDHUP | EPOLLET)

/* proxy-loop.c */

int proxy_init(Proxy *p);
void proxy_done(Proxy *p);
void proxy_arm_timer(Proxy *p, usec_t at);

/* proxy-connect.c */

/* Takes the client over (Service.take). */
void connection_start(Service *s, int client_fd, struct fdpass *told, const Inlet *inlet);

/* Tries the next address, and the following ones until there is something to wait for. */
void connection_try(Connection *c);

/* connect(2) has come to an end. */
void connection_on_connect(Connection *c);

/* proxy-connection.c. All that return nothing may end the connection. */

/* Moves what there is to be moved. */
void connection_pump(Connection *c);

void connection_set_phase(Connection *c, Phase phase);
int connection_watch(Connection *c, Side *side, int operation, uint32_t events);
void connection_close_side(Connection *c, Side *side);

/* The end: of both directions; with an error, which both ends see; before there was a backend. */
void connection_free(Connection *c);
void connection_reset(Connection *c);
void connection_give_up(Connection *c, bool another_may);
