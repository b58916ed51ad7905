/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A listening socket from systemd: a public one, or a return socket (broker/handback.h). Nothing shuts it down, because
 * systemd keeps it for the next process.
 */

#include "basic/list.h"
#include "basic/time.h"
#include "broker/state/client.h"
#include "broker/state/held-line.h"
#include "broker/state/recent-count.h"
#include "config/config.h"
#include "event/timer.h"

/* Handlers of a listener. on_ready() gets @userdata of listener_new(). */
typedef struct ListenerHandlers {
        void (*on_ready)(Listener *l, void *userdata); /* clients are in the backlog */
        TimerHandler on_timer;                         /* a client is due; its userdata is the Listener */
} ListenerHandlers;

/* The common address of several clients. */
typedef struct OneSource {
        ClientAddress address; /* of the last client; valid with @is_known */
        bool is_known;
        bool is_mixed;         /* the clients came from several addresses */
} OneSource;

/* A log line about the clients of one listener that were refused for one reason (diag-refusal.c). */
typedef struct RefusalLine {
        HeldLine held;
        Listener *listener;    /* borrowed */
        Refusal why;
        ProbeReason reason;    /* detail of REFUSAL_MALFORMED */
        OneSource source;      /* of the clients that the next line counts */
} RefusalLine;

/* The last client that was refused for a limit of its source. */
typedef struct SourceHit {
        ClientAddress address; /* AF_UNSPEC: there was none */
        SourceRate limit;      /* value of the key that held for it; of a number without a time @limit.interval is 0 */
} SourceHit;

struct Listener {
        List link;           /* Broker.listeners */
        void *userdata;
        void (*on_ready)(Listener *l, void *userdata);
        char *name;          /* FileDescriptorName=; owned */
        int fd;
        ClientAddress address; /* at which it listens, by getsockname(2); AF_UNSPEC: not known */
        bool is_return;      /* a return socket: its connections bring clients that are handed back */
        int type;            /* SOCK_STREAM or SOCK_SEQPACKET */
        bool is_on;          /* its events are reported (watch.h) */

        unsigned batch;      /* calls of accept4(2) in the next turn */
        unsigned single_accepts;      /* wake-ups with one call only, after a second one failed with EAGAIN */
        unsigned single_accepts_left; /* the rest of @single_accepts */

        uint64_t n_accepted;
        uint64_t n_refused[_REFUSAL_MAX];

        RecentCount recent[_REFUSAL_MAX]; /* refusals of the last minutes */
        SourceHit hits[_REFUSAL_MAX]; /* by REFUSAL_SOURCE_… */
        SourceRates *rates;  /* counts for RateLimitPerSource=; NULL: there is no limit */

        RefusalLine refusals[_REFUSAL_MAX];
        RefusalLine malformed[_PROBE_REASON_MAX]; /* those with REFUSAL_MALFORMED */

        const ListenerConfig *config; /* borrowed from the current Routing */
        bool needs_bytes;             /* a route for its clients asks for their first bytes */
        bool needs_head;              /* @needs_bytes, or a PROXY header may come first */

        Timer timer;                  /* for @heads and @silent */
        WaitingList heads;            /* Client.wait: head not complete; due at HeadTimeoutSec= */
        WaitingList silent;           /* Client.second: no byte yet; due at SilentTimeoutSec= */
};

/*
 * Makes a listener that is off. @fd is consumed on success. @type is SOCK_STREAM or SOCK_SEQPACKET. @name is copied,
 * @loop and @userdata are borrowed. Returns 0 or a negative errno.
 */
int listener_new(Loop *loop, const char *name, int fd, int type, const ListenerHandlers *handlers, void *userdata,
                 Listener **ret);

/* Closes and frees @l, which has to be off. Does nothing for NULL. Returns NULL. */
Listener *listener_free(Listener *l);
DEFINE_CLEANUP(Listener *, listener_free);

/*
 * Returns the public listener that accepted a socket whose own end has the address @own, or NULL. One that listens at
 * this very address comes before one that listens at all addresses.
 */
Listener *listener_find_address(const List *listeners, const ClientAddress *own);

/* True if a client from this address may send a PROXY header to the listener (ProxyProtocol=, TrustedProxies=). */
bool listener_trusts(const Listener *l, const ClientAddress *address);

/* Returns the listener of this name in @listeners (Listener.link), or NULL. */
Listener *listener_find(const List *listeners, Slice name);
