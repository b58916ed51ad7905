/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Prints the decision about a client and its reasons, as text or as JSON. */

#include "match/match.h"
#include "config/config.h"

/* @result and @reason are those of the method Test of the broker's D-Bus interface. */
typedef struct TestOutcome {
        const char *result;        /* "route", "refused" or "more" */
        const char *reason;        /* for "refused": as decision_reason(); otherwise NULL */
        const RouteConfig *winner; /* first route of the pool; NULL unless the result is "route" */
} TestOutcome;

/* Prints the outcome, and for each route why it takes the client or not. Returns the exit status: 0 for "route". */
int test_print(const TestOutcome *o, const Config *config, const ClientFacts *facts);
