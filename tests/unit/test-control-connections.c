/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The control interface about connections: lists and their filters, counts, and errors. */

#include "broker-fixture.h"

#include <arpa/inet.h>

#include "control/conn.h"
#include "control/control.h"
#include "fdpassctl/value.h"

static Control *control;

static ConnectionTable *table; /* of the broker; NULL: it tracks no connections */

static int setup_control(void **state) {
        static const LoadReport report;
        const ControlHost host = { .report = &report };

        if (setup(state) < 0)
                return -1;

        USE({ .unit = "one.socket", .worker = "one" }, { .unit = "two.socket", .worker = "two", .host = "h" });
        return control_new(t.broker, listen_at("control", 8), &host, &control) < 0 ? -1 : 0;
}

static int teardown_control(void **state) {
        control = control_free(control);
        table = NULL;
        return teardown(state);
}

static ConnectionRoute *route_of(const char *unit, const char *worker) {
        ConnectionRoute *route;
        char path[64];

        path_of(worker, path);
        assert_int_equal(connection_route_get(&table->routes, unit, path, &route), 0);
        return route;
}

/* Adds a connection from @address, with its number as its cookie and its port. */
static Connection *add(uint64_t number, const char *address, ConnectionRoute *route) {
        Connection model = { .cookie = number, .origin_id = number, .origin = 7, .port = number & 0xffff, .begun_at = 1 }, *c;
        char text[64];

        (void) snprintf(text, sizeof(text), "%s%s", strchr(address, ':') ? "" : "::ffff:", address);
        assert_int_equal(inet_pton(AF_INET6, text, model.address), 1);
        model.listener = (uint16_t) connection_listener(table, "public");
        c = connection_add(table, &model, route);
        assert_non_null(c);
        return c;
}

typedef struct Answer {
        sd_bus_message *message;
        bool is_there;
} Answer;

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Answer *answer = userdata;

        answer->message = sd_bus_message_ref(m);
        answer->is_there = true;
        return 0;
}

static bool has_answer(sd_bus *bus, const Answer *answer) {
        while (sd_bus_process(bus, NULL) > 0)
                ;
        return answer->is_there;
}

static sd_bus *connect_bus(void) {
        sd_bus *bus = NULL;
        int fd = dial("control");

        assert_true(sd_bus_new(&bus) >= 0);
        assert_true(sd_bus_set_fd(bus, fd, fd) >= 0);
        assert_true(sd_bus_set_anonymous(bus, 1) >= 0);
        assert_true(sd_bus_start(bus) >= 0);
        return bus;
}

/* Calls a method. The caller frees the answer, which may be an error. */
static sd_bus_message *call(sd_bus *bus, const char *method, const char *types, ...) {
        sd_bus_message *m = NULL;
        Answer answer = {};
        va_list ap;

        assert_true(sd_bus_message_new_method_call(bus, &m, NULL, CONTROL_PATH, CONTROL_INTERFACE, method) >= 0);
        va_start(ap, types);
        assert_true(sd_bus_message_appendv(m, types, ap) >= 0);
        va_end(ap);
        assert_true(sd_bus_call_async(bus, NULL, m, on_answer, &answer, 0) >= 0);
        sd_bus_message_unref(m);
        WAIT_FOR(has_answer(bus, &answer));
        return answer.message;
}

/* Lists connections page by page, and checks the pages. Returns the list, and the number of pages in *ret_n. */
static Value list(const char *route, const char *worker, const char *source, size_t *ret_n) {
        Value all = { .kind = VALUE_LIST };
        sd_bus *bus = connect_bus();
        uint32_t next = 0;
        size_t n = 0;

        do {
                sd_bus_message *m = call(bus, "ListConnections", "usss", next, route, worker, source);
                _cleanup_value_ Value page = {};
                uint32_t last = next;
                uint64_t generation;

                assert_false(sd_bus_message_is_method_error(m, NULL));
                assert_true(sd_bus_message_read(m, "t", &generation) >= 0);
                assert_int_equal(value_read(m, &page), 0);
                assert_true(sd_bus_message_read(m, "u", &next) >= 0);
                assert_true(page.n_items <= CONTROL_PAGE_MAX);
                assert_true(next == 0 || next > last);
                assert_int_equal(value_append_all(&all, &page), 0);
                sd_bus_message_unref(m);
                n++;
        } while (next > 0);

        if (ret_n)
                *ret_n = n;
        sd_bus_close_unref(bus);
        return all;
}

static size_t n_listed(const char *route, const char *worker, const char *source) {
        _cleanup_value_ Value all = list(route, worker, source, NULL);

        return all.n_items;
}

