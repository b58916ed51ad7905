/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The broker: listeners on one side, workers on the other, clients on their way between them.
 *
 *     listener.c ── accept ──▶ head.c ── peek, match.c ──▶ pool.c ── balance.c ──▶ offer.c ── send ──▶ (worker)
 *                                │ ▲                        │  ▲ queue                                │   │
 *          refusal.c ◀───────────┴─┼────────────────────────┘  │                                      │   │
 *          an answer               │                           └─ reset: again ◀── receipts.c ◀───────┘   │
 *                                  └── handback.c ◀────────────── done with a request, or for another ────┘
 *
 * One thread, one loop (loop.c), no state beyond this struct. Nothing that a client or a worker does is an
 * error of the broker's: such things are counted, logged by diag.c, and end in a handoff or a refusal.
 */

#include <systemd/sd-event.h>
#include <time.h>

#include "basic/list.h"
#include "basic/log.h"
#include "broker/client.h"
#include "broker/judge.h"
#include "broker/pace.h"
#include "broker/park.h"
#include "broker/receipts.h"
#include "broker/source.h"
#include "broker/timer.h"
#include "broker/watch.h"
#include "broker/worker.h"
#include "config/config.h"
#include "handoff/socket-path.h"
#include "probe/probe.h"

typedef struct Handback Handback;
typedef struct Listener Listener;
typedef struct Routing Routing;

/* So many connections are kept at once. They are among the descriptors that are not for clients. */
#define CHANNELS_MAX 64

typedef struct ChannelTable {
        Channel *slots[CHANNELS_MAX];
        List full;           /* Channel.batch_link: connections with clients to send */
        List settled;        /* Client.second_link: clients whose handoff has an outcome, in Client.receipt */
        List ended;          /* Channel.link: closed connections, freed at the end of the turn */
} ChannelTable;

typedef struct BrokerCounters {
        uint64_t n_accepted;
        uint64_t n_handed;            /* with a receipt */
        uint64_t n_reset;             /* handoffs that a worker left unread; the client went on waiting */
        uint64_t n_refused[_REFUSAL_MAX];
        uint64_t n_returned;          /* clients that came back */
        uint64_t n_passed_on;         /* to the next process */
        uint64_t n_loaded;            /* configurations that were put in effect */
        uint64_t n_gone;              /* clients that went away while they waited */
        uint64_t n_flushed;           /* clients that a flusher wrote to */
        uint64_t n_flush_whole;       /* of them, those for whom that was the whole response */
        uint64_t n_flush_waits;       /* those that had no room for it at once */
        uint64_t n_flush_again;       /* handoffs that failed when the client was flushed: the next worker gets it so */
        uint64_t n_flush_lost;        /* clients that got no worker after that: their connections were reset */
} BrokerCounters;

/* What happened; see observe.h. */
typedef enum EventKind {
        EVENT_HANDED,      /* a worker has the client */
        EVENT_UNREAD,      /* it left the client unread, */
        EVENT_DECLINED,    /* or did not want it: it is handed out again */
        EVENT_REFUSED,     /* Client.refusal says why */
        EVENT_WORKER_GONE,
        EVENT_WORKER_BACK,
        _EVENT_MAX,
} EventKind;

typedef void (*Observer)(void *userdata, EventKind kind, const Client *c, const Route *route);

