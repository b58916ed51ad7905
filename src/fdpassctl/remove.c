/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl remove: takes away what fdpassctl add wrote. */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "fdpassctl/add-live.h"
#include "fdpassctl/add-marker.h"
#include "fdpassctl/add-name.h"
#include "fdpassctl/options.h"
#include "fdpassctl/systemctl.h"
#include "fdpassctl/verbs.h"

/* Larger than any file that add writes, which may have been edited. */
#define REMOVE_TEXT_MAX ((size_t) 256 << 10)

/* The files of NAME below ADD_DIRECTORY. Paths are relative to it. */
typedef struct Remove {
        const char *name;
        int directory_fd;
        StringList whole;        /* files that are unchanged */
        StringList kept;         /* files that were changed, or that belong to the units and are not add's */
        StringList directories;  /* directories of drop-ins */
        const char *enabled;     /* server's own unit that was enabled before; static. NULL: none */
        bool has_target;         /* there is NAME.target and not NAME.socket */
} Remove;

static void remove_done(Remove *m) {
        m->directory_fd = fd_close(m->directory_fd);
        strlist_clear(&m->whole);
        strlist_clear(&m->kept);
        strlist_clear(&m->directories);
}

static const char remove_help[] =
        "fdpassctl remove [OPTIONS...] NAME\n\n"
        "Stop and remove the units that \"fdpassctl add NAME\" wrote. Files that were changed since stay.\n\n"
        "Options:\n"
        "     --root=DIR       Remove the units below DIR, and stop nothing\n"
        "  -h --help           Show this help\n";

/* Returns the text of a file for the caller to free, "" for anything else, or NULL without memory. */
static char *remove_read(int fd) {
        struct stat st;
        char *text;
        ssize_t n = 0;

        text = malloc(REMOVE_TEXT_MAX + 1);
        if (!text)
                return NULL;

        if (fd >= 0 && fstat(fd, &st) >= 0 && S_ISREG(st.st_mode))
                n = fd_read(fd, text, REMOVE_TEXT_MAX);
        text[MAX(n, (ssize_t) 0)] = '\0';
        return text;
}

static void remove_note_server(Remove *m, const char *text) {
        static const char *const units[] = { "nginx.service", "apache2.service" };

        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (add_marker_was_enabled(text, units[i]))
                        m->enabled = units[i];
}

/* Looks at one file. @is_of_unit: it is for a unit NAME, written by add or not. */
static int remove_look_at(Remove *m, const char *path, bool is_of_unit) {
        _cleanup_close_ int fd = openat(m->directory_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        _cleanup_free_ char *text = NULL;
        AddMarkerState state;

        if (fd < 0 && errno == ENOENT)
                return 0;

        text = remove_read(fd);
        if (!text)
                return -ENOMEM;

        state = add_marker_check(m->name, text);
        if (state == ADD_MARKER_WHOLE)
                remove_note_server(m, text);
        if (state == ADD_MARKER_WHOLE)
                return strlist_add(&m->whole, path);

        return state == ADD_MARKER_CHANGED || is_of_unit ? strlist_add(&m->kept, path) : 0;
}

/* Looks at the drop-ins in the directory @name. */
static int remove_look_below(Remove *m, const char *name) {
        _cleanup_close_ int fd = openat(m->directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        size_t n_stem = strlen(m->name);
        bool is_of_unit = strncmp(name, m->name, n_stem) == 0 &&
                          (streq(name + n_stem, ".service.d") || streq(name + n_stem, ".socket.d") ||
                           streq(name + n_stem, ".target.d"));
        size_t n_before = m->whole.n_items;
        struct dirent *entry;
        DIR *d = fd < 0 ? NULL : fdopendir(fd);
        int r = 0;

        if (!d)
                return fd < 0 && errno_is_missing(-errno) ? 0 : -errno;

        fd = -EBADF;
        while (r >= 0 && (entry = readdir(d))) {
                char path[2 * (NAME_MAX + 1)];

                (void) snprintf(path, sizeof(path), "%s/%s", name, entry->d_name);
                if (entry->d_name[0] != '.')
                        r = remove_look_at(m, path, is_of_unit);
        }

        closedir(d);
        return r >= 0 && (is_of_unit || m->whole.n_items > n_before) ? strlist_add(&m->directories, name) : r;
}

static int remove_find_dropins(Remove *m) {
        _cleanup_close_ int fd = openat(m->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd < 0 ? NULL : fdopendir(fd);
        struct dirent *entry;
        int r = 0;

        if (!d)
                return -errno;

        fd = -EBADF;
        while (r >= 0 && (entry = readdir(d))) {
                size_t n = strlen(entry->d_name);

                if (n > 2 && streq(entry->d_name + n - 2, ".d"))
                        r = remove_look_below(m, entry->d_name);
        }

        closedir(d);
        return r;
}

static int remove_find(Remove *m) {
        static const char *const types[] = { "socket", "target", "service" };
        char path[ADD_NAME_MAX + 16];
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(types); i++) {
                size_t n = m->whole.n_items;

                (void) snprintf(path, sizeof(path), "%s.%s", m->name, types[i]);
                r = remove_look_at(m, path, /* is_of_unit= */ true);
                if (streq(types[i], "target"))
                        m->has_target = m->whole.n_items > n;
        }

        return r < 0 ? r : remove_find_dropins(m);
}

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
                fprintf(stderr, "%s/%s stays: fdpassctl add did not write it, or it was changed since.\n", ADD_DIRECTORY,
                        m->kept.items[i]);
}

static int remove_run(Remove *m) {
        int r = remove_find(m);

        if (r < 0) {
                fprintf(stderr, "Failed to look for the units of %s: %s.\n", m->name, strerror(-r));
                return EXIT_FAILURE;
        }

        if (m->whole.n_items == 0) {
                remove_report_kept(m);
                fprintf(stderr, "There is no unchanged file that fdpassctl add wrote for %s. Nothing was changed.\n", m->name);
                return m->kept.n_items > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        }

        remove_stop(m);
        r = remove_delete(m) ? EXIT_SUCCESS : EXIT_FAILURE;
        remove_tidy(m);
        remove_report_kept(m);
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

        return remove_open(&m) < 0 ? EXIT_FAILURE : remove_run(&m);
}
