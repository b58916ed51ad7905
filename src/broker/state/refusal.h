/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reasons why a client got no worker. Each has its name in the log, D-Bus, the metrics and fdpassd(8), and its meaning.
 */

#include <stdint.h>

#define REFUSALS(X)                                                                                                    \
        X(NO_ROUTE,     "no-route",      "no route takes it")                                                          \
        X(NO_HOST,      "no-such-host",  "no route takes it, and none has a Host= with the host that it asks for")     \
        X(NO_HTTP2,     "no-http2",      "it speaks HTTP/2 without TLS, and no route takes it")                        \
        X(MALFORMED,    "malformed",     "its first bytes break the rules of their protocol")                          \
        X(HEAD_TIMEOUT, "head-timeout",  "its head was not complete after HeadTimeoutSec=")                            \
        X(EVICTED,      "evicted",       "it waited longest for its head when a place was needed")                     \
        X(SOURCE_FULL,  "source-full",   "its source has MaxClientsPerSource= clients already")                        \
        X(BROKER,       "no-resources",  "the broker lacks memory or descriptors")                                     \
        X(QUEUE_FULL,   "queue-full",    "the queue of its pool is full (MaxQueued=)")                                 \
        X(TIMEOUT,      "timeout",       "it waited for QueueTimeoutSec=")                                             \
        X(WORKER_GONE,  "worker-gone",   "no worker of its pool could be reached for 1 s")                             \
        X(WORKER,       "worker-error",  "the worker rejected it")                                                     \
        X(FLUSHER,      "flusher",       "the flusher refused it")                                                     \
        X(SLOW,         "too-slow",      "its send buffer had no room for the flusher's response for 2 s")             \
        X(STOPPING,     "stopping",      "the broker stops, and no backlog of a worker has room")

typedef enum Refusal {
#define REFUSAL_ENUM(name, text, meaning) REFUSAL_##name, /* meaning */
        REFUSALS(REFUSAL_ENUM)
#undef REFUSAL_ENUM
        _REFUSAL_MAX,
} Refusal;

/* Returns the name, for example "no-route". The string is static. */
const char *refusal_to_string(Refusal why);
