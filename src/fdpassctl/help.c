/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/help.h"

#include <stdio.h>

int help_general(void) {
        printf("fdpassctl [OPTIONS...] COMMAND\n\n"
               "Query and control the socket handoff broker.\n\n"
               "Ask the broker (root and the group fdpass-admin):\n"
               "  status              Show the state of the broker, problems first\n"
               "  list-listeners      List the public sockets\n"
               "  list-routes         List the routes, with counters\n"
               "  list-workers        List the workers, with their state\n"
               "  list-clients        List the clients that no worker has yet\n"
               "  monitor             Show each handoff as it happens\n"
               "  top                 Show rates, queues and waiting times, live\n"
               "  metrics             Print all counters as OpenMetrics\n"
               "  graph               Print listeners, routes and workers for Graphviz\n\n"
               "Change the broker (root and the group fdpass-admin):\n"
               "  drain WORKER...     Send no more clients to these workers\n"
               "  undrain WORKER...   Send clients to these workers again\n"
               "  reload              Read the units again, and print what is wrong with them\n"
               "  log-level [LEVEL]   Show or set the lowest level that is logged\n\n"
               "Read units, without a broker:\n"
               "  verify              Check all units, with an exit status\n"
               "  cat [UNIT...]       Show the settings of each unit, and the file of each setting\n"
               "  test OPTIONS...     Show which route a client would take, and why no other\n"
               "  import-httpd FILE   Print the units that replace lines for mod_proxy_fdpass\n\n"
               "Options:\n"
               "  -h --help           Show this help; after a command, the help of the command\n"
               "     --version        Show the version\n"
               "     --json=MODE      Print JSON: pretty, short or off\n"
               "  -j                  The same as --json=pretty on a terminal, and --json=short elsewhere\n"
               "     --no-pager       Do not pipe output into a pager\n"
               "     --no-legend      Do not print headers and footers\n"
               "  -l --full           Do not cut lines\n"
               "  -q --quiet          Print errors only\n"
               "     --root=DIR       Read the units below DIR instead of /\n"
               "     --control=PATH   Ask the broker at PATH instead of /run/fdpass/control\n\n"
               "See the fdpassctl(1) man page for details.\n");
        return 0;
}
