/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The metrics of connections, in both text forms. */

#include "test.h"

#include "fdpassctl/openmetrics.h"

static void add_number(Value *to, const char *name, uint64_t n) {
        Value *v = value_add(to, name, VALUE_UNSIGNED);

        assert_non_null(v);
        v->u = n;
}

/* A broker with one route. With @is_tracked it tracks connections. */
static Snapshot make_snapshot(bool is_tracked) {
        Snapshot s = { .properties.kind = VALUE_DICT, .routes.kind = VALUE_LIST, .workers.kind = VALUE_LIST };
        Value *connections = value_add(&s.properties, "Connections", VALUE_DICT), *route, *worker, *times;

        route = value_add(&s.routes, NULL, VALUE_DICT);
        worker = value_add(&s.workers, NULL, VALUE_DICT);
        assert_int_equal(value_add_string(route, "Unit", "a.socket"), 0);
        assert_int_equal(value_add_string(route, "Worker", "/run/a.sock"), 0);
        assert_int_equal(value_add_string(worker, "Worker", "/run/a.sock"), 0);
        if (!is_tracked)
                return s;

        add_number(connections, "Max", 1000);
        add_number(connections, "Untracked", 4);
        add_number(connections, "Other", 2);
        add_number(connections, "Lost", 1);
        add_number(route, "Connections", 3);
        add_number(route, "ConnectionsEnded", 7);
        add_number(route, "ConnectionsUnseen", 5);
        add_number(route, "BytesIn", 100);
        add_number(route, "BytesOut", 18446744073709551615ULL);
        add_number(route, "ConnectionTimeSumUSec", 2500000);
        times = value_add(route, "ConnectionTimes", VALUE_LIST);
        for (size_t i = 0; i < 24; i++)
                add_number(times, NULL, i == 0 || i == 3 ? 2 : i == 23);
        add_number(worker, "Connections", 6);
        return s;
}

/* Returns the text, which the caller frees. */
static char *write_text(bool is_tracked, MetricsFormat format) {
        Snapshot s = make_snapshot(is_tracked);
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        openmetrics_write(f, &s, &(Certificates){}, format);
        assert_int_equal(fclose(f), 0);
        snapshot_done(&s);
        return text;
}

static void test_connections(void **state) {
        static const char *const lines[] = {
                "\nfdpass_connections{route=\"a.socket\",worker=\"/run/a.sock\"} 3\n",
                "\nfdpass_connections_ended_total{route=\"a.socket\",worker=\"/run/a.sock\",end=\"seen\"} 7\n",
                "\nfdpass_connections_ended_total{route=\"a.socket\",worker=\"/run/a.sock\",end=\"unseen\"} 5\n",
                "\nfdpass_connection_bytes_total{route=\"a.socket\",worker=\"/run/a.sock\",direction=\"in\"} 100\n",
                "direction=\"out\"} 18446744073709551615\n",
                "\nfdpass_connection_seconds_bucket{route=\"a.socket\",worker=\"/run/a.sock\",le=\"0.001000\"} 2\n",
                "\nfdpass_connection_seconds_bucket{route=\"a.socket\",worker=\"/run/a.sock\",le=\"0.004000\"} 2\n",
                "\nfdpass_connection_seconds_bucket{route=\"a.socket\",worker=\"/run/a.sock\",le=\"0.016000\"} 4\n",
                "\nfdpass_connection_seconds_bucket{route=\"a.socket\",worker=\"/run/a.sock\",le=\"+Inf\"} 5\n",
                "\nfdpass_connection_seconds_count{route=\"a.socket\",worker=\"/run/a.sock\"} 5\n",
                "\nfdpass_connection_seconds_sum{route=\"a.socket\",worker=\"/run/a.sock\"} 2.500000\n",
                "\nfdpass_worker_connections{worker=\"/run/a.sock\"} 6\n",
                "\nfdpass_connections_max 1000\n",
                "\nfdpass_connections_untracked_total{reason=\"full\"} 4\n",
                "\nfdpass_connections_untracked_total{reason=\"not-tcp\"} 2\n",
                "\nfdpass_connections_lost_total 1\n",
        };
        _cleanup_free_ char *text = write_text(true, METRICS_OPENMETRICS), *old = write_text(true, METRICS_PROMETHEUS);

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                if (!strstr(text, lines[i]))
                        fail_msg("no %s in %s", lines[i], text);
                assert_non_null(strstr(old, lines[i]));
        }
        assert_non_null(strstr(text, "\n# TYPE fdpass_connection_bytes counter\n# UNIT fdpass_connection_bytes bytes\n"));
        assert_non_null(strstr(old, "\n# TYPE fdpass_connection_bytes_total counter\n"));
        assert_null(strstr(old, "# UNIT"));
}

/* No sample is there that would look like a route without any connection. */
static void test_untracked(void **state) {
        _cleanup_free_ char *text = write_text(false, METRICS_OPENMETRICS);

        assert_null(strstr(text, "fdpass_connection"));
        assert_null(strstr(text, "fdpass_worker_connections"));
        assert_non_null(strstr(text, "fdpass_worker_up{worker=\"/run/a.sock\"} 1\n"));
}

TEST_MAIN(cmocka_unit_test(test_connections), cmocka_unit_test(test_untracked))
