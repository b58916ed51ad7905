/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The readings of a path, one for each way in which servers treat it before they look at its segments.
 *
 * Some servers decode escapes, once or more. Some take a backslash or "%2f" for a slash, join slashes, remove
 * parameters, or resolve "..". They do so in different orders, so the number of readings grows exponentially with the
 * length of the path. Only the place of a reading matters: the longest beginning of a Path= of the client's hosts that
 * it lies at or below. There are few places, so all readings are followed at once.
 *
 * More places may be found than servers have readings for, and never fewer.
 */

#include "match/match-rank.h"
#include "probe/slice.h"

/* The entries of a host that have a path, in the order of http_path_compare(). Borrowed. */
typedef struct MatchPaths {
        const MatchEntry *entries;
        size_t n;
} MatchPaths;

/* Largest number of places, and of pieces of a path. A path with more is refused if one of the hosts has Path=. */
#define MATCH_PLACES_MAX 16
#define MATCH_PIECES_MAX 256

/* Readings that lie at or below one Path=, or below the beginning of one. */
typedef struct MatchPlace {
        Slice path;        /* the beginning of a Path= without the slash at the end; empty: the root */
        size_t depth_min;  /* number of segments that the readings have below @path, as far as they were followed */
        size_t depth_max;
} MatchPlace;

typedef struct MatchPlaces {
        MatchPlace items[MATCH_PLACES_MAX];
        size_t n;
} MatchPlaces;

/*
 * Finds the places of all readings of @path, which begins with '/', among the paths of @n_hosts hosts. @path_max: length
 * of the longest of these paths, or more. Returns false if there are too many places, or if a reading may lie anywhere.
 */
bool match_path_find_places(const MatchPaths *hosts, size_t n_hosts, size_t path_max, Slice path, MatchPlaces *ret);
