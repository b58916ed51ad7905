/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/balance.h"

#include "basic/hash.h"
#include "broker/state/source.h"

/*
 * Time after which a pool without a reachable worker counts as lost. It is long enough for a restart of a socket unit,
 * and short enough for clients of one that was stopped.
 */
#define LOST_USEC (1 * USEC_PER_SEC)

static bool balance_route_is_ready(const Route *route, usec_t now) {
        const Worker *w = route->worker;

        if (!worker_is_ready(w, now))
                return false;

        if (route->config->max_connections > 0 && worker_n_clients(w) >= route->config->max_connections)
                return false;

        return w->n_pending < route->config->max_pending || route->pool->routing->shared->ignores_max_pending;
}

/* True if all routes without Backup= are lost or drained. */
static bool balance_needs_backup(const Pool *p) {
        for (size_t i = 0; i < p->n_routes; i++)
                if (!p->routes[i].config->backup && !worker_is_lost(p->routes[i].worker) && !p->routes[i].worker->is_drained)
                        return false;

        return true;
}

static bool balance_fewer_pending(const Route *a, const Route *b) {
        return (uint64_t) a->worker->n_pending * b->config->weight <
               (uint64_t) b->worker->n_pending * a->config->weight;
}

static bool balance_fewer_connections(const Route *a, const Route *b) {
        return (uint64_t) worker_n_clients(a->worker) * b->config->weight <
               (uint64_t) worker_n_clients(b->worker) * a->config->weight;
}

/*
 * Returns the score of a worker for a source (rendezvous hashing). The route with the highest score is chosen. So a
 * worker that comes or goes moves no source between the others. With a weight of n the score is the largest of n.
 */
static uint64_t balance_score(const Route *route, uint64_t source) {
        uint64_t best = 0;

        for (unsigned i = 0; i < route->config->weight; i++)
                best = MAX(best, mix64(source ^ mix64(route->hash + i)));

        return best;
}

static bool balance_goes_before(const Pool *p, const Route *a, const Route *b, uint64_t source) {
        switch (p->config->balance) {

        case BALANCE_ROUND_ROBIN:
                return a->turn > b->turn;

        case BALANCE_SOURCE_HASH:
                return balance_score(a, source) > balance_score(b, source);

        case BALANCE_LEAST_CONNECTIONS:
                return balance_fewer_connections(a, b);

        case BALANCE_LEAST_PENDING:
        default:
                return balance_fewer_pending(a, b);
        }
}

Route *balance_pick(const Pool *p, const Client *c, usec_t now) {
        uint64_t source = p->config->balance == BALANCE_SOURCE_HASH && c ? source_hash(&c->address) : 0;
        bool backup = p->has_backup && balance_needs_backup(p);
        Route *best = NULL;

        for (size_t k = 0; k < p->n_routes; k++) {
                Route *route = &p->routes[(p->next + k) % p->n_routes];

                if ((!route->config->backup || backup) && balance_route_is_ready(route, now) &&
                    (!best || balance_goes_before(p, route, best, source)))
                        best = route;
        }

        return best;
}

void balance_sent(Pool *p, Route *route, usec_t now) {
        int64_t total = 0;

        p->next = (size_t) (route - p->routes + 1) % p->n_routes;

        if (p->config->balance != BALANCE_ROUND_ROBIN)
                return;

        /*
         * Smooth weighted round robin. The claim of each ready route grows by its weight, and the chosen route pays the
         * sum. So each route gets its share, and the turns of a heavy route are spread among those of the others.
         */
        for (size_t i = 0; i < p->n_routes; i++) {
                Route *other = &p->routes[i];

                if (other != route && !balance_route_is_ready(other, now))
                        continue;

                other->turn += other->config->weight;
                total += other->config->weight;
        }
        route->turn -= total;
}

bool balance_is_lost(const Pool *p, usec_t now) {
        for (size_t i = 0; i < p->n_routes; i++) {
                const Worker *w = p->routes[i].worker;

                if (!worker_is_lost(w) || now < usec_add(w->unreachable ? w->unreachable_since : w->hanging_since, LOST_USEC))
                        return false;
        }

        return true;
}
