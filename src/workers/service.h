/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The common part of fdpass-exec and fdpass-proxy. It takes clients from the sockets that systemd passed. Beyond a
 * limit it leaves them in the sockets' queues. It exits when idle, and notifies systemd.
 *
 *     service-sockets.c ── sockets, signals, start and end
 *         └── service-limits.c ── how many clients there are, and what follows from that
 *
 * A socket of AF_UNIX brings clients that a broker hands over. Any other one is a public listening socket, and its
 * clients are accepted with accept4(2). So a worker works with a broker or without one.
 */

#include <systemd/sd-event.h>

#include "basic/log.h"
#include "basic/ratelimit.h"
#include "basic/time.h"
#include "libfdpass/fdpass.h"

typedef struct Service Service;

/* A socket that clients come from. */
typedef struct ServiceSocket {
        Service *service;
        char *name;                       /* FileDescriptorName= */
        int fd;                           /* -EBADF: it will bring no more clients */
        bool is_handoff;                  /* a broker hands clients over; otherwise they are accepted */
        struct fdpass_receiver *receiver; /* the broker's persistent connections; NULL: one connection per client */
        sd_event_source *io;
        sd_event_source *again;           /* for clients in @receiver, which cause no event; NULL without @receiver */
} ServiceSocket;

struct Service {
        Log *log;                /* borrowed */
        const char *what;        /* noun for what n_busy counts, in messages: "connections" */
        sd_event *event;
        ServiceSocket *sockets;
        size_t n_sockets;
        sd_event_source *idle;
        sd_event_source *status;

        unsigned credits;        /* of fdpass_receiver_new(): clients that may be sent to us in advance; 0: none */
        unsigned n_busy;         /* clients that are served */
        unsigned n_max;          /* limit of n_busy; constant while the service runs */
        uint64_t n_taken;        /* clients since the start */
        usec_t exit_idle_usec;   /* time without a client before the exit; USEC_INFINITY: never */
        bool is_paused;          /* the worker takes no client for now. Call service_update() after a change */
        bool is_full;
        bool is_stopping;
        RateLimit complaints;

        /*
         * Serves a client. Owns @client_fd and @info. @info is NULL for a client of a public socket; otherwise it
         * waits for the answer (FDPASS_DEFER).
         */
        void (*take)(Service *s, int client_fd, struct fdpass *info, const ServiceSocket *socket);

        /* Called when systemd stops the service, which ends as soon as n_busy is 0. May be NULL. */
        void (*stop)(Service *s);
};

/* Takes over the sockets that systemd passed. Returns 0, SERVICE_NO_SOCKET, or a negative errno. */
enum {
        SERVICE_NO_SOCKET = 1,
};
int service_init(Service *s);

/* The same with @n descriptors, which are consumed, for tests. @names may be NULL. */
int service_init_with(Service *s, const int *fds, char *const *names, size_t n);
void service_done(Service *s);

/* Takes no more clients. Those that are in the sockets' queues, and in persistent connections, are left to others. */
void service_close_sockets(Service *s);

/* Serves until the service is idle or stopped. Returns 0 or a negative errno. */
int service_run(Service *s);

/* service-limits.c */

/* Counts a client that is served, and one that is not any more. */
void service_begin(Service *s);
void service_end(Service *s);

/* Returns true if there is room for a further client. */
bool service_has_room(const Service *s);

/* Turns the sockets on or off, and ends the service if nothing is left to do. Call it after a change of the state. */
void service_update(Service *s);

/* Starts or stops the time of @exit_idle_usec. Call it after n_busy has become 0, or more than 0. */
void service_update_idle(Service *s);

/* Adds the timers of service-limits.c. Returns 0 or a negative errno. */
int service_add_timers(Service *s);

/* Sets STATUS= (sd_notify(3)). */
void service_notify_status(const Service *s);

/* Logs a warning that each client may cause: at most one in 10 s, with the number of the others. */
void service_complain(Service *s, const char *format, ...) _printf_(2, 3);

/*
 * Ends a client that can't be served. The broker hears that another worker may have it, or that none should. Without a
 * broker the client sees the end of its connection. Consumes both.
 */
void service_turn_away(int client_fd, struct fdpass *info, bool another_may);
