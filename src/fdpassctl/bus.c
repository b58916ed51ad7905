/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/bus.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include "basic/fd.h"
#include "fdpassctl/options.h"

/* A reload reads every unit, and no call takes longer than that. */
#define BUS_TIMEOUT_USEC (30 * USEC_PER_SEC)

/* How often a list is read at most until all of its pages have the same generation. */
#define BUS_TRIES_MAX 5

static const char *bus_hint(int error) {
        switch (error) {
        case -ENOENT:
        case -ECONNREFUSED:
                return "; is fdpass-control.socket started?";
        case -EACCES:
        case -EPERM:
        case -EPIPE: /* the socket accepts any user, and the broker closes the connection */
        case -ECONNRESET:
                return ". It may be asked only by root and members of the group fdpass-admin: "
                       "usermod -a -G fdpass-admin NAME";
        default:
                return "";
        }
}

static int bus_print_unreachable(int error) {
        fprintf(stderr, "Failed to reach the broker at %s: %s%s\n", arg_control, strerror(-error), bus_hint(error));
        return error;
}

static int bus_print_failed(const sd_bus_error *error, int r) {
        const char *message = error->message ?: strerror(-r);

        /* The broker has ended, or has too many connections, or does not answer this user. */
        if (r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE)
                message = "The broker has closed the connection. It answers only root and members of the group "
                          "fdpass-admin. See systemctl status fdpass.service.";

        fprintf(stderr, "%s\n", message);
        return r;
}

/* Begins to speak on a connection to the broker, which may be negative. @fd is consumed. */
static int bus_begin(int fd, sd_bus **ret) {
        _cleanup_bus_ sd_bus *bus = NULL;
        int r;

        if (fd < 0)
                return fd;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_fd(bus, fd, fd);
        if (r < 0)
                fd_close(fd);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus, BUS_TIMEOUT_USEC);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(bus);
        return 0;
}

int bus_open(sd_bus **ret) {
        int r = bus_begin(fd_connect_unix(arg_control, SOCK_STREAM), ret);

        return r < 0 ? bus_print_unreachable(r) : 0;
}

int bus_open_within(sd_bus **ret, usec_t timeout) {
        _cleanup_bus_ sd_bus *bus = NULL;
        usec_t now = usec_now(), until = now + timeout;
        int r;

        r = bus_begin(fd_connect_unix(arg_control, SOCK_STREAM | SOCK_NONBLOCK), &bus);

        /* A call waits up to 90 s for the begin of a connection, whatever its own time limit is (sd-bus of systemd 257). */
        while (r >= 0 && (r = sd_bus_is_ready(bus)) == 0) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = (now = usec_now()) < until ? sd_bus_wait(bus, until - now) : -ETIMEDOUT;
        }
        if (r < 0)
                return r;

        *ret = TAKE_PTR(bus);
        return 0;
}

int bus_call(sd_bus *bus, const char *method, sd_bus_message **ret, const char *types, ...) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        va_list ap;
        int r;

        va_start(ap, types);
        r = sd_bus_call_methodv(bus, NULL, BUS_PATH, BUS_INTERFACE, method, &error, ret, types, ap);
        va_end(ap);

        return r < 0 ? bus_print_failed(&error, r) : 0;
}

int bus_properties(sd_bus *bus, Value *ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_call_method(bus, NULL, BUS_PATH, "org.freedesktop.DBus.Properties", "GetAll", &error, &m, "s",
                               BUS_INTERFACE);
        if (r >= 0)
                r = value_read(m, ret);

        return r < 0 ? bus_print_failed(&error, r) : 0;
}

/* Returns 0, 1 if the routes were reloaded between two pages, or a negative errno. */
static int bus_list_once(sd_bus *bus, const char *method, const BusFilter *filter, Value *ret) {
        uint64_t generation, first_generation = 0;
        uint32_t next = 0;
        int r;

        do {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
                bool is_first = next == 0;
                _cleanup_value_ Value page = {};

                r = filter ? bus_call(bus, method, &m, "usss", next, filter->route, filter->worker, filter->source)
                           : bus_call(bus, method, &m, "u", next);
                if (r < 0)
                        return r;

                r = sd_bus_message_read(m, "t", &generation);
                if (r >= 0)
                        r = value_read(m, &page);
                if (r >= 0)
                        r = sd_bus_message_read(m, "u", &next);
                if (r >= 0)
                        r = value_append_all(ret, &page);
                if (r < 0) {
                        fprintf(stderr, "Failed to read the broker's answer to %s: %s.\n", method, strerror(-r));
                        return r;
                }

                if (is_first)
                        first_generation = generation;
        } while (next > 0 && generation == first_generation);

        return generation != first_generation;
}

int bus_list(sd_bus *bus, const char *method, Value *ret) {
        return bus_list_filtered(bus, method, NULL, ret);
}

int bus_list_filtered(sd_bus *bus, const char *method, const BusFilter *filter, Value *ret) {
        int r = 1;

        for (unsigned i = 0; i < BUS_TRIES_MAX && r == 1; i++) {
                _cleanup_value_ Value list = { .kind = VALUE_LIST };

                r = bus_list_once(bus, method, filter, &list);
                if (r == 0 || (r == 1 && i == BUS_TRIES_MAX - 1)) {
                        *ret = list;
                        list = (Value){};
                }
        }

        return r < 0 ? r : 0;
}

void snapshot_done(Snapshot *s) {
        value_done(&s->properties);
        value_done(&s->listeners);
        value_done(&s->routes);
        value_done(&s->workers);
}

int snapshot_take(sd_bus *bus, Snapshot *ret) {
        Snapshot s = { .at = usec_now() };
        int r;

        r = bus_properties(bus, &s.properties);
        if (r >= 0)
                r = bus_list(bus, "ListListeners", &s.listeners);
        if (r >= 0)
                r = bus_list(bus, "ListRoutes", &s.routes);
        if (r >= 0)
                r = bus_list(bus, "ListWorkers", &s.workers);
        if (r < 0) {
                snapshot_done(&s);
                return r;
        }

        *ret = s;
        return 0;
}
