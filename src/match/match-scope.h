/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which next requests of a client its worker may answer without asking: the scope that goes with the client. */

#include "handoff/scope.h"
#include "match/match.h"

/*
 * Writes the scope of a client of HTTP/1 that the routes of number @pool take, all with the settings @match. @facts are
 * those that stay the same for all requests on its connection: listener, source, host and is_tls. Others are ignored.
 *
 * A path is covered if these routes get every request for it and the host, whatever its method and fields are. The work
 * has a bound: with more than 64 values of Path= at or below its own the scope asks. So it does if it does not fit, if it
 * would cover nothing, and if one of these values has an escape of a character that needs none ("%2b").
 *
 * *ret_by_source tells whether another source might have another scope.
 */
void match_scope_make(const MatchIndex *index, const RouteMatch *match, size_t pool, const ClientFacts *facts,
                      uint32_t generation, ScopeWriter *ret, bool *ret_by_source);
