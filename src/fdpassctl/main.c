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
