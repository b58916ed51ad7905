/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/exec.h"

#include <stdio.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "basic/confine.h"
#include "workers/options.h"

#define PROCESSES_DEFAULT 64 /* as MaxConnections= of systemd.socket(5) */

static void exec_help(void) {
        printf("fdpass-exec [OPTIONS...] PROGRAM [ARGUMENT...]\n\n"
               "Run a program for each client, with the client's socket as standard input and output.\n\n"
               "  -c --max-processes=NUMBER     Limit of running programs; the next clients wait (%u)\n"
               "     --runtime-max=TIME         Limit for each program (infinity)\n"
               "     --exit-idle-time=TIME      Exit after this time without a client (infinity)\n"
               "     --stderr=inherit|socket|null\n"
               "                                Standard error of programs (inherit: the journal)\n"
               "     --confine=auto|yes|no      Keep programs from using the client's socket for other\n"
               "                                connections (auto: yes if the service has no network)\n"
               "  -h --help                     Show this\n"
               "     --version                  Show the version\n\n"
               "See the fdpass-exec(8) man page for details.\n", PROCESSES_DEFAULT);
}

enum {
        ARG_RUNTIME_MAX = OPTION_OWN,
        ARG_EXIT_IDLE_TIME,
        ARG_STDERR,
        ARG_CONFINE,
};

static const struct option long_options[] = {
        { "max-processes", required_argument, NULL, 'c' },
        { "runtime-max", required_argument, NULL, ARG_RUNTIME_MAX },
        { "exit-idle-time", required_argument, NULL, ARG_EXIT_IDLE_TIME },
        { "stderr", required_argument, NULL, ARG_STDERR },
        { "confine", required_argument, NULL, ARG_CONFINE },
        OPTIONS_COMMON
};

static int exec_parse_stderr(Exec *e, const char *name, const char *value) {
        static const char *const names[_STDERR_MAX] = { "inherit", "socket", "null" };
        int r = option_choice(name, value, names, _STDERR_MAX);

        if (r >= 0)
                e->stderr_mode = (StderrMode) r;
        return r;
}

static int exec_parse_confine(Exec *e, const char *name, const char *value) {
        static const char *const names[_CONFINE_MODE_MAX] = CONFINE_MODE_NAMES;
        int r = option_choice(name, value, names, _CONFINE_MODE_MAX);

        if (r >= 0)
                e->confine = (ConfineMode) r;
        return r;
}

static int exec_take_option(void *userdata, int option, const char *name, const char *value) {
        Exec *e = userdata;

        switch (option) {
        case 'c':
                return option_unsigned(name, value, INT32_MAX, &e->service.n_max);
        case ARG_RUNTIME_MAX:
                return option_timespan(name, value, &e->runtime_max_usec);
        case ARG_EXIT_IDLE_TIME:
                return option_timespan(name, value, &e->service.exit_idle_usec);
        case ARG_STDERR:
                return exec_parse_stderr(e, name, value);
        case ARG_CONFINE:
                return exec_parse_confine(e, name, value);
        default:
                return -EINVAL;
        }
}

/* "+" ends the options at the program, because the following ones are the program's. */
static const OptionSet option_set = {
        .short_options = "+c:h",
        .long_options = long_options,
        .help = exec_help,
        .take = exec_take_option,
};

/* Returns as options_parse() does. */
static int exec_parse_arguments(Exec *e, int argc, char *argv[]) {
        int r = options_parse(&option_set, argc, argv, e);

        if (r == OPTIONS_RUN && optind >= argc) {
                fprintf(stderr, "fdpass-exec: a program is missing.\n");
                return -EINVAL;
        }

        e->argv = argv + optind;
        return r;
}

static int exec_serve(Exec *e) {
        int r;

        r = program_check(e->path);
        if (r < 0) /* no reason to end: clients get an answer, and the program may be installed later */
                log_line(e->service.log, LOG_ERR, "%s can't be run: %s.", e->path, strerror(-r));

        r = service_init(&e->service);
        if (r == SERVICE_NO_SOCKET) {
                log_line(e->service.log, LOG_ERR,
                         "There is no socket to take clients from. Start the socket unit instead.");
                return EX_CONFIG;
        }
        if (r >= 0)
                r = exec_init(e);
        if (r >= 0)
                r = service_run(&e->service);

        return r;
}

/* Confines this process and its children. Without --confine=yes, an older kernel is no error. */
static int exec_confine(const Exec *e) {
        int r;

        if (e->confine == CONFINE_MODE_NO || (e->confine == CONFINE_MODE_AUTO && !confine_is_due()))
                return 0;

        r = confine(CONFINE_MAY_CONNECT);
        if (r == -EOPNOTSUPP && e->confine == CONFINE_MODE_YES)
                log_line(e->service.log, LOG_WARNING,
                         "--confine=yes: the kernel has no Landlock with rights for TCP, and so programs can connect "
                         "their client's socket.");

        return r == -EOPNOTSUPP || e->confine == CONFINE_MODE_AUTO ? 0 : r;
}

static int exec_start(Exec *e) {
        int r;

        exec_clean_descriptors();

        r = exec_confine(e);
        if (r < 0)
                return r;

        e->path = program_find(e->argv[0]);
        if (!e->path)
                return -ENOMEM;

        r = program_environment_init(&e->environment, environ);
        if (r < 0)
                return r;

        if (sd_listen_fds(/* unset_environment= */ 0) == 1 && exec_is_one_client(SD_LISTEN_FDS_START))
                return exec_in_place(e, SD_LISTEN_FDS_START);

        return exec_serve(e);
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

        r = exec_parse_arguments(&e, argc, argv);
        if (r != OPTIONS_RUN)
                return r < 0 ? EX_USAGE : EXIT_SUCCESS;

        r = exec_start(&e);
        if (r < 0)
                log_line(log, LOG_ERR, "Failed to serve: %s.", strerror(-r));

        exec_done(&e);
        service_done(&e.service);
        return r < 0 ? EXIT_FAILURE : r;
}
