/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl: questions to the configuration and to the broker, and a few wishes. */

#include <stdio.h>

#include "basic/output.h"
#include "fdpassctl/options.h"
#include "fdpassctl/terminal.h"

int help(void) {
        printf("fdpassctl [OPTIONS...] COMMAND\n\n"
               "Query and control the socket handoff broker.\n\n"
               "The broker, for root and the group fdpass-admin:\n"
               "  status              Show how it is, and first what is wrong\n"
               "  list-listeners      List the public sockets\n"
               "  list-routes         List the routes, with counters\n"
               "  list-workers        List the workers and how they are\n"
               "  list-clients        List the clients that have no worker yet\n"
               "  monitor             Show each handoff as it happens\n"
               "  top                 Show rates, queues and waits, live\n"
               "  metrics             Print all counters as OpenMetrics\n"
               "  graph               Print listeners, routes and workers for Graphviz\n\n"
               "Changes, for the same:\n"
               "  drain WORKER...     Give these workers no more clients\n"
               "  undrain WORKER...   Give them clients again\n"
               "  reload              Read the units again, and say what is wrong with them\n"
               "  log-level [LEVEL]   Show or set the lowest level that is logged\n\n"
               "Units, without a broker:\n"
               "  verify              Check all units, with an exit status\n"
               "  cat [UNIT...]       Show what is in effect for each unit, and from which file\n"
               "  test OPTIONS...     Show which route a client would take, and why no other\n"
               "  import-httpd FILE   Print the units that replace lines for mod_proxy_fdpass\n\n"
               "Options:\n"
               "  -h --help           Show this help; after a command, its own\n"
               "     --version        Show the version\n"
               "     --json=MODE      Print JSON: pretty, short or off\n"
               "  -j                  The same: pretty on a terminal, short elsewhere\n"
               "     --no-pager       Do not pipe output into a pager\n"
               "     --no-legend      Do not print headers and footers\n"
               "  -l --full           Do not cut lines\n"
               "  -q --quiet          Print errors only\n"
               "     --root=DIR       Read the units below DIR instead of /\n"
               "     --control=PATH   Ask the broker at PATH instead of /run/fdpass/control\n\n"
               "See the fdpassctl(1) man page for details.\n");
        return 0;
}

static int dispatch(int argc, char *argv[]) {
        static const struct {
                const char *name;
                int (*run)(int argc, char *argv[]);
        } verbs[] = {
                { "status", verb_status },
                { "list-listeners", verb_list_listeners },
                { "list-routes", verb_list_routes },
                { "list-workers", verb_list_workers },
                { "list-clients", verb_list_clients },
                { "monitor", verb_monitor },
                { "top", verb_top },
                { "metrics", verb_metrics },
                { "graph", verb_graph },
                { "drain", verb_drain },
                { "undrain", verb_undrain },
                { "reload", verb_reload },
                { "log-level", verb_log_level },
                { "verify", verb_verify },
                { "cat", verb_cat },
                { "test", verb_test },
                { "import-httpd", verb_import_httpd },
        };

        if (argc == 0)
                return verb_status(1, (char *[]){ (char[]){ "status" }, NULL });

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (streq(argv[0], verbs[i].name))
                        return verbs[i].run(argc, argv);

        fprintf(stderr, "There is no command %s. See fdpassctl --help.\n", argv[0]);
        return EXIT_FAILURE;
}

int main(int argc, char *argv[]) {
        int i, status;

        if (output_guard() < 0)
                return EXIT_FAILURE;

        /* "+": what follows the command belongs to it. */
        i = parse_options(argc, argv, NULL, "+", NULL, NULL);
        if (i <= 0)
                return i < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        status = dispatch(argc - i, argv + i);
        pager_close();
        return status;
}
