/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>

#include "workers/options.h"
#include "workers/tls/renewal.h"
#include "workers/tls/supervisor.h"

#define FDS_RESERVED 64      /* descriptors for standard streams, sockets, files, the event loop */
#define FDS_PER_CONNECTION 4 /* the client, both ends of its pair, and a connection to the broker */

static void tls_help(void) {
        printf("fdpass-tls [OPTIONS...]\n\n"
               "Take TLS off clients, and hand them back to the broker.\n\n"
               "     --certificates=DIRECTORY    Where certificates and keys are (credentials \"tls\")\n"
               "     --alpn=PROTOCOL[,...]       Protocols inside of TLS, the best first (http/1.1)\n"
               "     --version-min=1.2|1.3       Oldest version of TLS (1.2)\n"
               "     --client-ca=FILE            Ask clients for a certificate of one of these issuers\n"
               "     --client-certificate=require|optional\n"
               "                                 Whether a client may come without (require)\n"
               "     --ktls=auto|yes|no          Leave the data to the kernel after a handshake (auto)\n"
               "     --handshake-timeout=TIME    Limit for a handshake (5s)\n"
               "     --handshakes-max=NUMBER     Handshakes at once; the next clients wait (1024)\n"
               "     --handshakes-per-source=NUMBER\n"
               "                                 Handshakes at once of one address; further ones are\n"
               "                                 refused (64)\n"
               "  -c --connections-max=NUMBER    Limit of clients; the others wait\n"
               "     --processes=NUMBER          Processes that serve clients (1)\n"
               "     --drain-time=TIME           Time that clients have after a stop (0)\n"
               "     --ticket-seed=PATH          Keep the keys of session tickets in this file\n"
               "     --status=PATH               Write to this file which certificates there are\n"
               "     --check=DIRECTORY           Print which certificates of a directory would be used\n"
               "     --return=PATH               The broker's return socket\n"
               "     --renewal=PATH              Take new certificates on this socket, from root\n"
               "     --renew=PATH                Send the certificates of --certificates= there, and exit\n"
               "  -h --help                      Show this\n"
               "     --version                   Show the version\n\n"
               "See the fdpass-tls(8) man page for details.\n");
}

enum {
        ARG_CERTIFICATES = OPTION_OWN,
        ARG_ALPN,
        ARG_VERSION_MIN,
        ARG_CLIENT_CA,
        ARG_CLIENT_CERTIFICATE,
        ARG_KTLS,
        ARG_HANDSHAKE_TIMEOUT,
        ARG_HANDSHAKES_MAX,
        ARG_HANDSHAKES_PER_SOURCE,
        ARG_PROCESSES,
        ARG_DRAIN_TIME,
        ARG_TICKET_SEED,
        ARG_STATUS,
        ARG_CHECK,
        ARG_RETURN,
        ARG_RENEWAL,
        ARG_RENEW,
};

static const struct option long_options[] = {
        { "certificates", required_argument, NULL, ARG_CERTIFICATES },
        { "alpn", required_argument, NULL, ARG_ALPN },
        { "version-min", required_argument, NULL, ARG_VERSION_MIN },
        { "client-ca", required_argument, NULL, ARG_CLIENT_CA },
        { "client-certificate", required_argument, NULL, ARG_CLIENT_CERTIFICATE },
        { "ktls", required_argument, NULL, ARG_KTLS },
        { "handshake-timeout", required_argument, NULL, ARG_HANDSHAKE_TIMEOUT },
        { "handshakes-max", required_argument, NULL, ARG_HANDSHAKES_MAX },
        { "handshakes-per-source", required_argument, NULL, ARG_HANDSHAKES_PER_SOURCE },
        { "connections-max", required_argument, NULL, 'c' },
        { "processes", required_argument, NULL, ARG_PROCESSES },
        { "drain-time", required_argument, NULL, ARG_DRAIN_TIME },
        { "ticket-seed", required_argument, NULL, ARG_TICKET_SEED },
        { "status", required_argument, NULL, ARG_STATUS },
        { "check", required_argument, NULL, ARG_CHECK },
        { "return", required_argument, NULL, ARG_RETURN },
        { "renewal", required_argument, NULL, ARG_RENEWAL },
        { "renew", required_argument, NULL, ARG_RENEW },
        OPTIONS_COMMON
};

static int tls_parse_alpn(TlsStage *s, const char *value) {
        int r = policy_parse_alpn(&s->policy, value);

        if (r < 0)
                fprintf(stderr, "--alpn=: not names of protocols with commas between them: %s\n", value);
        return r;
}

static int tls_parse_version(TlsStage *s, const char *name, const char *value) {
        static const char *const names[] = { "1.2", "1.3" };
        int r = option_choice(name, value, names, ELEMENTSOF(names));

        if (r >= 0)
                s->policy.version_min = r == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
        return r;
}

static int tls_parse_client_certificate(TlsStage *s, const char *name, const char *value) {
        static const char *const names[] = { "require", "optional" };
        int r = option_choice(name, value, names, ELEMENTSOF(names));

        if (r >= 0)
                s->policy.client_certificate = (ClientCertificate) r;
        return r;
}

static int tls_parse_ktls(TlsStage *s, const char *name, const char *value) {
        static const char *const names[] = { "auto", "yes", "no" };
        int r = option_choice(name, value, names, ELEMENTSOF(names));

        if (r >= 0)
                s->kernel_use = (KernelUse) r;
        return r;
}

