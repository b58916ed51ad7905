/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All state of the broker. Each member is a struct that one file owns, and has the name of that file or of its stage.
 */

#include "broker/stage/offer.h"
#include "broker/stage/linger.h"
#include "broker/stage/park.h"
#include "broker/stage/way-back.h"
#include "broker/state/counters.h"

typedef struct Handback Handback;
typedef struct Live Live;

/* State of admission.c. */
typedef struct Admission {
        size_t n_fds;        /* descriptors for clients */
        size_t max_clients;  /* MaxClients=: largest number of clients, parked ones not counted */
        bool is_paused;      /* listeners are off */
        usec_t paused_at;    /* since when, CLOCK_MONOTONIC; valid with @is_paused */
        int pause_error;     /* negative errno of accept4(2), and the timer tries again; 0: no place is free */
        Timer timer;
} Admission;

typedef enum StopPhase {
        STOP_NOT,       /* the broker does not stop */
        STOP_RECEIPTS,  /* receipts are awaited, and workers may hand clients back */
        STOP_HANDOVER,  /* other clients are handed over to the next process */
} StopPhase;

/* Bytes of the reason why the host is drained. */
#define HOST_DRAIN_REASON_MAX ((size_t) 255)

/* State of host-drain.c. */
typedef struct HostDrain {
        bool is_on;
        char reason[HOST_DRAIN_REASON_MAX + 1]; /* a line of text; may be empty */
} HostDrain;

/* State of stop.c. */
typedef struct Stop {
        StopPhase phase;
        bool is_late;        /* clients with an incomplete head were refused */
        Timer timer;
        Timer idle_timer;    /* for ExitIdleTimeSec= */
        uint64_t idle_n_accepted; /* BrokerCounters.n_accepted when @idle_timer was set */
} Stop;

typedef struct Broker {
        Loop loop;
        Diag diag;
        BrokerCounters n;
        void (*on_turn)(void *userdata); /* is called at the end of each turn; NULL: none */
        void *on_turn_userdata;

        ClientTable clients;
        WorkerTable workers;
        SourceTable sources;
        ProxiedTable proxied;
        List listeners;          /* Listener.link */
        OwnSockets own_sockets;
        SealKey seal_key;
        RoutingShared generations;
        Routing *routing;        /* generation of routes for new clients */

        HeadBuffer head_buffer;
        Parking parking;
        Flushes flushes;
        PersistentTable persistent;
        Receipts receipts;
        WaysBack ways_back;
        Offers offers;
        Linger linger;
        Inspect inspect;
        Handback *handback;      /* NULL: there is no return socket */
        Live *live;              /* live connections; NULL: there is no socket with the kernel's reports */

        Admission admission;
        HostDrain host_drain;
        Stop stop;
        Helper *helper;          /* makes calls that may wait; NULL: there is none. Borrowed */
} Broker;

static inline bool broker_is_stopping(const Broker *b) {
        return b->stop.phase != STOP_NOT;
}
