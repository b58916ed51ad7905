/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/proxy.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "basic/confine.h"
#include "workers/options.h"

#define FDS_RESERVED 32 /* descriptors for standard streams, sockets, the event loop, a name server */
#define PIPES_MAX 256
#define HANDOFFS_MAX 64 /* connections to the broker: one per client, until it is taken */

static void proxy_help(void) {
        printf("fdpass-proxy [OPTIONS...] [SOCKET=]ADDRESS...\n\n"
               "Connect each client with a service that can't take its socket.\n\n"
               "Addresses: HOST:PORT, HOST (the port that the client connected to), /PATH,\n"
               "@ABSTRACT, vsock:CID:PORT\n\n"
               "  -c --connections-max=NUMBER    Limit of clients; the others wait\n"
               "     --connect-timeout=TIME      Limit for connecting to an address (5s)\n"
               "     --retry-time=TIME           Limit for further attempts if no address accepts (0)\n"
               "     --idle-timeout=TIME         End connections that move nothing (infinity)\n"
               "     --half-closed-timeout=TIME  The same if one end has finished (5min)\n"
               "     --keepalive=TIME            Interval of probes for dead peers (that of the listener)\n"
               "     --exit-idle-time=TIME       Exit after this time without a client (infinity)\n"
               "     --drain-time=TIME           Time that connections have after a stop (0)\n"
               "     --http                      Hand a client back if its next request is another route's\n"
               "     --proxy-protocol=v1|v2|no   Send the client's addresses to the service (no)\n"
               "     --on-failure=reject|decline If no address accepts: the broker answers the client,\n"
               "                                 or finds another worker (reject)\n"
               "  -h --help                      Show this\n"
               "     --version                   Show the version\n\n"
               "See the fdpass-proxy(8) man page for details.\n");
}

enum {
        ARG_CONNECT_TIMEOUT = OPTION_OWN,
        ARG_RETRY_TIME,
        ARG_IDLE_TIMEOUT,
        ARG_HALF_CLOSED_TIMEOUT,
        ARG_KEEPALIVE,
        ARG_EXIT_IDLE_TIME,
        ARG_DRAIN_TIME,
        ARG_HTTP,
        ARG_PROXY_PROTOCOL,
        ARG_ON_FAILURE,
};

static const struct option long_options[] = {
        { "connections-max", required_argument, NULL, 'c' },
        { "connect-timeout", required_argument, NULL, ARG_CONNECT_TIMEOUT },
        { "retry-time", required_argument, NULL, ARG_RETRY_TIME },
        { "idle-timeout", required_argument, NULL, ARG_IDLE_TIMEOUT },
        { "half-closed-timeout", required_argument, NULL, ARG_HALF_CLOSED_TIMEOUT },
        { "keepalive", required_argument, NULL, ARG_KEEPALIVE },
        { "exit-idle-time", required_argument, NULL, ARG_EXIT_IDLE_TIME },
        { "drain-time", required_argument, NULL, ARG_DRAIN_TIME },
        { "http", no_argument, NULL, ARG_HTTP },
        { "proxy-protocol", required_argument, NULL, ARG_PROXY_PROTOCOL },
        { "on-failure", required_argument, NULL, ARG_ON_FAILURE },
        OPTIONS_COMMON
};

static int proxy_parse_header(Proxy *p, const char *name, const char *value) {
        static const char *const names[_PROXY_HEADER_MAX] = { "v1", "v2", "no" };
        int r = option_choice(name, value, names, _PROXY_HEADER_MAX);

        if (r >= 0)
                p->header = (ProxyHeader) r;
        return r;
}

static int proxy_parse_on_failure(Proxy *p, const char *name, const char *value) {
        static const char *const names[] = { "reject", "decline" };
        int r = option_choice(name, value, names, ELEMENTSOF(names));

        if (r >= 0)
                p->may_decline = r == 1;
        return r;
}

/* Returns the destination of an option that is a time span, or NULL for other options. */
static usec_t *proxy_timespan(Proxy *p, int option) {
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

static int proxy_take_option(void *userdata, int option, const char *name, const char *value) {
        Proxy *p = userdata;
        usec_t *timespan = proxy_timespan(p, option);

        if (timespan)
                return option_timespan(name, value, timespan);

        switch (option) {
        case 'c':
                return option_unsigned(name, value, INT32_MAX, &p->service.n_max);
        case ARG_HTTP:
                p->is_http = true;
                return 0;
        case ARG_PROXY_PROTOCOL:
                return proxy_parse_header(p, name, value);
        case ARG_ON_FAILURE:
                return proxy_parse_on_failure(p, name, value);
        default:
                return -EINVAL;
        }
}

static const OptionSet option_set = {
        .short_options = "c:h",
        .long_options = long_options,
        .help = proxy_help,
        .take = proxy_take_option,
};

static int proxy_parse_addresses(Proxy *p, char *const *arguments) {
        if (!*arguments) {
                fprintf(stderr, "fdpass-proxy: an address is missing.\n");
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

/* Returns as options_parse() does. */
static int proxy_parse_arguments(Proxy *p, int argc, char *argv[]) {
        int r = options_parse(&option_set, argc, argv, p);

        if (r == OPTIONS_RUN && proxy_parse_addresses(p, argv + optind) < 0)
                return -EINVAL;

        return r;
}

/* Computes from RLIMIT_NOFILE how many connections, pipes and open handoffs there may be. */
static void proxy_set_limits(Proxy *p) {
        struct rlimit limit = { .rlim_cur = 1024, .rlim_max = 1024 };
        unsigned n, room, pipes, handoffs;

        /* Raises the soft limit, which exists for programs that use select(2): systemd.exec(5). */
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

/* Confines the process, unless a backend needs connect(2) for TCP. */
static int proxy_confine(const Proxy *p) {
        int r;

        if (backends_have_tcp(&p->backends))
                return 0;

        r = confine(CONFINE_MAY_CONNECT);
        return r == -EOPNOTSUPP || r == -ENOSYS ? 0 : r;
}

static int proxy_start(Proxy *p) {
        Log *log = p->service.log;
        const Backend *which;
        const char *why;
        int r;

        r = proxy_confine(p);
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

        r = proxy_parse_arguments(&p, argc, argv);
        if (r == OPTIONS_RUN) {
                proxy_set_limits(&p);
                r = proxy_start(&p);
        } else if (r < 0)
                r = EX_USAGE;

        proxy_done(&p);
        service_done(&p.service);
        return r < 0 ? EXIT_FAILURE : r;
}
