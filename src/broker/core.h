/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All state of the broker. Each member is a struct that one file owns. */

#include "broker/stage/offer.h"
#include "broker/stage/linger.h"
#include "broker/stage/park.h"
#include "broker/state/counters.h"

typedef struct Handback Handback;

/* May more clients come? (admission.c) */
typedef struct Admission {
        size_t n_fds;        /* descriptors for clients */
        size_t max_clients;  /* MaxClients=: clients on their way at once, parked ones not included */
        bool is_paused;      /* listeners are off */
        int pause_error;     /* accept4(2) failed with this, and the timer tries again; 0: there is no place for a client */
        Timer timer;
} Admission;

typedef enum StopPhase {
        STOP_NOT,       /* the broker runs */
        STOP_RECEIPTS,  /* receipts are awaited; workers may still hand clients back */
        STOP_HANDOVER,  /* clients that are left are handed over to the next process */
} StopPhase;

/* The end of the broker (stop.c) */
typedef struct Stop {
        StopPhase phase;
        bool is_late;        /* incomplete heads are refused */
        Timer timer;
        Timer idle_timer;    /* for ExitIdleTimeSec= */
        uint64_t idle_n_accepted; /* BrokerCounters.n_accepted when that was set */
} Stop;

typedef struct Broker {
        Loop loop;
        Diag diag;
        BrokerCounters n;
        void (*on_turn)(void *userdata); /* is called at the end of each turn; NULL: nothing is */
        void *on_turn_userdata;

        ClientTable clients;
        WorkerTable workers;
        SourceTable sources;
        List listeners;          /* Listener.link */
        OwnSockets own_sockets;
        RoutingShared generations;
        Routing *routing;        /* new clients are routed by it */

        HeadBuffer head_buffer;
        Parking parking;
        Flushes flushes;
        PersistentTable persistent;
        Receipts receipts;
        Offers offers;
        Linger linger;
        Inspect inspect;
        Handback *handback;      /* NULL: there is no return socket */

        Admission admission;
        Stop stop;
        Helper *helper;          /* makes calls that may wait; NULL: there is none. Borrowed */
} Broker;

static inline bool broker_is_stopping(const Broker *b) {
        return b->stop.phase != STOP_NOT;
}
