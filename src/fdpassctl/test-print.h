/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Prints the decision about a client and its reasons, as text or as JSON. */

#include "config/config.h"
#include "fdpassctl/test-request.h"
#include "fdpassctl/value.h"
#include "match/decide.h"

/*
 * Prints a dictionary as the method Test of the broker's D-Bus interface returns it. Returns the exit status: 0 if a
 * route takes the client.
 */
int test_print(const Value *o);

/*
 * Does the same for a decision by the units, and prints for each route why it takes the client or not. @index is of the
 * routes of @config.
 */
int test_print_decision(const Decision *d, const Config *config, const MatchIndex *index, const TestRequest *request);
