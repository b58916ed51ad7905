/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Header= of all routes. A table has the names that routes mention. It is made at load time. The fields of a head are
 * read into the table once, however many routes ask for them.
 */

#include "config/config.h"
#include "probe/probe.h"

/*
 * Values of one name that are looked at. Without a limit a head of 64 KiB could have thousands, and each is compared
 * with the pattern of each route.
 */
#define HEADER_VALUES_MAX 100

/*
 * True if @match has no Header=, or if @fields match it. Reads @fields once for each name, so it is for single routes
 * only.
 */
bool match_takes_fields(const RouteMatch *match, Slice fields);

typedef struct HeaderIndex HeaderIndex;

int header_index_new(HeaderIndex **ret);
HeaderIndex *header_index_free(HeaderIndex *index);

/* Adds the names that @match mentions. @match has to outlive @index. Returns 0 or -ENOMEM. */
int header_index_add(HeaderIndex *index, const RouteMatch *match);

/* Makes the table. To be called once, after the last header_index_add(). Returns 0 or -ENOMEM. */
int header_index_finish(HeaderIndex *index);

/*
 * Begins a new head. @fields are borrowed until the next call, and read when a route with Header= asks for them first.
 */
void header_index_begin(HeaderIndex *index, Slice fields);

/*
 * As match_takes_fields(), with the fields of the current head. @match has to have Header=, and must have been added.
 */
bool header_index_takes(HeaderIndex *index, const RouteMatch *match);
