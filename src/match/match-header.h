/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Header= of all routes. The fields of a head are read once, however many routes ask for them: a table of the names that
 * routes mention, made at load time, takes the values of each.
 */

#include "config/config.h"
#include "probe/probe.h"

/*
 * Values of one name that are looked at. A head of 64 KiB has room for thousands, and each would be compared with the
 * pattern of each route.
 */
#define HEADER_VALUES_MAX 100

/* True where @match has no Header=, or @fields satisfy it. Reads all of @fields for each pattern: for single routes. */
bool match_takes_fields(const RouteMatch *match, Slice fields);

typedef struct HeaderIndex HeaderIndex;

int header_index_new(HeaderIndex **ret);
HeaderIndex *header_index_free(HeaderIndex *index);

/* Adds the names that @match mentions; it has to outlive the index. Returns 0 or -ENOMEM. */
int header_index_add(HeaderIndex *index, const RouteMatch *match);

/* After the last header_index_add(). Returns 0 or -ENOMEM. */
int header_index_finish(HeaderIndex *index);

/* A new head, with these fields. They are read when a route with Header= asks for the first time. */
void header_index_begin(HeaderIndex *index, Slice fields);

/* As match_takes_fields() with the fields of the head. @match was added, and has Header=. */
bool header_index_takes(HeaderIndex *index, const RouteMatch *match);
