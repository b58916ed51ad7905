/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The scope of a client: the next requests on its connection that are its worker's own. handoff/protocol.h has the
 * format. Pure functions: no allocation, no I/O, no state. The preload links them.
 */

#include "handoff/protocol.h"
#include "probe/http.h"
#include "probe/slice.h"

/* A decoded scope. The slices point into the value that was decoded. */
typedef struct Scope {
        uint32_t generation; /* of the broker's routes */
        bool asks;           /* no request is covered; the other members below are not used */
        bool is_drained;     /* the client goes back without a next request, too; beside @asks */
        Slice host;          /* in lower case, without port; n is 0: the request had none */
        Slice items;         /* all items as they came, for scope_covers(); each is known to be whole */
} Scope;

/*
 * Decodes the value of a SCOPE TLV. Returns false if it is malformed: *ret asks then, so that a caller may ignore the
 * result. A flag or a kind of item that is not known is no error, but the scope asks. An empty @value is malformed.
 */
bool scope_decode(Slice value, Scope *ret);

/*
 * True if @bytes, which are the next on the connection, begin with the whole head of a request that is the worker's
 * own. False means to hand the client back: the head is not whole, not understood, or another route may be meant. Reads
 * the head as strictly as the broker (probe/http.h). Bytes after the head are not looked at.
 */
bool scope_covers(const Scope *scope, Slice bytes);

/* The same for a whole head that probe_http1() has read. */
bool scope_covers_request(const Scope *scope, const HttpFacts *facts);

/* A scope being encoded. */
typedef struct ScopeWriter {
        uint8_t bytes[FDPASS_SCOPE_MAX];
        size_t n;
} ScopeWriter;

/* Begins a scope without items. */
void scope_begin(ScopeWriter *w, uint32_t generation);

/* Adds an item of @kind. Returns false if @text has more than 255 bytes, or the scope is full: then call scope_ask(). */
bool scope_add(ScopeWriter *w, uint8_t kind, Slice text);

/* Begins a scope that asks, and has no items. */
void scope_ask(ScopeWriter *w, uint32_t generation);

static inline Slice scope_value(const ScopeWriter *w) {
        return (Slice){ w->bytes, w->n };
}
