/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the broker counts since its start. Counters only grow. */

#include "broker/state/refusal.h"

typedef struct BrokerCounters {
        uint64_t n_accepted;
        uint64_t n_taken;         /* handoffs with a receipt */
        uint64_t n_unread;        /* handoffs that a worker left unread or declined; the client went on waiting */
        uint64_t n_refused[_REFUSAL_MAX];
        uint64_t n_returned;      /* clients that were handed back */
        uint64_t n_handed_over;   /* clients that were left to the next process */
        uint64_t n_loaded;        /* configurations that were put in effect */
        uint64_t n_gone;          /* clients that went away while they waited */
        uint64_t n_flushed;       /* clients that a flusher wrote to */
        uint64_t n_flush_whole;   /* … and to which it wrote the whole response */
        uint64_t n_flush_waits;   /* … and whose send buffer had no room for it at once */
        uint64_t n_flush_again;   /* handoffs of a flushed client that failed; the next worker gets it as it is */
        uint64_t n_flush_lost;    /* flushed clients that got no worker; their connections were reset */
} BrokerCounters;
