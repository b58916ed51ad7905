/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "match/match-path.h"

#include "probe/http-piece.h"
#include "probe/http.h"

/*
 * The place of readings that begin with "//" and have only empty segments. "//" begins an authority in RFC 3986 4.2,
 * and some programs give a target to a parser of URLs. So the path may begin after the next segment. No Path= is below
 * this place.
 */
#define DOUBLE_SLASH SLICE_LITERAL("/")

/* The readings of the part of a path that was looked at. */
typedef struct MatchWalk {
        const MatchPaths *hosts;
        size_t n_hosts;
        bool has_long;      /* a Path= may have a segment that is too long for a piece */

        MatchPlaces begun;  /* a segment begins here */
        MatchPlaces inside; /* a segment goes on here, and the place already has it */
        MatchPlaces ended;  /* the path ended before */
        bool is_lost;       /* there are too many places, or a reading may lie anywhere */
} MatchWalk;

static void match_path_add(MatchWalk *w, MatchPlaces *places, Slice path, size_t depth_min, size_t depth_max) {
        for (size_t i = 0; i < places->n; i++) {
                MatchPlace *p = &places->items[i];

                if (slice_equal(p->path, path)) {
                        p->depth_min = MIN(p->depth_min, depth_min);
                        p->depth_max = MAX(p->depth_max, depth_max);
                        return;
                }
        }

        if (places->n == MATCH_PLACES_MAX) {
                w->is_lost = true;
                return;
        }

        places->items[places->n++] = (MatchPlace){ path, depth_min, depth_max };
}

static void match_path_add_all(MatchWalk *w, MatchPlaces *places, const MatchPlaces *more) {
        for (size_t i = 0; i < more->n; i++)
                match_path_add(w, places, more->items[i].path, more->items[i].depth_min, more->items[i].depth_max);
}

/* Adds the places that are reached by a segment that is in no Path=. */
static void match_path_add_below(MatchWalk *w, MatchPlaces *places, const MatchPlaces *from) {
        for (size_t i = 0; i < from->n; i++) {
                const MatchPlace *p = &from->items[i];

                match_path_add(w, places, p->path, p->depth_min + 1, p->depth_max + 1);
                if (p->depth_min == 0 && slice_equal(p->path, DOUBLE_SLASH))
                        match_path_add(w, places, (Slice){}, 0, 0);
        }
}

/* Adds the place to which ".." leads from @p. Above the root is the root. */
static void match_path_add_above(MatchWalk *w, MatchPlaces *places, const MatchPlace *p) {
        Slice path = p->path;

        if (p->depth_max > 0)
                match_path_add(w, places, path, MAX(p->depth_min, (size_t) 1) - 1, p->depth_max - 1);
        if (p->depth_min > 0)
                return;
        if (slice_equal(path, DOUBLE_SLASH))
                match_path_add(w, places, path, 0, 0);

        while (path.n > 0 && path.p[path.n - 1] != '/')
                path.n--;
        match_path_add(w, places, slice_head(path, MAX(path.n, (size_t) 1) - 1), 0, 0);
}

/* True if @path lies below @place. *ret is what follows the slash after @place. */
static bool match_path_is_below(Slice path, Slice place, Slice *ret) {
        if (path.n <= place.n || !slice_has_prefix(path, place) || path.p[place.n] != '/')
                return false;

        *ret = slice_skip(path, place.n + 1);
        return true;
}

/*
 * Compares the path of @e with those that have the segment @text after @place. Returns 0 if it has this segment when
 * decoded.
 */
static int match_path_compare_entry(const MatchEntry *e, Slice place, Slice text) {
        Slice path = slice_from_string(e->path), rest;

        if (match_path_is_below(path, place, &rest))
                return http_path_compare_segments(rest, text);

        return slice_equal(path, place) || http_path_compare(path, place) < 0 ? -1 : 1;
}

/* Returns the number of the first entry that is not less than the segment @text after @place. */
static size_t match_path_find_entry(const MatchPaths *paths, Slice place, Slice text) {
        size_t begin = 0, end = paths->n;

        while (begin < end) {
                size_t i = begin + (end - begin) / 2;

                if (match_path_compare_entry(&paths->entries[i], place, text) < 0)
                        begin = i + 1;
                else
                        end = i;
        }

        return begin;
}

/* Returns the number of the first entry from @i on that does not lie at or below @place, which entry @i does. */
static size_t match_path_skip_place(const MatchPaths *paths, size_t i, Slice place) {
        size_t begin = i, end = paths->n;

        while (begin < end) {
                size_t k = begin + (end - begin) / 2;

                if (http_path_has_prefix(slice_from_string(paths->entries[k].path), place))
                        begin = k + 1;
                else
                        end = k;
        }

        return begin;
}

/*
 * Adds the places below @place whose last segment is @text when decoded. Administrators may write such a segment in
 * several ways: "caf%C3%A9", "caf%c3%a9". Returns true if one of the places is written as in @raw.
 */
static bool match_path_add_children(MatchWalk *w, MatchPlaces *places, Slice place, Slice text, Slice raw) {
        bool is_exact = false;

        for (size_t h = 0; h < w->n_hosts; h++) {
                const MatchPaths *paths = &w->hosts[h];
                size_t i = match_path_find_entry(paths, place, text);

                while (!w->is_lost && i < paths->n && match_path_compare_entry(&paths->entries[i], place, text) == 0) {
                        Slice path = slice_from_string(paths->entries[i].path), segment = slice_skip(path, place.n + 1);
                        const uint8_t *slash = memchr(segment.p, '/', segment.n);

                        if (slash)
                                segment.n = (size_t) (slash - segment.p);
                        path.n = place.n + 1 + segment.n;

                        match_path_add(w, places, path, 0, 0);
                        is_exact = is_exact || slice_equal(segment, raw);
                        i = match_path_skip_place(paths, i, path);
                }
        }

        return is_exact;
}

