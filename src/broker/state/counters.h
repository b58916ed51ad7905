/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Counters of the broker since its start. They only grow. */

#include "broker/state/refusal.h"

typedef struct BrokerCounters {
        uint64_t n_accepted;
        uint64_t n_taken;         /* handoffs with a receipt */
        uint64_t n_unread;        /* handoffs that a worker left unread or declined; the client went on waiting */
        uint64_t n_refused[_REFUSAL_MAX];
        uint64_t n_returned;      /* clients that were handed back */
        uint64_t n_handed_over;   /* clients that were handed over to the next process */
        uint64_t n_loaded;        /* configurations that were put in effect */
        uint64_t n_gone;          /* clients that left while they waited */
        uint64_t n_flushed;       /* clients to which a flusher wrote */
        uint64_t n_flush_whole;   /* clients to which a flusher wrote the whole response */
        uint64_t n_flush_waits;   /* clients whose send buffer had no room for the flusher's bytes at once */
        uint64_t n_flush_again;   /* handoffs of flushed clients that failed; no client is flushed twice */
        uint64_t n_flush_lost;    /* flushed clients that got no worker; their connections were reset */
} BrokerCounters;
