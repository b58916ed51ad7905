/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The health of the host and of some routes, as the broker tells it. An answer is at most HEALTH_AGE_USEC old, so any
 * number of load balancers costs one question to the broker in that time. A broker that does not answer within
 * HEALTH_TIMEOUT_USEC is not well.
 */

#include "fdpassctl/bus.h"

#define HEALTH_AGE_USEC (250 * USEC_PER_MSEC)
#define HEALTH_TIMEOUT_USEC (500 * USEC_PER_MSEC)

/* Units in one question, and bytes of their names together. */
#define HEALTH_UNITS_MAX 64
#define HEALTH_NAMES_MAX 4096

/* Units that a question names. */
typedef struct HealthQuestion {
        char names[HEALTH_NAMES_MAX]; /* each with a NUL at its end */
        size_t n_names;               /* bytes of @names in use */
        size_t n_units;
} HealthQuestion;

typedef struct HealthAnswer {
        bool is_well;       /* the host takes clients, and the pool of each unit has a worker that can be reached */
        bool is_draining;
        unsigned percent;   /* lowest share of the workers of a unit that can be reached, by weight; 0 to 100 */
        char reason[512];   /* why it is not well, or why the host is drained; a line of text; may be empty */
        char *details;      /* a line for each unit; owned; NULL: none */
} HealthAnswer;

/* Adds a unit. Returns false if it is empty or the question is full. */
bool health_add(HealthQuestion *q, const char *unit, size_t n);

/* Asks the broker. Never fails, because a broker that can't be asked is not well. */
void health_ask(const HealthQuestion *q, HealthAnswer *ret);
void health_answer_done(HealthAnswer *a);

/* Answers of the last moment, by their questions. */
#define HEALTH_CACHE_SIZE 16

typedef struct HealthCache {
        struct {
                HealthQuestion question;
                HealthAnswer answer;
                usec_t at; /* CLOCK_MONOTONIC; 0: the slot is empty */
        } slots[HEALTH_CACHE_SIZE];
        unsigned next;     /* slot that is used next */
} HealthCache;

/* Returns the answer from the cache, or asks. It is valid until the next call. */
const HealthAnswer *health_get(HealthCache *cache, const HealthQuestion *q);
