/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl verify: are all units right? */

#include <stdio.h>

#include "fdpassctl/fdpassctl.h"

int verb_verify(int argc, char *argv[]) {
        _cleanup_(config_freep) Config *config = NULL;

        int i = parse_common(argc, argv);

        if (i <= 0)
                return i < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        if (i < argc) {
                fprintf(stderr, "verify takes no arguments: it looks at all units.\n");
                return EXIT_FAILURE;
        }

        config = units_load(/* quiet= */ false);
        if (!config)
                return EXIT_FAILURE;

        printf("%zu route%s, %u error%s.\n", config->n_routes, config->n_routes == 1 ? "" : "s",
               config->n_errors, config->n_errors == 1 ? "" : "s");

        return config->n_errors > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
