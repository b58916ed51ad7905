/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Translates the result of a probe into the facts that routes ask for. */

#include "match/match.h"

/*
 * Adds to @f what @probe found. The verdict of @probe has to be PROBE_MATCH. @f borrows from @probe, which has to
 * outlive it.
 */
void facts_add_probe(ClientFacts *f, const Probe *probe);
