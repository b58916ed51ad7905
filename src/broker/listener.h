/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A listening socket, from systemd, which is never shut down or reset: systemd goes on holding it. A public one, or
 * one where clients are handed over (handback.h).
 */

#include "basic/list.h"
#include "basic/ratelimit.h"
#include "basic/time.h"
#include "broker/client.h"
#include "broker/timer.h"
#include "config/config.h"

typedef struct Broker Broker;

typedef struct Listener {
        Broker *broker;
        List link;           /* Broker.listeners */
        char *name;          /* FileDescriptorName= */
        int fd;
        int carries;         /* 0, or SOCK_SEQPACKET or SOCK_STREAM: its connections are no clients, they bring them */
        bool is_on;          /* Broker.watch reports who comes, to */
        void (*on_ready)(struct Listener *l);

        unsigned batch;      /* how many clients are accepted in one turn, */
        unsigned patience;   /* and after one that had only one, for so many turns one, */
        unsigned n_alone;    /* of which so many are to come */

        uint64_t n_accepted;
        uint64_t n_refused[_REFUSAL_MAX];

        RateLimit no_route;  /* of the log lines about its clients that no route takes */

        const ListenerConfig *config; /* of Broker.routing */
        bool needs_bytes;             /* somebody's route asks for the client's first bytes, */
        bool needs_head;              /* or a PROXY header may come first */

        List heads;                   /* Client.link: those whose head is not all there, the oldest first */
        List silent;                  /* Client.silent_link: those of them that have said nothing yet */
        Timer head_timer;             /* for both */
} Listener;

/* Consumes @fd on success. The listener is off until listener_enable(). */
int listener_new(Broker *b, const char *name, int fd, Listener **ret);

/* The same, with somebody else's handler for those who come. */
int listener_new_with(Broker *b, const char *name, int fd, void (*on_ready)(Listener *l), Listener **ret);

Listener *listener_free(Listener *l);
DEFINE_CLEANUP(Listener *, listener_free);

/* Fails only where it is turned on. */
int listener_enable(Listener *l, bool enable);