static void expect_error(const char *method, const char *types, const char *name, const char *route, const char *worker,
                         const char *source) {
        sd_bus *bus = connect_bus();
        sd_bus_message *m = streq(types, "s") ? call(bus, method, types, worker)
                                              : call(bus, method, types, (uint32_t) 0, route, worker, source);

        if (!sd_bus_message_is_method_error(m, name))
                fail_msg("%s, and not %s", sd_bus_message_get_error(m) ? sd_bus_message_get_error(m)->name : "no error", name);
        sd_bus_message_unref(m);
        sd_bus_close_unref(bus);
}

static void test_list(void **state) {
        ConnectionRoute *one, *two;
        Connection *back;
        char path[64];

        table = track_connections();
        one = route_of("one.socket", "one");
        two = route_of("two.socket", "two");
        for (uint64_t i = 1; i <= 20; i++)
                (void) add(i, i % 2 ? "192.0.2.1" : "198.51.100.7", one);
        for (uint64_t i = 21; i <= 25; i++)
                (void) add(i, "2001:db8::1", two);
        back = add(26, "192.0.2.99", two);
        connection_take_back(table, back);

        path_of("two", path);
        assert_int_equal(n_listed("", "", ""), 26);
        assert_int_equal(n_listed("one.socket", "", ""), 20);
        assert_int_equal(n_listed("", path, ""), 5);
        assert_int_equal(n_listed("", "two.socket", ""), 5);
        assert_int_equal(n_listed("", "", "192.0.2.1"), 10);
        assert_int_equal(n_listed("", "", "192.0.2.0/24"), 11);
        assert_int_equal(n_listed("", "", "0.0.0.0/0"), 21);
        assert_int_equal(n_listed("", "", "2001:db8::/32"), 5);
        assert_int_equal(n_listed("one.socket", "two.socket", ""), 0);
        assert_int_equal(n_listed("two.socket", "", "192.0.2.99"), 1);
        assert_int_equal(n_listed("one.socket", "one.socket", "198.51.100.7/32"), 10);
}

static void test_entries(void **state) {
        _cleanup_value_ Value all = {};
        const Value *row;
        char path[64];

        table = track_connections();
        connection_take_back(table, add(1, "2001:db8::1", route_of("one.socket", "one")));
        connection_set_id(table, add(2, "192.0.2.1", route_of("two.socket", "two")), "of-peer", 7);

        all = list("", "", "", NULL);
        assert_int_equal(all.n_items, 2);
        row = &all.items[0];
        assert_string_equal(value_string(row, "Id"), "00000007-1");
        assert_string_equal(value_string(row, "Client"), "[2001:db8::1]:1");
        assert_string_equal(value_string(row, "Listener"), "public");
        assert_string_equal(value_string(row, "Route"), "one.socket");
        assert_string_equal(value_string(row, "Worker"), "");
        assert_int_equal(value_number(row, "HandedBack"), 1);
        assert_int_equal(value_number(row, "Cookie"), 1);
        assert_int_equal(value_number(row, "Handoffs"), 1);
        assert_true(value_number(row, "AgeUSec") > 0);

        row = &all.items[1];
        path_of("two", path);
        assert_string_equal(value_string(row, "Id"), "of-peer");
        assert_string_equal(value_string(row, "Client"), "192.0.2.1:2");
        assert_string_equal(value_string(row, "Worker"), path);
        assert_int_equal(value_number(row, "HandedBack"), 0);
}

/* A call looks at a bounded number of slots, also if most of them are free, or not wanted. */
static void test_pages(void **state) {
        ConnectionRoute *one;
        size_t n;

        table = track_connections();
        one = route_of("one.socket", "one");
        for (uint64_t i = 1; i <= 10000; i++)
                (void) add(i, i == 9999 ? "192.0.2.2" : "192.0.2.1", one);

        {
                _cleanup_value_ Value found = list("", "", "192.0.2.2", &n);

                assert_int_equal(found.n_items, 1);
                assert_int_equal(n, 3);
        }
        for (uint64_t i = 1; i < 10000; i++)
                connection_remove(table, connection_find(table, i));
        {
                _cleanup_value_ Value found = list("", "", "", &n);

                assert_int_equal(found.n_items, 1);
                assert_int_equal(value_number(&found.items[0], "Cookie"), 10000);
                assert_int_equal(n, 3);
        }
}

