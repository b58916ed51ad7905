/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reasons why a client got no worker: X(CONSTANT, word, sentence). The word is for programs: D-Bus, metrics, fields of
 * the journal. The sentence says to an administrator what is wrong. It has neither a capital letter nor a full stop,
 * because it stands inside of other sentences. fdpass-refusals(7) has a table of all.
 */

#include <stdbool.h>
#include <stdint.h>

#include "probe/verdict.h"

#define REFUSALS(X)                                                                                                    \
        X(NO_ROUTE,     "no-route",     "no route takes such a client")                                                \
        X(NO_HOST,      "no-such-host", "no route has the host of the client in Host=")                                \
        X(NO_HTTP2,     "no-http2",     "the client speaks HTTP/2 without TLS, and no route takes it")                 \
        X(UNTRUSTED,    "untrusted",    "ProxyProtocol=require takes clients from TrustedProxies= only")               \
        X(ADDRESS_LOST, "address-lost", "its worker handed it back, and its address of the PROXY header is not known")  \
        X(MALFORMED,    "malformed",    "the first bytes break the rules of their protocol")                           \
        X(HEAD_TIMEOUT, "head-timeout", "the head was not complete after HeadTimeoutSec=")                             \
        X(EVICTED,      "evicted",      "MaxClients= is reached, and clients without a complete head go first")        \
        X(SOURCE_FULL,  "source-full",  "the address of the client has MaxClientsPerSource= clients in the broker")    \
        X(SOURCE_RATE,  "source-rate",  "the client's address makes more connections than RateLimitPerSource= allows") \
        X(SOURCE_BUSY,  "source-connections", "the client's address has MaxConnectionsPerSource= connections")         \
        X(BROKER,       "no-resources", "the broker lacks memory or descriptors")                                      \
        X(QUEUE_FULL,   "queue-full",   "the queue of the pool is full (MaxQueued=)")                                  \
        X(TIMEOUT,      "timeout",      "no worker took the client within QueueTimeoutSec=")                           \
        X(WORKER_GONE,  "worker-gone",  "no worker of the pool could be reached for 1 s")                              \
        X(WORKER,       "worker-error", "the worker rejected the client, or three workers died with it")               \
        X(FLUSHER,      "flusher",      "the flusher refused the client")                                              \
        X(SLOW,         "too-slow",     "the client had no room for the flusher's response for 2 s")                   \
        X(STOPPING,     "stopping",     "the broker stops, and no backlog of a worker has room")

typedef enum Refusal {
#define REFUSAL_ENUM(name, word, sentence) REFUSAL_##name, /* sentence */
        REFUSALS(REFUSAL_ENUM)
#undef REFUSAL_ENUM
        _REFUSAL_MAX,
} Refusal;

/* Returns the word, for example "no-route". The string is static. */
const char *refusal_to_string(Refusal why);

/* Returns the sentence, for example "no route takes such a client". The string is static. */
const char *refusal_sentence(Refusal why);

/* Does the same for a refusal with its detail. @reason is PROBE_REASON_NONE, unless @why is REFUSAL_MALFORMED. */
const char *refusal_detail_to_string(Refusal why, ProbeReason reason);
const char *refusal_detail_sentence(Refusal why, ProbeReason reason);

/* True if clients are refused because a limit on their number, or on memory and descriptors, is reached. */
bool refusal_is_limit(Refusal why);
