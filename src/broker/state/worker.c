/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/worker.h"

#include "basic/address.h"
#include "basic/array.h"
#include "connections/routes.h"

/*
 * Shortest and longest time for which a worker gets no client after a failure. The broker notices at most that much
 * later that a worker is back.
 */
#define BACK_OFF_MIN (10 * USEC_PER_MSEC)
#define BACK_OFF_MAX (250 * USEC_PER_MSEC)

/* Time without a receipt after which a worker with pending clients counts as stuck. */
#define STUCK_USEC (2 * USEC_PER_SEC)

void worker_table_init(WorkerTable *table) {
        list_init(&table->to_serve);
        list_init(&table->unused);
}

static Worker *worker_free(Worker *w) {
        if (!w)
                return NULL;

        list_remove(&w->serve_link);
        list_remove(&w->unused_link);
        held_line_done(&w->resets);
        free(w->stats); /* empty, because its last route has given its counters back */
        free(w->path);
        free(w);
        return NULL;
}

DEFINE_CLEANUP(Worker *, worker_free);

static int worker_compare_path(const void *path, const void *member) {
        return strcmp(path, (*(Worker *const *) member)->path);
}

/* Returns the index of @path in the table, or the index where it has to be inserted. */
static size_t worker_find_index(const WorkerTable *table, const char *path) {
        return array_find_place(path, table->workers, table->n_workers, sizeof(*table->workers), worker_compare_path);
}

static int worker_table_grow(WorkerTable *table) {
        if (table->n_workers < table->n_allocated)
                return 0;

        size_t n = MAX(table->n_allocated * 2, (size_t) 16);
        Worker **workers = reallocarray(table->workers, n, sizeof(*workers));
        if (!workers)
                return -ENOMEM;

        table->workers = workers;
        table->n_allocated = n;
        return 0;
}

static int worker_new(const char *path, Worker **ret) {
        _cleanup_(worker_freep) Worker *w = calloc(1, sizeof(*w));
        int r;

        if (!w)
                return -ENOMEM;

        list_init(&w->persistent);
        list_init(&w->waiting);
        list_init(&w->serve_link);
        list_init(&w->unused_link);
        held_line_init(&w->resets);

        r = address_from_path(path, &w->address, &w->address_len);
        if (r < 0)
                return r;

        w->path = strdup(path);
        if (!w->path)
                return -ENOMEM;

        *ret = TAKE_PTR(w);
        return 0;
}

int worker_get(WorkerTable *table, const char *path, Worker **ret) {
        size_t i = worker_find_index(table, path);
        Worker *w;
        int r;

        if (i < table->n_workers && streq(table->workers[i]->path, path)) {
                if (table->workers[i]->n_ref++ == 0)
                        list_remove(&table->workers[i]->unused_link);
                table->workers[i]->is_private = false; /* a reload has the path checked again */
                *ret = table->workers[i];
                return 0;
        }

        r = worker_table_grow(table);
        if (r < 0)
                return r;

        r = worker_new(path, &w);
        if (r < 0)
                return r;

        memmove(table->workers + i + 1, table->workers + i, (table->n_workers - i) * sizeof(*table->workers));
        table->workers[i] = w;
        table->n_workers++;

        w->number = ++table->last_number;
        w->n_ref = 1;
        *ret = w;
        return 0;
}

void worker_put(WorkerTable *table, Worker *w) {
        if (w && --w->n_ref == 0)
                list_append(&table->unused, &w->unused_link);
}

void worker_serve_later(WorkerTable *table, Worker *w) {
        if (list_is_empty(&w->waiting))
                return; /* the first client that waits calls this function */
        if (!list_is_linked(&w->serve_link))
                list_append(&table->to_serve, &w->serve_link);
}

void worker_table_remove(WorkerTable *table, Worker *w) {
        size_t i = worker_find_index(table, w->path);

        table->n_workers--;
        memmove(table->workers + i, table->workers + i + 1, (table->n_workers - i) * sizeof(*table->workers));
        if (table->n_workers == 0) {
                free(TAKE_PTR(table->workers));
                table->n_allocated = 0;
        }

        worker_free(w);
}

Worker *worker_find(const WorkerTable *table, const char *path) {
        size_t i = worker_find_index(table, path);

        return i < table->n_workers && streq(table->workers[i]->path, path) ? table->workers[i] : NULL;
}

size_t worker_n_clients(const Worker *w) {
        return w->n_pending + (w->connections ? w->connections->n_live : 0);
}

Worker *worker_find_number(const WorkerTable *table, uint32_t number) {
        for (size_t i = 0; number != 0 && i < table->n_workers; i++)
                if (table->workers[i]->number == number)
                        return table->workers[i];

        return NULL;
}

bool worker_is_ready(const Worker *w, usec_t now) {
        return !w->is_drained && w->n_hanging == 0 && now >= w->retry_at;
}

void worker_try_again(Worker *w, usec_t now, usec_t interval) {
        if (w->unreachable && now >= usec_add(w->failed_at, interval))
                w->retry_at = now;
}

void worker_back_off(Worker *w, usec_t now) {
        w->failed_at = now;
        if (now < w->retry_at)
                return;

        w->back_off = MIN(MAX(w->back_off * 2, BACK_OFF_MIN), BACK_OFF_MAX);
        w->retry_at = now + w->back_off;

        /* The longest wait ends for all workers at the same time. So any number of them costs one wake-up. */
        if (w->back_off == BACK_OFF_MAX)
                w->retry_at -= w->retry_at % BACK_OFF_MAX;
}

usec_t worker_stuck_for(const Worker *w, usec_t now) {
        usec_t span = w->n_pending > 0 && now > w->waits_since ? now - w->waits_since : 0;

        return span < STUCK_USEC ? 0 : span;
}

void worker_recovered(Worker *w) {
        w->back_off = 0;
        w->retry_at = 0;
}