static void test_errors(void **state) {
        static const char *const wrong[] = { "192.0.2.1/33", "192.0.2.1/24", "localhost", "192.0.2", "unix", "::1/129", " ", "1.2.3.4 5.6.7.8" };
        ConnectionRoute *old;

        expect_error("ListConnections", "usss", "org.fdpass.Broker1.Error.NotTracked", "", "", "");
        table = track_connections();
        expect_error("ListConnections", "usss", "org.fdpass.Broker1.Error.NoSuchRoute", "no.socket", "", "");
        expect_error("ListConnections", "usss", "org.fdpass.Broker1.Error.NoSuchWorker", "", "/run/no", "");
        expect_error("GetWorker", "s", "org.fdpass.Broker1.Error.NoSuchWorker", "", "no.socket", "");
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                expect_error("ListConnections", "usss", SD_BUS_ERROR_INVALID_ARGS, "", "", wrong[i]);

        /* A route that is gone may still have connections. */
        old = route_of("old.socket", "old");
        (void) add(1, "192.0.2.1", old);
        assert_int_equal(n_listed("old.socket", "", ""), 1);
        assert_int_equal(n_listed("", old->worker->path, ""), 1);
}

/* Asks for one worker, as drain --wait does. */
static void expect_worker(const char *name, uint64_t n_connections, bool is_tracked) {
        sd_bus *bus = connect_bus();
        sd_bus_message *m = call(bus, "GetWorker", "s", name);
        _cleanup_value_ Value worker = {};

        assert_int_equal(value_read(m, &worker), 0);
        assert_int_equal(value_get(&worker, "Connections")->kind, is_tracked ? VALUE_UNSIGNED : VALUE_NULL);
        assert_int_equal(value_number(&worker, "Connections"), n_connections);
        assert_int_equal(value_get(&worker, "Pending")->kind, VALUE_UNSIGNED);
        assert_int_equal(value_get(&worker, "Drained")->kind, VALUE_BOOL);
        sd_bus_message_unref(m);
        sd_bus_close_unref(bus);
}

static void test_worker(void **state) {
        Connection *c;

        expect_worker("two.socket", 0, false);
        table = track_connections();
        expect_worker("two.socket", 0, true);
        c = add(1, "192.0.2.1", route_of("two.socket", "two"));
        (void) add(2, "192.0.2.1", route_of("also-two.socket", "two"));
        expect_worker("two.socket", 2, true);
        connection_remove(table, c);
        expect_worker("two.socket", 1, true);
        expect_worker("one.socket", 0, true);
}

/* The list of routes has the counts of each, and nothing about connections if they are not tracked. */
static void test_routes(void **state) {
        for (unsigned is_tracked = 0; is_tracked < 2; is_tracked++) {
                sd_bus *bus = connect_bus();
                _cleanup_value_ Value routes = {};
                const Value *row;
                sd_bus_message *m;
                uint64_t generation;

                if (is_tracked) {
                        ConnectionRoute *two;

                        table = track_connections();
                        two = route_of("two.socket", "two");
                        (void) add(1, "192.0.2.1", two);
                        two->n_ended = 5;
                        two->n_in = 77;
                        two->durations.sum = 99;
                        two->durations.n[2] = 5;
                }

                m = call(bus, "ListRoutes", "u", (uint32_t) 0);
                assert_true(sd_bus_message_read(m, "t", &generation) >= 0);
                assert_int_equal(value_read(m, &routes), 0);
                row = value_find(&routes, "Unit", "two.socket");
                assert_int_equal(value_get(row, "Connections")->kind, is_tracked ? VALUE_UNSIGNED : VALUE_NULL);
                assert_int_equal(value_get(row, "ConnectionTimes")->n_items, is_tracked ? CONNECTION_DURATION_BUCKETS : 0);
                if (is_tracked) {
                        assert_int_equal(value_number(row, "Connections"), 1);
                        assert_int_equal(value_number(row, "ConnectionsEnded"), 5);
                        assert_int_equal(value_number(row, "BytesIn"), 77);
                        assert_int_equal(value_number(row, "ConnectionTimeSumUSec"), 99);
                        assert_int_equal(value_get(row, "ConnectionTimes")->items[2].u, 5);
                        assert_int_equal(value_number(value_find(&routes, "Unit", "one.socket"), "Connections"), 0);
                        assert_int_equal(value_get(value_find(&routes, "Unit", "one.socket"), "Connections")->kind, VALUE_UNSIGNED);
                }
                sd_bus_message_unref(m);
                sd_bus_close_unref(bus);
        }
}

#define CONTROL_TEST(f) cmocka_unit_test_setup_teardown(f, setup_control, teardown_control)

TEST_MAIN(CONTROL_TEST(test_list),
          CONTROL_TEST(test_entries),
          CONTROL_TEST(test_pages),
          CONTROL_TEST(test_errors),
          CONTROL_TEST(test_worker),
          CONTROL_TEST(test_routes))
