/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Counts the new connections of each source for RateLimitPerSource= of one listener. Sources are those of source.h.
 *
 * The last interval is counted in eighths. So a connection counts for at least seven eighths of the interval, and at
 * most for all of it. A refused connection does not count. No timer runs: a source is brought up to date when it
 * connects.
 *
 * The table has a fixed size of 4 MiB, of which the kernel provides the pages that were used. If a source finds no
 * place, it takes the place of the source with the fewest connections. So a flood from many networks does not end the
 * count of a source near its limit.
 */

#include "broker/state/source.h"
#include "config/config.h"

/* Bytes that source_rate_to_text() writes at most. */
#define SOURCE_RATE_TEXT_MAX 40

/*
 * Makes a table in *rates if there is none. It allows any number of connections before source_rates_set(). Returns 0,
 * -ENOMEM, or an error of getrandom(2).
 */
int source_rates_reserve(SourceRates **rates);

/* Sets the limit. A table has to be there, unless @rate has no limit: then a table is freed. */
void source_rates_set(SourceRates **rates, const SourceRate *rate);

/*
 * Counts a new connection of @address at @now (µs, CLOCK_MONOTONIC). Returns false, and does not count it, if its
 * source has made as many as the limit in the last interval. NULL, and a client that does not come by IP: true.
 */
bool source_rates_count(SourceRates *rates, const ClientAddress *address, usec_t now);

SourceRates *source_rates_free(SourceRates *rates);

/* Writes "100/10s", or "100" for a limit without an interval. Returns @ret. */
const char *source_rate_to_text(const SourceRate *rate, char ret[static SOURCE_RATE_TEXT_MAX]);
