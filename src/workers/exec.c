/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/exec.h"

#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "basic/confine.h"

#define PROCESSES_DEFAULT 64 /* as MaxConnections= of systemd.socket(5) */

enum {
        OUTCOME_RUN = 1,
};

static void help(void) {
        printf("fdpass-exec [OPTIONS...] PROGRAM [ARGUMENT...]\n\n"
               "Run a program for each client, with the client's socket as standard input and output.\n\n"
               "  -c --max-processes=NUMBER     How many at a time; the next clients wait (%u)\n"
               "     --runtime-max=TIME         How long each may run (infinity)\n"
               "     --exit-idle-time=TIME      End when there was no client for so long (infinity)\n"
               "     --stderr=inherit|socket|null\n"
               "                                Where its standard error goes (inherit: the journal)\n"
               "     --confine=auto|yes|no      Keep it from using the client's socket for other connections\n"
               "                                (auto: yes where the service has no network)\n"
               "  -h --help                     Show this\n"
               "     --version                  Show the version\n\n"
               "See the fdpass-exec(8) man page for details.\n", PROCESSES_DEFAULT);
}

enum {
        ARG_RUNTIME_MAX = 0x100,
        ARG_EXIT_IDLE_TIME,
        ARG_STDERR,
        ARG_CONFINE,
        ARG_VERSION,
};

static const struct option options[] = {
        { "max-processes", required_argument, NULL, 'c' },
        { "runtime-max", required_argument, NULL, ARG_RUNTIME_MAX },
        { "exit-idle-time", required_argument, NULL, ARG_EXIT_IDLE_TIME },
        { "stderr", required_argument, NULL, ARG_STDERR },
        { "confine", required_argument, NULL, ARG_CONFINE },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, ARG_VERSION },
        {}
};

static int parse_stderr(Exec *e, const char *value) {
        static const char *const names[_STDERR_MAX] = { "inherit", "socket", "null" };

        for (Stderr i = 0; i < _STDERR_MAX; i++)
                if (streq(value, names[i])) {
                        e->kind_of_stderr = i;
                        return 0;
                }

        fprintf(stderr, "--stderr=: not inherit, socket or null: %s\n", value);
        return -EINVAL;
}

static int parse_confine(Exec *e, const char *value) {
        static const char *const names[_CONFINE_MAX] = { "auto", "no", "yes" };

        for (Confine i = 0; i < _CONFINE_MAX; i++)
                if (streq(value, names[i])) {
                        e->confine = i;
                        return 0;
                }

        fprintf(stderr, "--confine=: not auto, yes or no: %s\n", value);
        return -EINVAL;
}

static int parse_option(Exec *e, int option, const char *value) {
        switch (option) {
        case 'c':
                return option_unsigned("max-processes", value, INT32_MAX, &e->service.n_max);
        case ARG_RUNTIME_MAX:
                return option_timespan("runtime-max", value, &e->runtime_max_usec);
        case ARG_EXIT_IDLE_TIME:
                return option_timespan("exit-idle-time", value, &e->service.exit_idle_usec);
        case ARG_STDERR:
                return parse_stderr(e, value);
        case ARG_CONFINE:
                return parse_confine(e, value);
        default:
                return -EINVAL;
        }
}

/* Returns OUTCOME_RUN, 0 where all is done, or a negative errno where it was complained of. */
static int parse_arguments(Exec *e, int argc, char *argv[]) {
        int option, r;

        /* "+": what follows the program is the program's. */
        while ((option = getopt_long(argc, argv, "+c:h", options, NULL)) >= 0) {
                if (option == 'h') {
                        help();
                        return 0;
                }
                if (option == ARG_VERSION) {
                        puts("fdpass " FDPASS_VERSION);
                        return 0;
                }

                r = parse_option(e, option, optarg);
                if (r < 0)
                        return r;
        }

        if (optind >= argc) {
                fprintf(stderr, "fdpass-exec: a program is missing.\n");
                return -EINVAL;
        }

        e->argv = argv + optind;
        return OUTCOME_RUN;
}

static int serve(Exec *e) {
        int r;

        r = program_check(e->path);
        if (r < 0) /* clients get an answer as long as it is so; it may be there later */
                log_line(e->service.log, LOG_ERR, "%s can't be run: %s.", e->path, strerror(-r));

        r = service_init(&e->service);
        if (r == SERVICE_NO_SOCKET) {
                log_line(e->service.log, LOG_ERR, "There is no socket to take clients from. Start the socket unit instead.");
                return EX_CONFIG;
        }
        if (r >= 0)
                r = exec_init(e);
        if (r >= 0)
                r = service_run(&e->service);

        return r;
}

/* Confines this process, and so all programs. Without being asked to, it does so as far as the kernel can. */
static int confine_programs(const Exec *e) {
        int r;

        if (e->confine == CONFINE_NO || (e->confine == CONFINE_AUTO && !confine_is_due()))
                return 0;

        r = confine(CONFINE_MAY_CONNECT);
        if (r == -EOPNOTSUPP && e->confine == CONFINE_YES)
                log_line(e->service.log, LOG_WARNING, "--confine=yes: the kernel has no Landlock with rights for TCP, and so "
                         "programs can connect their client's socket.");

        return r == -EOPNOTSUPP || e->confine == CONFINE_AUTO ? 0 : r;
}

static int start(Exec *e) {
        int r;

        clean_descriptors();

        r = confine_programs(e);
        if (r < 0)
                return r;

        e->path = program_find(e->argv[0]);
        if (!e->path)
                return -ENOMEM;

        r = environment_init(&e->environment, environ);
        if (r < 0)
                return r;

        if (sd_listen_fds(/* unset_environment= */ 0) == 1 && is_one_client(SD_LISTEN_FDS_START))
                return exec_in_place(e, SD_LISTEN_FDS_START);

        return serve(e);
}

int main(int argc, char *argv[]) {
        _cleanup_(log_freep) Log *log = log_new("fdpass-exec");
        Exec e = {
                .service = {
                        .log = log,
                        .what = "processes",
                        .n_max = PROCESSES_DEFAULT,
                        .exit_idle_usec = USEC_INFINITY,
                },
                .runtime_max_usec = USEC_INFINITY,
        };
        int r;

        if (!log)
                return EX_OSERR;

        r = parse_arguments(&e, argc, argv);
        if (r < 0)
                return EX_USAGE;
        if (r == 0)
                return EXIT_SUCCESS;

        r = start(&e);
        if (r < 0)
                log_line(log, LOG_ERR, "Failed to serve: %s.", strerror(-r));

        exec_done(&e);
        service_done(&e.service);
        return r < 0 ? EXIT_FAILURE : r;
}
