/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/top-routes.h"

#include <stdio.h>

#include "basic/histogram.h"
#include "fdpassctl/options.h"
#include "fdpassctl/table.h"
#include "fdpassctl/text.h"

/* One route in both snapshots. */
typedef struct TopRoute {
        const Value *now, *before;
        double rate;          /* taken clients per second */
        double refusal_rate;  /* refused clients per second */
} TopRoute;

double top_rate(const Snapshot *before, const Snapshot *now, uint64_t n_now, uint64_t n_before) {
        double seconds = before->at > 0 ? (double) (now->at - before->at) / (double) USEC_PER_SEC : 0;

        return seconds > 0 ? (double) (n_now >= n_before ? n_now - n_before : n_now) / seconds : 0;
}

/* Returns the time within which this share of the new handoffs was taken: the upper bound of a bucket. */
static const char *top_quantile(char ret[static 32], const TopRoute *route, double share) {
        const Value *now = value_get(route->now, "HandoffTimes"), *before = value_get(route->before, "HandoffTimes");
        uint64_t counts[HISTOGRAM_BUCKETS] = {}, total = 0, sum = 0;

        for (size_t i = 0; i < now->n_items && i < HISTOGRAM_BUCKETS; i++) {
                uint64_t old = i < before->n_items ? before->items[i].u : 0, n = now->items[i].u;

                counts[i] = n >= old ? n - old : n;
                total += counts[i];
        }
        if (total == 0)
                return "-";

        /* The last bucket has no upper bound. */
        for (size_t i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
                sum += counts[i];
                if ((double) sum >= share * (double) total)
                        return text_from_span(ret, HISTOGRAM_FIRST_USEC << i);
        }

        return ">1min";
}

/* Returns the route as it was before, or an empty value. */
static const Value *top_find_before(const Snapshot *before, const Value *row) {
        static const Value none = {};

        for (size_t i = 0; i < before->routes.n_items; i++) {
                const Value *old = &before->routes.items[i];

                if (streq(value_string(old, "Unit"), value_string(row, "Unit")) &&
                    streq(value_string(old, "Worker"), value_string(row, "Worker")))
                        return old;
        }

        return &none;
}

static int top_compare_routes(const void *x, const void *y) {
        const TopRoute *a = x, *b = y;
        uint64_t qa = value_number(a->now, "Queued"), qb = value_number(b->now, "Queued");

        if ((qa > 0) != (qb > 0))
                return qa > 0 ? -1 : 1;

        if (a->rate < b->rate || a->rate > b->rate)
                return a->rate < b->rate ? 1 : -1;

        return strcmp(value_string(a->now, "Unit"), value_string(b->now, "Unit"));
}

static void top_add_rate(Table *table, double rate) {
        char text[32];

        (void) snprintf(text, sizeof(text), rate > 0 && rate < 10 ? "%.1f" : "%.0f", rate);
        table_text(table, text, rate > 0 ? COLOR_NONE : COLOR_GREY);
}

static void top_add_route(Table *table, const TopRoute *route, bool is_tracked) {
        uint64_t n_queued = value_number(route->now, "Queued");
        Color color = n_queued > 0 ? COLOR_YELLOW : COLOR_GREY;
        char span[32];

        table_text(table, value_string(route->now, "Unit"), COLOR_NONE);
        table_state(table, value_string(route->now, "State"));
        top_add_rate(table, route->rate);
        top_add_rate(table, route->refusal_rate);
        table_number(table, n_queued, color);
        table_text(table, n_queued > 0 ? text_from_span(span, value_number(route->now, "OldestWaitUSec")) : "-", color);
        table_number(table, value_number(route->now, "Pending"), COLOR_NONE);
        table_text(table, top_quantile(span, route, 0.5), COLOR_NONE);
        table_text(table, top_quantile(span, route, 0.99), COLOR_NONE);
        if (is_tracked)
                table_number(table, value_number(route->now, "Connections"), COLOR_NONE);
}

void top_print_routes(const Snapshot *before, const Snapshot *now, size_t columns, size_t max_rows) {
        static const Column titles[] = {
                { "ROUTE", COLUMN_SHRINK },    { "STATE", COLUMN_LEFT },   { "TAKEN/S", COLUMN_RIGHT },
                { "REFUSED/S", COLUMN_RIGHT }, { "QUEUED", COLUMN_RIGHT }, { "OLDEST", COLUMN_RIGHT },
                { "BACKLOG", COLUMN_RIGHT },   { "P50", COLUMN_RIGHT },    { "P99", COLUMN_RIGHT },
                { "CONNECTIONS", COLUMN_RIGHT },
        };
        bool is_tracked = value_get(&now->properties, "Connections")->n_items > 0;
        _cleanup_(table_freep) Table *table = table_new(titles, ELEMENTSOF(titles) - !is_tracked);
        size_t n = now->routes.n_items;
        _cleanup_free_ TopRoute *routes = calloc(MAX(n, (size_t) 1), sizeof(*routes));

        if (!routes)
                return;

        for (size_t i = 0; i < n; i++) {
                const Value *row = &now->routes.items[i], *old = top_find_before(before, row);

                routes[i] = (TopRoute){
                        .now = row,
                        .before = old,
                        .rate = top_rate(before, now, value_number(row, "Taken") + value_number(row, "Answered"),
                                         value_number(old, "Taken") + value_number(old, "Answered")),
                        .refusal_rate = top_rate(before, now, value_sum(value_get(row, "Refusals")),
                                                 value_sum(value_get(old, "Refusals"))),
                };
        }
        qsort(routes, n, sizeof(*routes), top_compare_routes);

        for (size_t i = 0; i < n && (max_rows == 0 || i < max_rows); i++)
                top_add_route(table, &routes[i], is_tracked);
        table_print(table, stdout, columns, !arg_no_legend);
}
