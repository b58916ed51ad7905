/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/balance.h"

#include "basic/hash.h"
#include "broker/broker.h"
#include "broker/source.h"

static bool route_is_ready(const Route *route, usec_t now) {
        const Worker *w = route->worker;

        if (!worker_is_ready(w, now))
                return false;

        /* On the way out the window does not count: systemd holds the backlogs, and the next broker has
         * no way to our queue. */
        return w->n_pending < route->config->max_pending || route->pool->broker->stopping;
}

/* Are the routes that are no backup all out of reach, or out of use? */
static bool needs_backup(const Pool *p) {
        for (size_t i = 0; i < p->n_routes; i++)
                if (!p->routes[i].config->backup && !worker_is_lost(p->routes[i].worker) && !p->routes[i].worker->drained)
                        return false;

        return true;
}

static bool fewer_pending(const Route *a, const Route *b) {
        return (uint64_t) a->worker->n_pending * b->config->weight <
               (uint64_t) b->worker->n_pending * a->config->weight;
}

/*
 * Each worker and each source make a number; the highest one wins. A worker that comes or goes changes nothing
 * about the numbers of the others. A weight of n is n numbers.
 */
static uint64_t score(const Route *route, uint64_t source) {
        uint64_t best = 0;

        for (unsigned i = 0; i < route->config->weight; i++)
                best = MAX(best, mix64(source ^ mix64(route->hash + i)));

        return best;
}

static bool goes_before(const Pool *p, const Route *a, const Route *b, uint64_t source) {
        switch (p->balance) {

        case BALANCE_ROUND_ROBIN:
                return a->turn > b->turn;

        case BALANCE_SOURCE_HASH:
                return score(a, source) > score(b, source);

        case BALANCE_LEAST_PENDING:
        default:
                return fewer_pending(a, b);
        }
}

Route *balance_pick(const Pool *p, const Client *c, usec_t now) {
        uint64_t source = p->balance == BALANCE_SOURCE_HASH && c ? source_hash(&c->address) : 0;
        bool backup = p->has_backup && needs_backup(p);
        Route *best = NULL;

        for (size_t k = 0; k < p->n_routes; k++) {
                Route *route = &p->routes[(p->next + k) % p->n_routes];

                if ((!route->config->backup || backup) && route_is_ready(route, now) &&
                    (!best || goes_before(p, route, best, source)))
                        best = route;
        }

        return best;
}

void balance_taken(Pool *p, Route *route, usec_t now) {
        int64_t total = 0;

        p->next = (size_t) (route - p->routes + 1) % p->n_routes;

        if (p->balance != BALANCE_ROUND_ROBIN)
                return;

        /* The claim of each one that is there grows by its weight, and who had his turn pays for all: over time
         * each gets his share, and the turns of a heavy one are spread between those of the others. */
        for (size_t i = 0; i < p->n_routes; i++) {
                Route *other = &p->routes[i];

                if (other != route && !route_is_ready(other, now))
                        continue;

                other->turn += other->config->weight;
                total += other->config->weight;
        }
        route->turn -= total;
}
