/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From what a probe found to what routes ask for. */

#include "match/match.h"

/* Adds what @probe, which has to be a MATCH and outlive @f, knows of the client. */
void facts_add_probe(ClientFacts *f, const Probe *probe);