static int tls_take_option(void *userdata, int option, const char *name, const char *value) {
        TlsStage *s = userdata;

        switch (option) {
        case ARG_CERTIFICATES:
                s->certificates = value;
                s->credential = NULL;
                return 0;
        case ARG_ALPN:
                return tls_parse_alpn(s, value);
        case ARG_VERSION_MIN:
                return tls_parse_version(s, name, value);
        case ARG_CLIENT_CA:
                s->policy.client_ca = value;
                return 0;
        case ARG_CLIENT_CERTIFICATE:
                return tls_parse_client_certificate(s, name, value);
        case ARG_KTLS:
                return tls_parse_ktls(s, name, value);
        case ARG_HANDSHAKE_TIMEOUT:
                return option_timespan(name, value, &s->limits[TLS_HANDSHAKE]);
        case ARG_HANDSHAKES_MAX:
                return option_unsigned(name, value, INT32_MAX, &s->handshakes_max);
        case ARG_HANDSHAKES_PER_SOURCE:
                return option_unsigned(name, value, INT32_MAX, &s->source_max);
        case 'c':
                return option_unsigned(name, value, INT32_MAX, &s->service.n_max);
        case ARG_PROCESSES:
                return option_unsigned(name, value, SUPERVISOR_PROCESSES_MAX, &s->n_processes);
        case ARG_DRAIN_TIME:
                return option_timespan(name, value, &s->drain_usec);
        case ARG_TICKET_SEED:
                s->seed_path = value;
                return 0;
        case ARG_STATUS:
                s->status_path = value;
                return 0;
        case ARG_CHECK:
                s->certificates = value;
                s->credential = NULL;
                s->is_check = true;
                return 0;
        case ARG_RETURN:
                s->return_path = value;
                return 0;
        case ARG_RENEWAL:
                s->renewal_path = value;
                return 0;
        case ARG_RENEW:
                s->renewal_path = value;
                s->is_sender = true;
                return 0;
        default:
                return -EINVAL;
        }
}

static const OptionSet option_set = {
        .short_options = "c:h",
        .long_options = long_options,
        .help = tls_help,
        .take = tls_take_option,
};

/* Computes from RLIMIT_NOFILE how many connections there may be. */
static void tls_set_limits(TlsStage *s) {
        struct rlimit limit = { .rlim_cur = 1024, .rlim_max = 1024 };
        unsigned n;

        /* Raises the soft limit, which exists for programs that use select(2): systemd.exec(5). */
        if (getrlimit(RLIMIT_NOFILE, &limit) >= 0 && limit.rlim_cur < limit.rlim_max) {
                struct rlimit raised = { limit.rlim_max, limit.rlim_max };

                if (setrlimit(RLIMIT_NOFILE, &raised) >= 0)
                        limit = raised;
        }

        n = (unsigned) MIN(limit.rlim_cur, (rlim_t) INT32_MAX);
        n = n > 2 * FDS_RESERVED ? n - FDS_RESERVED : FDS_RESERVED;
        s->service.n_max = MIN(s->service.n_max, n / FDS_PER_CONNECTION);
        s->handshakes_max = MIN(s->handshakes_max, s->service.n_max);
}

/* Prints what would be loaded. Returns 0, EX_DATAERR if there is a problem or no certificate, or a negative errno. */
static int tls_print_report(const TlsStage *s) {
        CertificateReport report = {};
        CertificateFiles files;
        CertificateSet set;
        bool has_problem;
        int r;

        r = certificate_report_begin(&report);
        if (r >= 0)
                r = certificate_files_read(&files, s->certificates, NULL, &report);
        if (r < 0) {
                fprintf(stderr, "The directory of certificates, %s, can't be read: %s.\n", s->certificates, strerror(-r));
                certificate_report_done(&report);
                return r;
        }

        r = certificate_set_load(&set, &files, NULL, &report);
        certificate_files_done(&files);
        if (r >= 0) {
                has_problem = !set.preset;
                certificate_set_done(&set);
                r = certificate_report_end(&report);
        }
        if (r >= 0) {
                has_problem = has_problem || startswith(report.text, "problem ") || strstr(report.text, "\nproblem ");
                r = fputs(report.text, stdout) >= 0 && fflush(stdout) == 0 ? has_problem ? EX_DATAERR : 0 : -EIO;
        }

        certificate_report_done(&report);
        return r;
}

static int tls_renew(const TlsStage *s) {
        int r = renewal_send(s->renewal_path, s->certificates);

        if (r < 0)
                fprintf(stderr, "The certificates of %s can't be sent to %s: %s\n", s->certificates, s->renewal_path,
                        strerror(-r));
        return r;
}

static int tls_start(TlsStage *s) {
        Log *log = s->service.log;

        (void) prctl(PR_SET_DUMPABLE, 0); /* the keys are not to be in a core dump, nor read by ptrace(2) */
        if (s->is_check)
                return tls_print_report(s);

        if (!s->certificates) {
                log_line(log, LOG_ERR, "There are no credentials. Say LoadCredential=tls:/etc/fdpass/tls in the unit, "
                         "or give the directory by --certificates=.");
                return EX_CONFIG;
        }
        if (s->is_sender)
                return tls_renew(s);

        return supervisor_run(s, s->n_processes);
}

int main(int argc, char *argv[]) {
        _cleanup_(log_freep) Log *log = log_new("fdpass-tls");
        TlsStage s = TLS_STAGE_NULL(log);
        int r;

        if (!log)
                return EX_OSERR;

        s.certificates = getenv("CREDENTIALS_DIRECTORY");
        s.credential = CERTIFICATE_CREDENTIAL;
        r = options_parse(&option_set, argc, argv, &s);
        if (r == OPTIONS_RUN) {
                tls_set_limits(&s);
                r = tls_start(&s);
        } else if (r < 0)
                r = EX_USAGE;

        stage_done(&s);
        service_done(&s.service);
        return r < 0 ? EXIT_FAILURE : r;
}
