/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A listening socket from systemd: a public one, or one on which clients are handed back (broker/handback.h). It is never shut
 * down, because systemd goes on holding it.
 */

#include "basic/list.h"
#include "basic/time.h"
#include "broker/state/client.h"
#include "broker/state/held-line.h"
#include "config/config.h"
#include "event/timer.h"

/* What a listener calls. All get @userdata of listener_new(). */
typedef struct ListenerHandlers {
        void (*on_ready)(Listener *l, void *userdata); /* somebody is in the backlog */
        TimerHandler on_timer;                         /* a client of it is silent or late; its userdata is the Listener */
} ListenerHandlers;

struct Listener {
        List link;           /* Broker.listeners */
        void *userdata;
        void (*on_ready)(Listener *l, void *userdata);
        char *name;          /* FileDescriptorName= */
        int fd;
        bool is_return;      /* its connections bring clients that are handed back */
        int type;            /* SOCK_STREAM or SOCK_SEQPACKET */
        bool is_on;          /* it is watched */

        unsigned batch;      /* calls of accept4(2) in the next turn */
        unsigned single_accepts;      /* wake-ups with one call after a second call failed with EAGAIN */
        unsigned single_accepts_left; /* … that are still to come */

        uint64_t n_accepted;
        uint64_t n_refused[_REFUSAL_MAX];

        HeldLine no_route;   /* "no route takes clients of this listener" */

        const ListenerConfig *config; /* borrowed from the current Routing */
        bool needs_bytes;             /* a route for its clients asks for their first bytes */
        bool needs_head;              /* the same, or a PROXY header may come first */

        Timer timer;                  /* for both lists */
        WaitingList heads;            /* Client.wait: the head is not complete; due at HeadTimeoutSec= */
        WaitingList silent;           /* Client.second: … and no byte came yet; due at SilentTimeoutSec= */
};

/*
 * Makes a listener that is off. Consumes @fd on success. @type is the type of the socket. Returns 0 or a negative errno.
 */
int listener_new(Loop *loop, const char *name, int fd, int type, const ListenerHandlers *handlers, void *userdata,
                 Listener **ret);

/* It has to be off. */
Listener *listener_free(Listener *l);
DEFINE_CLEANUP(Listener *, listener_free);

/* The listener of this name in @listeners (Listener.link), or NULL. */
Listener *listener_find(const List *listeners, Slice name);
