/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/proxy.h"

#include <getopt.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "basic/confine.h"

#define FDS_RESERVED 32     /* standard streams, listeners, the event loop, a name server */
#define PIPES_MAX 256
#define HANDOFFS_MAX 64     /* a connection to the broker each, until the client is taken. More of them wait for room */

typedef enum Outcome {
        OUTCOME_RUN = 1,
} Outcome;

static void help(void) {
        printf("fdpass-proxy [OPTIONS...] [INLET=]ADDRESS...\n\n"
               "Connect each client with a service that can't take its socket.\n\n"
               "Addresses: HOST:PORT, HOST (the port that the client connected to), /PATH,\n"
               "@ABSTRACT, vsock:CID:PORT\n\n"
               "  -c --connections-max=NUMBER    How many clients at a time; the others wait\n"
               "     --connect-timeout=TIME      How long to wait for an address (5s)\n"
               "     --retry-time=TIME           How long to try again where none is there (0)\n"
               "     --idle-timeout=TIME         End connections where nothing is moved (infinity)\n"
               "     --half-closed-timeout=TIME  The same where one end has finished (5min)\n"
               "     --keepalive=TIME            Look for dead peers so often (as the listener)\n"
               "     --exit-idle-time=TIME       End when there was no client for so long (infinity)\n"
               "     --drain-time=TIME           Let connections go on when stopped (0)\n"
               "     --proxy-protocol=v1|v2|no   Tell the service who the client is (no)\n"
               "     --on-failure=error|refuse   Where the service can't be reached: the broker answers\n"
               "                                 the client, or finds another worker (error)\n"
               "  -h --help                      Show this\n"
               "     --version                   Show the version\n\n"
               "See the fdpass-proxy(8) man page for details.\n");
}

enum {
        ARG_CONNECT_TIMEOUT = 0x100,
        ARG_RETRY_TIME,
        ARG_IDLE_TIMEOUT,
        ARG_HALF_CLOSED_TIMEOUT,
        ARG_KEEPALIVE,
        ARG_EXIT_IDLE_TIME,
        ARG_DRAIN_TIME,
        ARG_PROXY_PROTOCOL,
        ARG_ON_FAILURE,
        ARG_VERSION,
};

static const struct option options[] = {
        { "connections-max", required_argument, NULL, 'c' },
        { "connect-timeout", required_argument, NULL, ARG_CONNECT_TIMEOUT },
        { "retry-time", required_argument, NULL, ARG_RETRY_TIME },
        { "idle-timeout", required_argument, NULL, ARG_IDLE_TIMEOUT },
        { "half-closed-timeout", required_argument, NULL, ARG_HALF_CLOSED_TIMEOUT },
        { "keepalive", required_argument, NULL, ARG_KEEPALIVE },
        { "exit-idle-time", required_argument, NULL, ARG_EXIT_IDLE_TIME },
        { "drain-time", required_argument, NULL, ARG_DRAIN_TIME },
        { "proxy-protocol", required_argument, NULL, ARG_PROXY_PROTOCOL },
        { "on-failure", required_argument, NULL, ARG_ON_FAILURE },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, ARG_VERSION },
        {}
};

static int parse_header(Proxy *p, const char *value) {
        int r = proxy_header_from_string(value);

        if (r < 0) {
                fprintf(stderr, "--proxy-protocol=: not v1, v2 or no: %s\n", value);
                return r;
        }

        p->header = (ProxyHeader) r;
        return 0;
}

static int parse_on_failure(Proxy *p, const char *value) {
        p->refuse_on_failure = streq(value, "refuse");
        if (p->refuse_on_failure || streq(value, "error"))
                return 0;

        fprintf(stderr, "--on-failure=: not error or refuse: %s\n", value);
        return -EINVAL;
}

/* Where an option with a time span goes; NULL: it has another value. */
static usec_t *time_of(Proxy *p, int option) {
        switch (option) {
        case ARG_CONNECT_TIMEOUT:
                return &p->limits[PHASE_CONNECTING];
        case ARG_RETRY_TIME:
                return &p->retry_usec;
        case ARG_IDLE_TIMEOUT:
                return &p->limits[PHASE_OPEN];
        case ARG_HALF_CLOSED_TIMEOUT:
                return &p->limits[PHASE_ENDING];
        case ARG_KEEPALIVE:
                return &p->keepalive_usec;
        case ARG_EXIT_IDLE_TIME:
                return &p->service.exit_idle_usec;
        case ARG_DRAIN_TIME:
                return &p->drain_usec;
        default:
                return NULL;
        }
}

