/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl wait: returns when the public ports have no connections any more, as before a reboot. */

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <time.h>

#include "basic/parse.h"
#include "basic/time.h"
#include "fdpassctl/bus.h"
#include "fdpassctl/options.h"
#include "fdpassctl/socket-open.h"
#include "fdpassctl/text.h"
#include "fdpassctl/verbs.h"
#include "fdpassctl/wait-holders.h"

#define WAIT_PORTS_MAX 1024

/* Shortest and longest time between two looks. A look walks through all TCP sockets of the host. */
#define WAIT_STEP_MIN (100 * USEC_PER_MSEC)
#define WAIT_STEP_MAX (1 * USEC_PER_SEC)

typedef struct WaitPorts {
        uint16_t ports[WAIT_PORTS_MAX]; /* in host byte order */
        size_t n;
} WaitPorts;

typedef struct WaitLook {
        const WaitPorts *ports;
        usec_t idle;            /* a connection that is idle for this long does not count; USEC_INFINITY: each counts */
        WaitHolders *holders;   /* NULL: they are not looked for */
        size_t n;               /* connections that count */
} WaitLook;

static const char wait_help[] =
        "fdpassctl wait [OPTIONS...]\n\n"
        "Return when no connection to the public ports is left. The exit status is 1 if some are left at the end of the "
        "time.\n\n"
        "     --empty          Wait until none is left (the default)\n"
        "     --idle=SPAN      Return already when all that are left are idle for this long\n"
        "     --timeout=SPAN   Wait this long at most\n"
        "     --listener=NAME  Only connections to this listener\n"
        "  -h --help           Show this help\n";

static bool wait_has_port(const WaitPorts *ports, uint16_t port) {
        for (size_t i = 0; i < ports->n; i++)
                if (ports->ports[i] == port)
                        return true;

        return false;
}

/* Returns the time since the last byte in either direction, in µs; 0: not known. */
static usec_t wait_idle_of(const void *bytes, size_t n) {
        struct tcp_info info = {};

        if (!bytes || n < offsetof(struct tcp_info, tcpi_last_data_recv) + sizeof(info.tcpi_last_data_recv))
                return 0;

        memcpy(&info, bytes, MIN(n, sizeof(info)));
        return (usec_t) MIN(info.tcpi_last_data_sent, info.tcpi_last_data_recv) * USEC_PER_MSEC;
}

static int wait_take(void *userdata, const struct inet_diag_msg *m, const void *info, size_t n) {
        WaitLook *look = userdata;

        if (!wait_has_port(look->ports, ntohs(m->id.idiag_sport)) || !socket_is_open(m))
                return 0;
        if (look->idle != USEC_INFINITY && wait_idle_of(info, n) >= look->idle)
                return 0;

        look->n++;
        return look->holders ? wait_holders_add(look->holders, m->idiag_inode) : 0;
}

static int wait_look(WaitLook *look) {
        int r;

        look->n = 0;
        r = socket_dump(SOCKET_OPEN_STATES, wait_take, look);
        if (r < 0)
                fprintf(stderr, "Failed to ask the kernel for connections: %s.\n", strerror(-r));

        return r;
}

static void wait_add_port(WaitPorts *ports, const char *address) {
        uint16_t port = socket_port(address);

        if (port != 0 && !wait_has_port(ports, port) && ports->n < WAIT_PORTS_MAX)
                ports->ports[ports->n++] = port;
}

/* Asks the broker for the ports of its listeners, because it has been given them by systemd. */
static int wait_find_ports(const char *listener, WaitPorts *ret) {
        _cleanup_value_ Value listeners = {};
        _cleanup_bus_ sd_bus *bus = NULL;
        bool is_known = false;

        if (bus_open(&bus) < 0 || bus_list(bus, "ListListeners", &listeners) < 0)
                return -EIO;

        for (size_t i = 0; i < listeners.n_items; i++)
                if (!listener || streq(value_string(&listeners.items[i], "Name"), listener)) {
                        wait_add_port(ret, value_string(&listeners.items[i], "Address"));
                        is_known = true;
                }

        if (is_known || !listener)
                return 0;

        fprintf(stderr, "There is no listener ");
        text_print(stderr, listener);
        fprintf(stderr, ". See fdpassctl list-listeners.\n");
        return -ENOENT;
}

/* Prints what is left, and which units have it. */
static int wait_print_left(WaitLook *look) {
        _cleanup_(wait_holders_done) WaitHolders holders = {};

        look->holders = &holders;
        if (wait_look(look) < 0 || look->n == 0)
                return look->n == 0 ? EXIT_SUCCESS : EXIT_FAILURE;

        if (!arg_quiet) {
                fprintf(stderr, "%zu connection%s left", look->n, look->n == 1 ? " is" : "s are");
                wait_holders_print(&holders, stderr);
        }
        return EXIT_FAILURE;
}

static int wait_run(WaitLook *look, usec_t timeout) {
        usec_t end = usec_add(usec_now(), timeout), step = WAIT_STEP_MIN;

        for (;;) {
                usec_t now;

                if (wait_look(look) < 0)
                        return EXIT_FAILURE;
                if (look->n == 0)
                        return EXIT_SUCCESS;

                now = usec_now();
                if (now >= end)
                        return wait_print_left(look);

                usec_t pause = MIN(step, end - now);
                (void) nanosleep(&(struct timespec){ (time_t) (pause / USEC_PER_SEC), (long) (pause % USEC_PER_SEC) * 1000 },
                                 NULL);
                step = MIN(step * 2, WAIT_STEP_MAX);
        }
}

static int wait_set_span(const char *option, const char *value, usec_t *ret) {
        if (parse_timespan(value, ret) >= 0)
                return 1;

        fprintf(stderr, "--%s=", option);
        text_print(stderr, value);
        fprintf(stderr, ": must be a time span, such as 5s (systemd.time(7)).\n");
        return -EINVAL;
}

typedef struct WaitOptions {
        usec_t idle, timeout;
        const char *listener;
        bool is_empty;
} WaitOptions;

static int wait_set_idle(void *userdata, const char *value) {
        return wait_set_span("idle", value, &((WaitOptions *) userdata)->idle);
}

static int wait_set_timeout(void *userdata, const char *value) {
        return wait_set_span("timeout", value, &((WaitOptions *) userdata)->timeout);
}

int verb_wait(int argc, char *argv[]) {
        WaitOptions o = { .idle = USEC_INFINITY, .timeout = USEC_INFINITY };
        const VerbOption options[] = {
                { "empty", .flag = &o.is_empty },
                { "idle", .take = wait_set_idle },
                { "timeout", .take = wait_set_timeout },
                { "listener", .text = &o.listener },
                {},
        };
        WaitPorts ports = {};
        WaitLook look = { .ports = &ports };
        int i = parse_options(argc, argv, wait_help, options, &o);

        if (i <= 0)
                return i;
        if (i < argc || (o.is_empty && o.idle != USEC_INFINITY)) {
                fprintf(stderr, i < argc ? "wait takes no arguments.\n" : "--empty and --idle= exclude each other.\n");
                return EXIT_FAILURE;
        }

        look.idle = o.idle;
        return wait_find_ports(o.listener, &ports) < 0 ? EXIT_FAILURE : wait_run(&look, o.timeout);
}
