/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/stats.h"

#include "basic/array.h"
#include "broker/state/worker.h"

static int stats_compare_unit(const void *unit, const void *member) {
        return strcmp(unit, (*(RouteStats *const *) member)->unit);
}

/*
 * Returns the index of @unit in Worker.stats, or the index where it has to be inserted. The search is a binary one,
 * because many units may have routes to one worker.
 */
static size_t stats_find_index(const Worker *w, const char *unit) {
        return array_find_place(unit, w->stats, w->n_stats, sizeof(*w->stats), stats_compare_unit);
}

static int stats_add(Worker *w, size_t i, const char *unit) {
        RouteStats *stats;

        if (!ARRAY_GROW(w->stats, w->n_stats))
                return -ENOMEM;

        stats = calloc(1, sizeof(*stats));
        if (!stats)
                return -ENOMEM;

        stats->worker = w;
        stats->unit = strdup(unit);
        if (!stats->unit) {
                free(stats);
                return -ENOMEM;
        }

        memmove(w->stats + i + 1, w->stats + i, (w->n_stats - i) * sizeof(*w->stats));
        w->stats[i] = stats;
        w->n_stats++;
        return 0;
}

int route_stats_get(Worker *w, const char *unit, RouteStats **ret) {
        size_t i = stats_find_index(w, unit);
        int r;

        if (i == w->n_stats || !streq(w->stats[i]->unit, unit)) {
                r = stats_add(w, i, unit);
                if (r < 0)
                        return r;
        }

        w->stats[i]->n_ref++;
        *ret = w->stats[i];
        return 0;
}

/* The line of the worker is about another route to it from now on, because its count would be lost otherwise. */
static void stats_leave_line(Worker *w, const RouteStats *stats) {
        if (w->resets.subject != stats)
                return;

        if (w->n_stats > 0)
                w->resets.subject = w->stats[0];
        else
                held_line_done(&w->resets);
}

void route_stats_put(RouteStats *stats) {
        Worker *w;
        size_t i;

        if (!stats || --stats->n_ref > 0)
                return;

        w = stats->worker;
        i = stats_find_index(w, stats->unit);
        w->n_stats--;
        memmove(w->stats + i, w->stats + i + 1, (w->n_stats - i) * sizeof(*w->stats));
        stats_leave_line(w, stats);

        connection_route_put(stats->connections);
        free(stats->unit);
        free(stats);
}
