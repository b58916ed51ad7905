/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * fdpassd: the socket handoff broker. systemd starts it with the listening sockets. SIGHUP reloads the routes. SIGTERM
 * stops it once its clients have workers or are left to the next process.
 */

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

#include "basic/fd.h"
#include "basic/message-ids.h"
#include "basic/output.h"
#include "control/control.h"
#include "fdpassd/auto-reload.h"
#include "fdpassd/drained.h"
#include "fdpassd/host-file.h"
#include "fdpassd/listen.h"
#include "fdpassd/load.h"
#include "fdpassd/seal-store.h"
#include "fdpassd/status.h"

static const char *arg_root = "/";

static int fdpassd_help(void) {
        printf("fdpassd [OPTIONS...]\n\n"
               "Hand the clients of public sockets to socket-activated workers.\n\n"
               "Options:\n"
               "  -h --help      Show this help\n"
               "     --version   Show the version\n"
               "     --root=DIR  Read the units below DIR instead of /\n\n"
               "It is started by systemd: systemctl enable --now fdpass.socket\n");
        return 0;
}

static int fdpassd_version(void) {
        printf("fdpass %s\n", FDPASS_VERSION);
        return 0;
}

/* Returns 1 to go on, 0 if nothing else is to be done, or a negative errno for a wrong command line. */
static int fdpassd_parse_argv(int argc, char *argv[]) {
        enum { ARG_VERSION = 0x100, ARG_ROOT };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "root", required_argument, NULL, ARG_ROOT },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        return fdpassd_help();
                case ARG_VERSION:
                        return fdpassd_version();
                case ARG_ROOT:
                        arg_root = optarg;
                        break;
                default:
                        return -EINVAL; /* getopt_long(3) has printed the reason */
                }

        if (optind < argc) {
                fprintf(stderr, "fdpassd takes no arguments, but got %s.\n", argv[optind]);
                return -EINVAL;
        }

        return 1;
}

/* The objects that events of the process need. */
typedef struct Daemon {
        Loader loader;
        AutoReload auto_reload;
        Drained drained;
        Reports reports;
} Daemon;

static void fdpassd_done(Daemon *d) {
        auto_reload_done(&d->auto_reload);
        loader_done(&d->loader);
        drained_done(&d->drained);
        reports_done(&d->reports);
}

static void fdpassd_load_again(Daemon *d, void (*load)(Loader *l)) {
        auto_reload_begin_load(&d->auto_reload);
        load(&d->loader);
        auto_reload_end_load(&d->auto_reload);
        drained_save(&d->drained); /* a worker without a route is not drained any more */
}

/* systemd is not told of it, because it did not ask for it. */
static void fdpassd_on_change(void *userdata) {
        fdpassd_load_again(userdata, loader_reload_automatically);
}

static void fdpassd_reload(void *userdata) {
        Daemon *d = userdata;

        /* By this time Type=notify-reload knows which reload is answered (sd_notify(3)). Both use CLOCK_MONOTONIC. */
        (void) sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, usec_now());
        fdpassd_load_again(d, loader_reload);
        host_file_read(d->loader.broker, arg_root);
        (void) sd_notify(0, "READY=1");
}

static int fdpassd_on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        fdpassd_reload(userdata);
        return 0;
}

static int fdpassd_on_terminate(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        Daemon *d = userdata;

        (void) sd_notify(0, "STOPPING=1");
        drained_log_stop(&d->drained);
        broker_stop(d->drained.broker);
        return 0;
}

static int fdpassd_add_signal(sd_event *event, int signo, sd_event_signal_handler_t handler, void *userdata) {
        sd_event_source *source;
        int r;

        r = sd_event_add_signal(event, &source, signo | SD_EVENT_SIGNAL_PROCMASK, handler, userdata);
        if (r < 0)
                return r;

        /* Otherwise a flood of clients would delay a stop or a reload. */
        r = sd_event_source_set_priority(source, SD_EVENT_PRIORITY_NORMAL - 20);
        if (r >= 0)
                r = sd_event_source_set_floating(source, true);

        sd_event_source_unref(source);
        return r < 0 ? r : 0;
}

static int fdpassd_add_signals(sd_event *event, Daemon *d) {
        int r;

        r = fdpassd_add_signal(event, SIGTERM, fdpassd_on_terminate, d);
        if (r >= 0)
                r = fdpassd_add_signal(event, SIGINT, fdpassd_on_terminate, d);
        if (r >= 0)
                r = fdpassd_add_signal(event, SIGHUP, fdpassd_on_hangup, d);

        return r;
}

/* Returns how many descriptors the process may have: LimitNOFILE= of the unit, or else the hard limit. */
static size_t fdpassd_max_fds(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 1024;

        if (limit.rlim_cur < limit.rlim_max) {
                struct rlimit raised = { limit.rlim_max, limit.rlim_max };

                /* fdpass.service sets both limits alike, because its SystemCallFilter= forbids setrlimit(2). */
                if (setrlimit(RLIMIT_NOFILE, &raised) >= 0)
                        limit = raised;
        }

        return (size_t) MIN(limit.rlim_cur, (rlim_t) 1 << 20);
}

static int fdpassd_fail(Log *log, int error, const char *what) {
        log_line(log, LOG_ERR, "Failed to %s: %s.", what, strerror(-error));
        return error;
}

/*
 * Closes the connections to the control socket, otherwise they would start a broker without listeners again and again.
 */
