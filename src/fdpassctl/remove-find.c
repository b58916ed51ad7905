/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/remove-find.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "fdpassctl/add-marker.h"
#include "fdpassctl/add-types.h"

/* Larger than any file that add writes, which may have been edited. */
#define REMOVE_TEXT_MAX ((size_t) 256 << 10)

void remove_done(Remove *m) {
        m->directory_fd = fd_close(m->directory_fd);
        strlist_clear(&m->whole);
        strlist_clear(&m->kept);
        strlist_clear(&m->directories);
}

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

int remove_find(Remove *m) {
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
