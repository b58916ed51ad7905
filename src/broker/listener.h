/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A public listening socket, from systemd. It is never shut down or reset: systemd goes on holding it. */

#include <systemd/sd-event.h>

#include "basic/list.h"
#include "basic/ratelimit.h"
#include "basic/time.h"
#include "config/config.h"

typedef struct Broker Broker;

typedef struct Listener {
        Broker *broker;
        List link;           /* Broker.listeners */
        char *name;          /* FileDescriptorName= */
        int fd;
        sd_event_source *io;
        unsigned batch;      /* how many clients are accepted in one turn */

        RateLimit no_route;  /* of the log lines about its clients that no route takes */

        const ListenerConfig *config; /* of Broker.routing */
        bool needs_bytes;             /* somebody's route asks for the client's first bytes, */
        bool needs_head;              /* or a PROXY header may come first */

        List heads;                   /* Client.link: those whose head is not all there, the oldest first */
        List silent;                  /* Client.silent_link: those of them that have said nothing yet */
        sd_event_source *head_timer;
        usec_t head_timer_at;         /* what it is set to, USEC_INFINITY: off */
} Listener;

/* Consumes @fd on success. The listener is off until listener_enable(). */
int listener_new(Broker *b, const char *name, int fd, Listener **ret);
Listener *listener_free(Listener *l);
DEFINE_CLEANUP(Listener *, listener_free);

/* Fails only where it is turned on. */
int listener_enable(Listener *l, bool enable);
