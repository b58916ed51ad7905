/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl add: writes the units of a worker, checks them and starts them. */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "fdpassctl/add-check.h"
#include "fdpassctl/add-live.h"
#include "fdpassctl/add-name.h"
#include "fdpassctl/add-options.h"
#include "fdpassctl/add-program.h"
#include "fdpassctl/add-recipes.h"
#include "fdpassctl/add-try.h"
#include "fdpassctl/add-units.h"
#include "fdpassctl/add-write.h"
#include "fdpassctl/options.h"
#include "fdpassctl/systemctl.h"
#include "fdpassctl/verbs.h"

static void add_show(const AddFiles *files) {
        for (size_t i = 0; i < files->n_items; i++)
                printf("%s# %s/%s\n%s", i > 0 ? "\n" : "", ADD_DIRECTORY, files->items[i].path, files->items[i].text);
}

/* Without it, an interrupted command would leave half of its work. */
static void add_block_signals(sigset_t *ret_before) {
        sigset_t s;

        sigemptyset(&s);
        sigaddset(&s, SIGINT);
        sigaddset(&s, SIGTERM);
        sigaddset(&s, SIGHUP);
        sigaddset(&s, SIGQUIT);
        sigaddset(&s, SIGPIPE); /* the reader of the output may be gone */
        sigprocmask(SIG_BLOCK, &s, ret_before);
}

static void add_report_warnings(void) {
        if (!arg_quiet)
                fputc('\n', stdout);
}

/* Checks and starts what was written. Returns 0, or a negative errno after a message. */
static int add_finish(const AddPlan *plan, const AddFiles *files, AddLive *live, Config **ret) {
        int r;

        *ret = add_check_units(plan, files);
        if (!*ret)
                return -EINVAL;

        if (!arg_quiet) {
                add_show(files);
                add_report_warnings();
        }
        if (plan->no_start)
                return 0;

        r = add_live_begin(plan, live);
        if (r < 0)
                fprintf(stderr, "%s was not added. Everything is as before.\n", plan->name);
        return r;
}

/* Another add may have written units of this name since they were looked for, under other names of files. */
static int add_check_again(int root_fd, const AddPlan *plan, const AddFiles *files, AddWriter *w) {
        int r = add_name_check_units(root_fd, plan, files);

        if (r < 0)
                add_writer_undo(w);
        return r;
}

/* Writes the files. After an error everything is as before. */
static int add_write(int root_fd, const AddPlan *plan, const AddFiles *files) {
        AddWriter w = ADD_WRITER_INIT(root_fd);
        _cleanup_(config_freep) Config *config = NULL;
        AddLive live = {};
        sigset_t before;
        int r;

        add_block_signals(&before);
        r = add_writer_open(&w, plan->name);
        if (r >= 0)
                r = add_check_again(root_fd, plan, files, &w);
        if (r >= 0)
                r = add_writer_write(&w, files);
        if (r >= 0) {
                r = add_finish(plan, files, &live, &config);
                if (r < 0) {
                        add_live_undo(plan, &live);
                        add_writer_undo(&w);
                        add_live_restore(plan, &live);
                }
        }
        if (r >= 0 && !arg_quiet)
                add_try_print(plan, config);

        fflush(stdout);
        add_writer_done(&w);
        sigprocmask(SIG_SETMASK, &before, NULL);
        return r;
}

/* Makes the texts, and checks what can be checked before anything is written. */
static int add_prepare(int root_fd, AddPlan *plan, AddFiles *files) {
        int r;

        plan->recipe = add_recipe_find(plan);
        r = plan->recipe ? add_program_find(root_fd, plan) : -EINVAL;
        if (r < 0)
                return r;

        /* Below another root, the first line of a program of this host tells nothing. */
        plan->has_program = plan->has_program && streq(arg_root, "/");
        if (plan->recipe->unit) {
                plan->was_enabled = systemctl_is_enabled(plan->recipe->unit);
                plan->was_active = systemctl_is_active(plan->recipe->unit);
        }

        r = add_units_make(plan, files);
        if (r < 0) {
                fprintf(stderr, "Failed to make the units: %s.\n", strerror(-r));
                return r;
        }

        r = add_name_check_units(root_fd, plan, files);
        if (r >= 0)
                r = add_program_check_files(root_fd, plan, files);
        return r < 0 ? r : add_check_keys(plan, files);
}

static int add_run(AddPlan *plan) {
        _cleanup_close_ int root_fd = open(arg_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(add_files_done) AddFiles files = {};
        int r;

        if (root_fd < 0) {
                r = -errno;
                fprintf(stderr, "Failed to open %s: %s.\n", arg_root, strerror(-r));
                return r;
        }

        if (!plan->print && streq(arg_root, "/") && geteuid() != 0) {
                fprintf(stderr, "add writes to %s, so it has to run as root. With --print it only shows the units.\n",
                        ADD_DIRECTORY);
                return -EPERM;
        }

        r = add_prepare(root_fd, plan, &files);
        if (r < 0)
                return r;

        if (plan->print) {
                add_show(&files);
                return 0;
        }

        return add_write(root_fd, plan, &files);
}

int verb_add(int argc, char *argv[]) {
        _cleanup_(add_plan_done) AddPlan plan = {};
        int r = add_parse_options(argc, argv, &plan);

        if (r <= 0)
                return r;

        return add_run(&plan) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