static int parse_option(Proxy *p, int option, const char *name, const char *value) {
        usec_t *time = time_of(p, option);

        if (time)
                return option_timespan(name, value, time);

        switch (option) {
        case 'c':
                return option_unsigned("connections-max", value, INT32_MAX, &p->service.n_max);
        case ARG_PROXY_PROTOCOL:
                return parse_header(p, value);
        case ARG_ON_FAILURE:
                return parse_on_failure(p, value);
        default:
                return -EINVAL;
        }
}

static int parse_addresses(Proxy *p, char *const *arguments) {
        if (!*arguments) {
                fprintf(stderr, "fdpass-proxy: where to? An address is missing.\n");
                return -EINVAL;
        }

        for (; *arguments; arguments++) {
                int r = backends_add(&p->backends, *arguments);

                if (r < 0) {
                        fprintf(stderr, "Not an address: %s\n", *arguments);
                        return r;
                }
        }

        return 0;
}

/* Returns OUTCOME_RUN, 0 where all is done, or a negative errno where it was complained of. */
static int parse_arguments(Proxy *p, int argc, char *argv[]) {
        int option, which, r;

        while ((option = getopt_long(argc, argv, "c:h", options, &which)) >= 0) {
                if (option == 'h') {
                        help();
                        return 0;
                }
                if (option == ARG_VERSION) {
                        puts("fdpass " FDPASS_VERSION);
                        return 0;
                }

                r = parse_option(p, option, option < 0x100 ? "" : options[which].name, optarg);
                if (r < 0)
                        return r;
        }

        r = parse_addresses(p, argv + optind);
        return r < 0 ? r : OUTCOME_RUN;
}

/* As many as there are descriptors for, and with a pipe for some of them. */
static void set_limits(Proxy *p) {
        struct rlimit limit = { .rlim_cur = 1024, .rlim_max = 1024 };
        unsigned n, room, pipes, handoffs;

        /* No select(2) in here: what the unit allows is used. */
        if (getrlimit(RLIMIT_NOFILE, &limit) >= 0 && limit.rlim_cur < limit.rlim_max) {
                struct rlimit raised = { limit.rlim_max, limit.rlim_max };

                if (setrlimit(RLIMIT_NOFILE, &raised) >= 0)
                        limit = raised;
        }

        n = (unsigned) MIN(limit.rlim_cur, (rlim_t) INT32_MAX);
        room = n > 2 * FDS_RESERVED ? n - FDS_RESERVED : FDS_RESERVED;
        pipes = MIN(room / 8, (unsigned) PIPES_MAX);
        handoffs = MIN(room / 8, (unsigned) HANDOFFS_MAX);
        p->pipes.n_max = pipes;
        p->service.n_max = MIN(p->service.n_max, (room - 2 * pipes - handoffs) / 2);
}

/* Confines a proxy whose services are all at AF_UNIX or vsock addresses. Others need connect(2) for TCP. */
static int confine_proxy(const Proxy *p) {
        int r;

        if (backends_have_tcp(&p->backends))
                return 0;

        r = confine(CONFINE_MAY_CONNECT);
        return r == -EOPNOTSUPP || r == -ENOSYS ? 0 : r;
}

static int start(Proxy *p) {
        Log *log = p->service.log;
        const Backend *which;
        const char *why;
        int r;

        r = confine_proxy(p);
        if (r < 0) {
                log_line(log, LOG_ERR, "Failed to confine the proxy: %s.", strerror(-r));
                return r;
        }

        r = backends_resolve(&p->backends, &which, &why);
        if (r == BACKENDS_UNRESOLVED) {
                log_line(log, LOG_ERR, "Failed to look up %s: %s.", which->host, why);
                return EX_NOHOST;
        }

        r = service_init(&p->service);
        if (r == SERVICE_NO_SOCKET) {
                log_line(log, LOG_ERR, "There is no socket to take clients from. Start the socket unit instead.");
                return EX_CONFIG;
        }
        if (r >= 0)
                r = proxy_init(p);
        if (r >= 0)
                r = service_run(&p->service);
        if (r < 0)
                log_line(log, LOG_ERR, "Failed to serve: %s.", strerror(-r));

        return r;
}

int main(int argc, char *argv[]) {
        _cleanup_(log_freep) Log *log = log_new("fdpass-proxy");
        Proxy p = PROXY_NULL(log);
        int r;

        if (!log)
                return EX_OSERR;

        r = parse_arguments(&p, argc, argv);
        if (r == OUTCOME_RUN) {
                set_limits(&p);
                r = start(&p);
        } else if (r < 0)
                r = EX_USAGE;

        proxy_done(&p);
        service_done(&p.service);
        return r < 0 ? EXIT_FAILURE : r;
}