/* Adds the places that are reached from @p by the segment @text, which was sent as @raw. */
static void match_path_add_segment(MatchWalk *w, MatchPlaces *places, const MatchPlace *p, Slice text, Slice raw) {
        size_t skip = 0;

        if (slice_equal(text, SLICE_LITERAL("..")))
                match_path_add_above(w, places, p);

        /* Some servers ignore the segment. */
        if (text.n == 0 || slice_equal(text, SLICE_LITERAL("."))) {
                match_path_add(w, places, p->path, p->depth_min, p->depth_max + 1);
                if (p->depth_min == 0 && p->path.n == 0 && text.n == 0)
                        match_path_add(w, places, DOUBLE_SLASH, 0, 0);
                return;
        }

        if (p->depth_min == 0 && slice_equal(p->path, DOUBLE_SLASH))
                match_path_add(w, places, (Slice){}, 0, 0);
        else if (p->depth_min == 0 && match_path_add_children(w, places, p->path, text, raw))
                skip = 1;

        /* The segment is in no Path=, or it is in one only if it is decoded. */
        if (p->depth_max >= skip)
                match_path_add(w, places, p->path, MAX(p->depth_min, skip) + 1, p->depth_max + 1);
}

static void match_path_add_segments(MatchWalk *w, MatchPlaces *places, const MatchPlaces *from, Slice text, Slice raw) {
        for (size_t i = 0; i < from->n; i++)
                match_path_add_segment(w, places, &from->items[i], text, raw);
}

static bool match_path_has_children(const MatchWalk *w, Slice place) {
        for (size_t h = 0; h < w->n_hosts; h++) {
                const MatchPaths *paths = &w->hosts[h];
                size_t i = match_path_find_entry(paths, place, SLICE_LITERAL("\1"));
                Slice rest;

                if (i < paths->n && match_path_is_below(slice_from_string(paths->entries[i].path), place, &rest))
                        return true;
        }

        return false;
}

/* The piece may be any segment, also "..", or no segment. */
static void match_path_add_unknown(MatchWalk *w, MatchPlaces *places, const MatchPlaces *from) {
        for (size_t i = 0; i < from->n; i++) {
                const MatchPlace *p = &from->items[i];

                if (p->depth_min == 0 && match_path_has_children(w, p->path))
                        w->is_lost = true;

                match_path_add(w, places, p->path, p->depth_min, p->depth_max + 1);
                match_path_add_above(w, places, p);
        }
}

/* Adds the places that are reached by the first @n bytes of the piece. SIZE_MAX: nothing ends there. */
static void match_path_add_cut(MatchWalk *w, MatchPlaces *places, const HttpPiece *piece, size_t n) {
        if (n <= HTTP_PIECE_MAX)
                match_path_add_segments(w, places, &w->begun, slice_head(piece->text, n), (Slice){});
}

/* Adds the places that are reached by the piece as a whole segment. */
static void match_path_add_piece(MatchWalk *w, MatchPlaces *places, const HttpPiece *piece) {
        if (piece->is_unknown || (piece->is_long && w->has_long))
                match_path_add_unknown(w, places, &w->begun);
        else if (piece->is_long)
                match_path_add_below(w, places, &w->begun);
        else
                match_path_add_segments(w, places, &w->begun, piece->text, piece->raw);
}

/* Follows all readings over one piece. */
static void match_path_step(MatchWalk *w, const HttpPiece *piece) {
        MatchPlaces next = {}, cut = {};

        /* Some servers remove parameters, of the segment or of all that follows. */
        match_path_add_cut(w, &cut, piece, piece->n_name);

        match_path_add_piece(w, &next, piece);
        match_path_add_all(w, &next, &cut);
        match_path_add_all(w, &next, &w->inside);

        if (piece->end == HTTP_PIECE_LAST || MIN(piece->n_name, MIN(piece->n_query, piece->n_line)) != SIZE_MAX)
                match_path_add_all(w, &w->ended, &next);
        match_path_add_cut(w, &w->ended, piece, piece->n_query);
        match_path_add_cut(w, &w->ended, piece, piece->n_line);

        /* A segment that goes on is in no Path=, because it has a slash or backslash inside. */
        if (piece->end == HTTP_PIECE_MAYBE_SLASH) {
                match_path_add_all(w, &w->inside, &cut);
                match_path_add_below(w, &w->inside, &w->begun);
        } else
                w->inside.n = 0;

        w->begun = next;
}

bool match_path_find_places(const MatchPaths *hosts, size_t n_hosts, size_t path_max, Slice path, MatchPlaces *ret) {
        MatchWalk w = { .hosts = hosts, .n_hosts = n_hosts, .has_long = path_max > HTTP_PIECE_MAX, .begun.n = 1 };
        HttpPieces pieces = { .rest = slice_skip(path, 1) };
        HttpPiece piece;

        for (size_t n = 0; !w.is_lost && http_next_piece(&pieces, &piece); n++) {
                if (n == MATCH_PIECES_MAX)
                        return false;
                match_path_step(&w, &piece);
        }

        *ret = w.ended;
        return !w.is_lost;
}
