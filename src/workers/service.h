/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What fdpass-exec and fdpass-proxy have in common: the sockets that systemd passed, clients out of them, a limit
 * beyond which clients are left where they are, the end when nobody came for a while, and what is said to systemd.
 *
 * A socket of AF_UNIX carries clients that a broker hands over; any other is listened on, and the clients are
 * accepted from it. So a worker can stand behind a broker, or do without one.
 */

#include <systemd/sd-event.h>

#include "basic/log.h"
#include "basic/ratelimit.h"
#include "basic/time.h"
#include "libfdpass/fdpass.h"

typedef struct Service Service;

/* One socket that clients come from. */
typedef struct Inlet {
        Service *service;
        char *name;      /* FileDescriptorName= */
        int fd;          /* -EBADF: no more clients will come */
        bool is_handoff;
        struct fdpass_receiver *receiver; /* keeps the broker's connections; NULL: each client comes by one of its own */
        sd_event_source *io;
        sd_event_source *again; /* there may be more, of which no event will tell */
} Inlet;

struct Service {
        Log *log;                /* borrowed */
        const char *what;        /* "connections": what n_busy counts, for people */
        sd_event *event;
        Inlet *inlets;
        size_t n_inlets;
        sd_event_source *pause;  /* on while no clients are taken, for want of something that comes back */
        sd_event_source *idle;
        sd_event_source *status;

        unsigned credits;        /* clients that may be on their way to us beyond those that we have: fdpass.h */
        unsigned n_busy;
        unsigned n_max;          /* of these; not changed while the service runs */
        uint64_t n_taken;        /* since the start */
        usec_t exit_idle_usec;   /* USEC_INFINITY: never */
        bool is_full, is_paused, is_stopping;
        RateLimit complaints;

        /*
         * Takes a client: @client_fd and @told, which is NULL where the client was accepted from a listening socket,
         * are its own from here on. @told waits for its answer.
         */
        void (*take)(Service *s, int client_fd, struct fdpass *told, const Inlet *inlet);

        /* systemd wants us to end; the service ends when nothing is busy. May be NULL. */
        void (*stop)(Service *s);
};

/* Takes over the sockets that systemd passed. Returns 0, SERVICE_NO_SOCKET, or a negative errno. */
enum {
        SERVICE_NO_SOCKET = 1,
};
int service_init(Service *s);

/* The same with @n descriptors, which are consumed: for tests. */
int service_init_with(Service *s, const int *fds, char *const *names, size_t n);
void service_done(Service *s);

/* Serves until it is to end. */
int service_run(Service *s);

/* One more is busy, or one less. */
void service_begin(Service *s);
void service_end(Service *s);

/* Takes no clients for a short while. */
void service_pause(Service *s);

/* A complaint that may come up with each client: once in a while it is logged, with their number. */
void service_complain(Service *s, const char *format, ...) _printf_(2, 3);

/*
 * Ends a client that can't be served, with the answer to the broker: another worker may have it, or nobody. Where
 * nobody can be told, the client sees the end of its connection. Consumes both.
 */
void service_turn_away(int client_fd, struct fdpass *told, bool another_may);

/* Reads the value of an option; a complaint goes to stderr. */
int option_timespan(const char *name, const char *value, usec_t *ret);
int option_unsigned(const char *name, const char *value, unsigned max, unsigned *ret);
