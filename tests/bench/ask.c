/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Asks a broker's control socket at a steady rate, every other time for all properties and for a page of the routes:
 *
 *         ask RATE SECONDS PATH
 *
 * Prints how many answers came in a second. What it could not ask in time it makes up for.
 */

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "basic/address.h"
#include "basic/fd.h"
#include "basic/parse.h"
#include "basic/time.h"

#define OBJECT "/org/fdpass/Broker1"
#define INTERFACE "org.fdpass.Broker1"

static sd_bus *open_bus(const char *path) {
        struct sockaddr_un sun;
        sd_bus *bus = NULL;
        socklen_t len;
        int fd;

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || address_from_path(path, &sun, &len) < 0 || connect(fd, (const struct sockaddr *) &sun, len) < 0)
                err(EXIT_FAILURE, "%s", path);

        if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 || sd_bus_start(bus) < 0)
                errx(EXIT_FAILURE, "%s: no bus", path);

        return bus;
}

static void ask(sd_bus *bus, uint64_t n) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        if (n % 2 == 0)
                r = sd_bus_call_method(bus, NULL, OBJECT, "org.freedesktop.DBus.Properties", "GetAll", &error, NULL, "s",
                                       INTERFACE);
        else
                r = sd_bus_call_method(bus, NULL, OBJECT, INTERFACE, "ListRoutes", &error, NULL, "u", 0);

        if (r < 0)
                errx(EXIT_FAILURE, "Call failed: %s", error.message ?: strerror(-r));
}

static void sleep_until(usec_t at) {
        struct timespec ts = { (time_t) (at / USEC_PER_SEC), (long) (at % USEC_PER_SEC * 1000) };

        (void) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

int main(int argc, char *argv[]) {
        unsigned rate, seconds;
        usec_t begin, end;
        uint64_t n = 0;
        sd_bus *bus;

        if (argc != 4 || parse_unsigned(argv[1], &rate) < 0 || rate == 0 || parse_unsigned(argv[2], &seconds) < 0)
                errx(EXIT_FAILURE, "ask RATE SECONDS PATH");

        bus = open_bus(argv[3]);
        begin = usec_now();
        end = begin + seconds * USEC_PER_SEC;

        for (; usec_now() < end; n++) {
                sleep_until(begin + n * USEC_PER_SEC / rate);
                ask(bus, n);
        }

        printf("%.0f\n", (double) n * (double) USEC_PER_SEC / (double) (usec_now() - begin));
        sd_bus_close_unref(bus);
        return EXIT_SUCCESS;
}