static void fdpassd_turn_away(Helper *helper, int control_fd) {
        int fd;

        if (control_fd < 0 || fd_nonblock(control_fd, true) < 0)
                return;

        while ((fd = accept4(control_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
                helper_close(helper, HELPER_CONNECTIONS, fd, 0);
}

static void fdpassd_on_drained(void *userdata) {
        Daemon *d = userdata;

        drained_save(&d->drained);
}

static void fdpassd_read_host_drain(void *userdata) {
        Daemon *d = userdata;

        host_file_read(d->loader.broker, arg_root);
}

static int fdpassd_start_control(Broker *b, int *control_fd, Daemon *d, Control **ret) {
        ControlHost host = {
                .report = &d->loader.report,
                .reload = fdpassd_reload,
                .drained = fdpassd_on_drained,
                .read_host_drain = fdpassd_read_host_drain,
                .userdata = d,
        };
        int r;

        if (*control_fd < 0)
                return 0;

        r = control_new(b, *control_fd, &host, ret);
        if (r >= 0)
                *control_fd = -EBADF; /* consumed */

        return r;
}

static int fdpassd_new_broker(sd_event *event, Log *log, size_t n_fds, Helper *helper, Broker **ret) {
        int r;

        r = broker_new(event, log, n_fds, ret);
        if (r < 0)
                return fdpassd_fail(log, r, "set up the broker");

        r = broker_set_helper(*ret, helper);
        return r < 0 ? fdpassd_fail(log, r, "watch the helper process") : 0;
}

/* Returns 0, EX_CONFIG if there is no socket for clients, or a negative errno, which it logs. */
static int fdpassd_listen(Broker *b, int *ret_control_fd, Daemon *d) {
        int r, seal_fd;

        r = listen_inherited(b, ret_control_fd, &d->drained.fd, &seal_fd, &d->reports);
        seal_store_share(b, seal_fd);
        if (r != 0)
                return MIN(r, 0);

        fdpassd_turn_away(b->helper, *ret_control_fd);
        reports_turn_away(&d->reports);
        log_line_id(b->diag.log, LOG_ERR, MESSAGE_NO_SOCKET,
                    "There is no socket to serve. Restart fdpass.socket: the first client starts the broker.");
        return EX_CONFIG;
}

/* Returns 0 after a stop, EX_CONFIG if there is nothing to serve, or a negative errno, which it logs. */
static int fdpassd_serve(Log *log, sd_event *event) {
        _cleanup_(helper_freep) Helper *helper = NULL; /* the last to be freed, because the others use it */
        _cleanup_(broker_freep) Broker *b = NULL;
        _cleanup_(fdpassd_done) Daemon d = {
                .loader.root = arg_root, .drained.fd = -EBADF, .reports = REPORTS_NULL,
                .auto_reload = { .root = arg_root, .reload = fdpassd_on_change, .userdata = &d, .watch = LINK_WATCH_NULL },
        };
        _cleanup_(status_freep) Status *status = NULL;
        _cleanup_(control_freep) Control *control = NULL;
        _cleanup_close_ int control_fd = -EBADF;
        size_t n_fds = fdpassd_max_fds();
        int r;

        /* The helper comes first, because starting it copies the page tables. */
        r = helper_new(n_fds, sizeof(SocketTask), socket_task_run, &helper);
        if (r < 0)
                return fdpassd_fail(log, r, "start the helper process");

        r = fdpassd_new_broker(event, log, n_fds, helper, &b);
        if (r < 0)
                return r;

        d.loader.broker = d.drained.broker = d.auto_reload.broker = b;
        r = fdpassd_add_signals(event, &d);
        if (r < 0)
                return fdpassd_fail(log, r, "watch for signals");

        r = fdpassd_listen(b, &control_fd, &d);
        if (r != 0)
                return r;

        reports_start(&d.reports, b);

        r = auto_reload_start(&d.auto_reload);
        if (r < 0)
                return fdpassd_fail(log, r, "watch for units that are enabled");

        auto_reload_begin_load(&d.auto_reload);
        r = loader_load(&d.loader);
        if (r < 0)
                return r;

        auto_reload_end_load(&d.auto_reload);

        drained_restore(&d.drained);
        host_file_read(b, arg_root);

        r = fdpassd_start_control(b, &control_fd, &d, &control);
        if (r < 0)
                return fdpassd_fail(log, r, "set up the control interface");

        r = status_new(b, &d.loader.report, &status);
        if (r < 0)
                return fdpassd_fail(log, r, "set up the status line");

        (void) sd_notify(0, "READY=1");

        r = broker_run(b);
        if (r < 0)
                return fdpassd_fail(log, r, "run the event loop");

        (void) sd_notify(0, "STOPPING=1"); /* for a broker that ends because it was idle (ExitIdleTimeSec=) */
        return 0;
}

static int fdpassd_run(Log *log) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        int r;

        r = sd_event_default(&event);
        if (r >= 0)
                r = sd_event_set_watchdog(event, true);
        if (r < 0)
                return fdpassd_fail(log, r, "set up the event loop");

        return fdpassd_serve(log, event);
}

int main(int argc, char *argv[]) {
        _cleanup_(log_freep) Log *log = NULL;
        int r;

        if (output_guard() < 0)
                return EX_OSERR;

        r = fdpassd_parse_argv(argc, argv);
        if (r <= 0)
                return r < 0 ? EX_USAGE : EXIT_SUCCESS;

        umask(0077);
        (void) signal(SIGPIPE, SIG_IGN); /* write(2) and send(2) return EPIPE instead */

        log = log_new("fdpassd");
        if (!log)
                return EX_OSERR;

        r = fdpassd_run(log);
        return r < 0 ? EXIT_FAILURE : r;
}
