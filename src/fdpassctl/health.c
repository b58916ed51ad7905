/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl health: says whether the host should get clients, or serves that to load balancers. */

#include <stdio.h>

#include "fdpassctl/health-ask.h"
#include "fdpassctl/health-serve.h"
#include "fdpassctl/options.h"
#include "fdpassctl/text.h"
#include "fdpassctl/verbs.h"

static const char health_help[] =
        "fdpassctl health [OPTIONS...] [UNIT...]\n\n"
        "Show whether load balancers should send clients to this host, and to the routes of these units. The exit status "
        "is 0\nif so, 1 if not, and 2 if the host is drained.\n\n"
        "     --serve          Serve it to health checks and agents on the sockets from systemd\n"
        "  -h --help           Show this help\n";

/* Exit statuses, beside EXIT_SUCCESS and EXIT_FAILURE */
#define HEALTH_EXIT_DRAINING 2

int verb_health(int argc, char *argv[]) {
        HealthQuestion q = {};
        HealthAnswer a;
        bool is_server = false;
        const VerbOption options[] = { { "serve", .flag = &is_server }, {} };
        int i = parse_options(argc, argv, health_help, options, NULL), status;

        if (i <= 0)
                return i;
        if (is_server)
                return health_serve();

        for (; i < argc; i++)
                if (!health_add(&q, argv[i], strlen(argv[i]))) {
                        fprintf(stderr, "%s is no name of a unit, or there are more than %i.\n", argv[i], HEALTH_UNITS_MAX);
                        return EXIT_FAILURE;
                }

        health_ask(&q, &a);
        if (!arg_quiet) {
                printf("%s%s", !a.is_well ? "down" : a.is_draining ? "draining" : "ready", a.reason[0] ? ": " : "");
                text_print(stdout, a.reason);
                printf("\n");
                text_print_lines(stdout, a.details ?: "");
        }
        status = !a.is_well ? EXIT_FAILURE : a.is_draining ? HEALTH_EXIT_DRAINING : EXIT_SUCCESS;
        health_answer_done(&a);
        return status;
}
