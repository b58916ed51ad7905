/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl remove: takes away what fdpassctl add wrote. */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "fdpassctl/add-live.h"
#include "fdpassctl/add-lock.h"
#include "fdpassctl/add-name.h"
#include "fdpassctl/options.h"
#include "fdpassctl/remove-find.h"
#include "fdpassctl/systemctl.h"
#include "fdpassctl/verbs.h"

static const char remove_help[] =
        "fdpassctl remove [OPTIONS...] NAME\n\n"
        "Stop and remove the units that \"fdpassctl add NAME\" wrote. Files that were changed since stay.\n\n"
        "Options:\n"
        "     --root=DIR       Remove the units below DIR, and stop nothing\n"
        "  -h --help           Show this help\n";

/* The route goes first, so that no client waits for a socket that is about to close. */
static void remove_stop(const Remove *m) {
        char unit[ADD_NAME_MAX + 16], service[ADD_NAME_MAX + 16];
        bool is_ours = streq(arg_root, "/");

        (void) snprintf(unit, sizeof(unit), "%s.%s", m->name, m->has_target ? "target" : "socket");
        (void) snprintf(service, sizeof(service), "%s.service", m->name);
        (void) systemctl_run(true, "disable", "--no-reload", "--", unit, NULL);
        if (!is_ours)
                return;

        (void) add_live_reload_brokers();
        (void) systemctl_run(true, "stop", "--", unit, NULL);
        if (m->has_target)
                return; /* add made neither the worker's socket nor its service */
        if (strlist_has(&m->whole, service) || strlist_has(&m->kept, service))
                (void) systemctl_run(true, "stop", "--", service, NULL);
        add_live_remove_socket(m->name);
}

/* Returns false after a message about a file that can't be removed. */
static bool remove_delete(const Remove *m) {
        bool is_done = true;

        for (size_t i = 0; i < m->whole.n_items; i++) {
                if (unlinkat(m->directory_fd, m->whole.items[i], 0) >= 0) {
                        if (!arg_quiet)
                                printf("Removed %s/%s.\n", ADD_DIRECTORY, m->whole.items[i]);
                        continue;
                }

                fprintf(stderr, "Failed to remove %s/%s: %s.\n", ADD_DIRECTORY, m->whole.items[i], strerror(errno));
                is_done = false;
        }

        /* A directory with other files stays. */
        for (size_t i = 0; i < m->directories.n_items; i++)
                (void) unlinkat(m->directory_fd, m->directories.items[i], AT_REMOVEDIR);

        return is_done;
}

static void remove_tidy(const Remove *m) {
        char units[ADD_NAME_MAX + 16];

        (void) snprintf(units, sizeof(units), "%s.*", m->name);
        if (streq(arg_root, "/")) {
                (void) systemctl_run(false, "daemon-reload", NULL);
                (void) systemctl_run(true, "reset-failed", "--", units, NULL);
        }

        if (m->enabled && systemctl_run(false, "enable", "--quiet", "--", m->enabled, NULL) == 0 && !arg_quiet)
                printf("%s is enabled again, and not started, because its port may be the broker's.\n", m->enabled);
}

static void remove_report_kept(const Remove *m) {
        for (size_t i = 0; i < m->kept.n_items; i++)
                fprintf(stderr, "%s/%s stays: fdpassctl add did not write it, or it was changed since.\n",
                        ADD_DIRECTORY, m->kept.items[i]);
}

static int remove_run(Remove *m) {
        int r = remove_find(m);

        if (r < 0) {
                fprintf(stderr, "Failed to look for the units of %s: %s.\n", m->name, strerror(-r));
                return EXIT_FAILURE;
        }

        if (m->whole.n_items == 0) {
                remove_report_kept(m);
                fprintf(stderr, "There is no unchanged file that fdpassctl add wrote for %s. Nothing was changed.\n",
                        m->name);
                return m->kept.n_items > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        }

        /* A worker whose files can't be removed goes on. */
        if (faccessat(m->directory_fd, ".", W_OK, AT_EACCESS) < 0) {
                fprintf(stderr, "Failed to write to %s: %s. Nothing was changed.\n", ADD_DIRECTORY, strerror(errno));
                return EXIT_FAILURE;
        }

        remove_stop(m);
        r = remove_delete(m) ? EXIT_SUCCESS : EXIT_FAILURE;
        remove_tidy(m);
        remove_report_kept(m);
        return r;
}

/*
 * A worker that is stopped and still has its files would come back at the next boot. So Ctrl-C does not end the command in
 * between. Ignored signals are ignored by systemctl, too (execve(2)).
 */
static int remove_run_locked(Remove *m) {
        static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
        AddLock lock = ADD_LOCK_NULL;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                (void) signal(signals[i], SIG_IGN);

        r = add_lock_take(&lock, m->directory_fd, m->name);
        if (r < 0)
                return EXIT_FAILURE;

        r = remove_run(m);
        add_lock_release(&lock);
        return r;
}

static int remove_open(Remove *m) {
        _cleanup_close_ int root_fd = open(arg_root, O_PATH | O_DIRECTORY | O_CLOEXEC);

        m->directory_fd = root_fd < 0 ? -errno : fd_open_in_root(root_fd, ADD_DIRECTORY, O_RDONLY | O_DIRECTORY);
        if (m->directory_fd >= 0 || m->directory_fd == -ENOENT)
                return m->directory_fd;

        fprintf(stderr, "Failed to open %s: %s.\n", ADD_DIRECTORY, strerror(-m->directory_fd));
        return m->directory_fd;
}

int verb_remove(int argc, char *argv[]) {
        _cleanup_(remove_done) Remove m = { .directory_fd = -EBADF };
        int i = parse_options(argc, argv, remove_help, NULL, NULL);

        if (i <= 0)
                return i;

        if (i + 1 != argc) {
                fprintf(stderr, "remove needs one name, that of fdpassctl add.\n");
                return EXIT_FAILURE;
        }

        m.name = argv[i];
        if (!add_name_check(m.name))
                return EXIT_FAILURE;
        if (streq(arg_root, "/") && geteuid() != 0) {
                fprintf(stderr, "remove deletes files in %s, so it has to run as root.\n", ADD_DIRECTORY);
                return EXIT_FAILURE;
        }

        return remove_open(&m) < 0 ? EXIT_FAILURE : remove_run_locked(&m);
}
