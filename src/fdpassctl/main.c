/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl: shows and changes the state of the broker, and checks units. */

#include <locale.h>
#include <stdio.h>

#include "basic/output.h"
#include "fdpassctl/options.h"
#include "fdpassctl/pager.h"
#include "fdpassctl/verbs.h"

/* Returns the exit status of the verb, or a negative errno after a message. */
static int main_dispatch(int argc, char *argv[]) {
        static const struct {
                const char *name;
                int (*run)(int argc, char *argv[]);
                bool is_alone; /* it has neither arguments nor options of its own, so it parses none */
        } verbs[] = {
                { "status", verb_status, true },
                { "list-listeners", verb_list_listeners, true },
                { "list-routes", verb_list_routes, true },
                { "list-workers", verb_list_workers, true },
                { "list-clients", verb_list_clients, true },
                { "list-connections", verb_list_connections, false },
                { "monitor", verb_monitor, false },
                { "top", verb_top, false },
                { "metrics", verb_metrics, false },
                { "graph", verb_graph, false },
                { "health", verb_health, false },
                { "wait", verb_wait, false },
                { "drain", verb_drain, false },
                { "undrain", verb_undrain, false },
                { "reload", verb_reload, true },
                { "log-level", verb_log_level, false },
                { "add", verb_add, false },
                { "remove", verb_remove, false },
                { "verify", verb_verify, true },
                { "cat", verb_cat, false },
                { "test", verb_test, false },
                { "import", verb_import, false },
        };

        if (argc == 0)
                return verb_status(0, NULL);

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (streq(argv[0], verbs[i].name)) {
                        int r = verbs[i].is_alone ? parse_alone(argc, argv) : 1;

                        return r > 0 ? verbs[i].run(argc, argv) : r;
                }

        fprintf(stderr, "There is no command %s. See fdpassctl --help.\n", argv[0]);
        return -EINVAL;
}

int main(int argc, char *argv[]) {
        int i, status;

        if (output_guard() < 0)
                return EXIT_FAILURE;

        /* wcwidth(3) needs a UTF-8 locale. This one is part of glibc since 2.35, so it exists on every system. */
        (void) setlocale(LC_CTYPE, "C.UTF-8");

        i = parse_before_verb(argc, argv);
        if (i <= 0)
                return i < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        status = main_dispatch(argc - i, argv + i);
        pager_close();
        return status < 0 ? EXIT_FAILURE : status;
}
