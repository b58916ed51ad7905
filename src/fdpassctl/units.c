/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdio.h>

#include "basic/fd.h"
#include "basic/output.h"
#include "fdpassctl/fdpassctl.h"

unsigned n_warnings = 0;

static void report(void *userdata, ConfigSeverity severity, const char *unit, const char *path, unsigned line,
                   const char *message) {
        static const char *const names[] = {
                [CONFIG_WARNING] = "warning",
                [CONFIG_ERROR] = "error",
                [CONFIG_NOTE] = "note",
        };
        const char *what = names[severity];

        if (severity == CONFIG_WARNING)
                n_warnings++;
        if (severity != CONFIG_ERROR && arg_quiet)
                return;

        output_text(stderr, path ? path : unit ? unit : arg_root);
        if (path && line > 0)
                fprintf(stderr, ":%u", line);
        fprintf(stderr, ": %s: ", what);
        output_text(stderr, message);
        fputc('\n', stderr);
}

/*
 * The flushers of this system are loaded, which checks them whole. Code of another system is not run: there it has to do
 * that the file is there.
 */
static int check_flushers(Config **config) {
        _cleanup_free_ char *directory = NULL;
        bool is_ours = streq(arg_root, "/");
        int r = -ENOMEM;

        if (asprintf(&directory, "%s%s", is_ours ? "" : arg_root, FDPASS_FLUSHER_DIR) < 0)
                directory = NULL;
        else
                r = config_load_flushers(*config, directory, is_ours, report, NULL);
        if (r < 0)
                *config = config_free(*config);

        return r;
}

Config *units_load(void) {
        _cleanup_close_ int root_fd = -EBADF;
        Config *config;
        int r;

        root_fd = open(arg_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        r = root_fd < 0 ? -errno : config_load(root_fd, report, NULL, &config);
        if (r >= 0)
                r = check_flushers(&config);
        if (r < 0) {
                fprintf(stderr, "Failed to read the units below %s: %s.\n", arg_root, strerror(-r));
                return NULL;
        }

        return config;
}

int units_lint(const Config *config) {
        _cleanup_close_ int root_fd = open(arg_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        int r = root_fd < 0 ? -errno : config_lint(root_fd, config, report, NULL);

        if (r < 0)
                fprintf(stderr, "Failed to read the units below %s: %s.\n", arg_root, strerror(-r));

        return r;
}