typedef struct Broker {
        Log *log;            /* borrowed */
        sd_event *event;
        usec_t now;          /* of CLOCK_MONOTONIC, when the events of this turn were taken */
        Pace pace;

        List listeners;      /* Listener.link */
        FileId *own_sockets; /* files of the sockets that this process listens on; see reach.h */
        size_t n_own_sockets;
        ClientTable clients;
        Routing *routing;    /* what new clients are routed by */
        List retired;        /* Routing.link: unreferenced generations, freed at the end of the turn */
        WorkerTable workers;
        uint32_t instance;   /* a random number: with Client.id it names a client among all processes */
        ChannelTable channels;
        Watch watch;
        Helper *helper;      /* makes the calls that may wait; NULL: none does. Borrowed */
        Judge judge;
        Receipts receipts;
        SourceTable sources;
        List refused;        /* Client.link: those that may read their answer, the earliest deadline first */
        size_t n_refused_held;
        Timer refused_timer;
        List flushing;       /* Client.link: those that have no room for what a flusher wrote, the first that came first */
        Timer flush_timer;
        char date[32];       /* as HTTP has it, at */
        time_t date_at;
        uint8_t *scratch;    /* the head that is looked at: peeked bytes stay in the kernel. See broker_scratch() */
        size_t scratch_size; /* at least any listener's MaxHeadSize= */
        uint64_t seen_id;    /* Client.id of the one whose head is in there, and was found to be, */
        Probe seen;          /* this; 0: nobody's */
        List waiting;        /* Pool.waiting_link: pools with clients in their queues, of any generation */

        bool stale;          /* the last reload failed: the units say something else than what holds */
        Handback *handback;  /* NULL: nobody can hand a client back */
        Parking parking;
        size_t n_parked;
        size_t max_parked;
        usec_t park_timeout_usec;

        LogHandoffs log_handoffs;
        size_t n_fds;        /* descriptors for clients, */
        size_t max_clients;  /* of whom so many may be on their way: then accept is paused */

        bool paused;                /* listeners are off: the table is full, or */
        int pause_error;            /* accepting failed with this, and is tried again by the timer */
        Timer pause_timer;

        usec_t exit_idle_usec;      /* USEC_INFINITY: never */
        uint64_t idle_n_accepted;   /* n.n_accepted when the idle timer was set */
        Timer idle_timer;

        bool stopping;
        bool stop_is_late;          /* heads are not waited for any more */
        Timer stop_timer;
        bool left_to_next;          /* what is handed back from now on is for the next process */

        RateLimit pauses;
        bool pause_told;            /* the log has a line about the pause that we are in */
        RateLimit no_resources;
        RateLimit returns_refused;
        RateLimit helper_hangs;
        bool handover_told;         /* the log has a line about clients that can't be left to the next process */
        Timer diag_timer;           /* on while a line's count is held back (diag.c) */

        BrokerCounters n;
        Observer observer;   /* NULL: nobody watches. It is called in the middle of things, and only takes notes. */
        void *observer_userdata;
        void (*on_turn)(void *userdata); /* at the end of each turn; NULL: nobody wants to know */
        void *on_turn_userdata;
} Broker;

/*
 * @n_fds is how many descriptors the process may have (RLIMIT_NOFILE): the table of clients is made to fit
 * them, with a reserve. @log is borrowed.
 */
int broker_new(sd_event *event, Log *log, size_t n_fds, Broker **ret);
Broker *broker_free(Broker *b);
DEFINE_CLEANUP(Broker *, broker_free);

/* From now on @helper, which is borrowed, makes the calls that may wait. Returns 0 or a negative errno. */
int broker_set_helper(Broker *b, Helper *helper);

/*
 * Accepts clients from @fd, a listening stream socket, which is consumed on success, under @name. All
 * listeners come before the first broker_set_config().
 */
int broker_add_listener(Broker *b, const char *name, int fd);

/*
 * Routes new clients by @config, which is consumed on success. Clients that are under way keep the route
 * they have. On failure everything stays as it was.
 */
int broker_set_config(Broker *b, Config *config);

/*
 * One turn of the event loop: what has happened, or else what does within @timeout, or USEC_INFINITY. sd-event's sources
 * have their turns in it. Returns how much there was, 0 for nothing, also before @timeout, or a negative errno.
 */
int broker_turn(Broker *b, usec_t timeout);

/* Turns until sd_event_exit(), and returns its code. */
int broker_run(Broker *b);

/*
 * Accepts no more, hands out what it holds, and ends the event loop (with 0) when the last client is gone or
 * STOP_WAIT_USEC have passed.
 */
void broker_stop(Broker *b);

/* For the files of this folder: */

usec_t broker_now(const Broker *b);

/* Turns it on, and owns it; where that fails @l is freed, without its descriptor. */
int broker_link_listener(Broker *b, Listener *l);

/* Turns on the listeners that are wanted. May fail for want of memory, or of watches (epoll_ctl(2), ENOSPC). */
int broker_enable_listeners(Broker *b);

/*
 * Ends a turn, or a part of it: sends what was put together for workers, settles outcomes, serves queues, and frees what
 * has no reference left. Nothing is freed earlier, because the functions of the turn may still use it.
 */
void broker_finish_turn(Broker *b);

/* While it stops: is there anybody left? For the end of each turn. */
void broker_stop_if_settled(Broker *b);

/* How many more clients may come. */
size_t broker_room(const Broker *b);

/* NULL where there is no such. */
Listener *broker_find_listener(const Broker *b, Slice name);

/* Takes a client up: client_new() has succeeded. */
void broker_admit(Broker *b, Client *c);

/* Counts the client for its source; false where that has its share already. */
bool broker_count_source(Broker *b, Client *c);

/* Has the source of this client, which is counted, no more clients than MaxClientsPerSource=? */
bool broker_source_has_room(const Broker *b, const Client *c);

/* Ends a client without a word: closes what is left of it and lets go of its routes. See refusal.h for a word. */
void broker_drop(Broker *b, Client *c);

/* The buffer for heads, of which nobody's is in there from now on. */
uint8_t *broker_scratch(Broker *b);

/* What the head of this client is: as it was seen a moment ago, or looked at now. NULL: none that is known, or whole. */
const Probe *broker_probe(Broker *b, const Client *c);

/* Turns the listeners off: the table is full, or (@error < 0) accepting failed for want of something. */
void broker_pause(Broker *b, int error);
