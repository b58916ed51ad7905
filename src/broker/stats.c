/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stats.h"

#include "broker/worker.h"

static RouteStats *find(const Worker *w, const char *unit) {
        LIST_FOREACH(i, &w->stats) {
                RouteStats *stats = CONTAINER_OF(i, RouteStats, link);

                if (streq(stats->unit, unit))
                        return stats;
        }

        return NULL;
}

int route_stats_get(Worker *w, const char *unit, RouteStats **ret) {
        RouteStats *stats = find(w, unit);

        if (!stats) {
                stats = calloc(1, sizeof(*stats));
                if (!stats)
                        return -ENOMEM;

                stats->unit = strdup(unit);
                if (!stats->unit) {
                        free(stats);
                        return -ENOMEM;
                }

                list_append(&w->stats, &stats->link);
        }

        stats->n_ref++;
        *ret = stats;
        return 0;
}

void route_stats_put(RouteStats *stats) {
        if (!stats || --stats->n_ref > 0)
                return;

        list_remove(&stats->link);
        free(stats->unit);
        free(stats);
}
