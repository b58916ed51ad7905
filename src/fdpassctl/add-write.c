/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/add-write.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"

/* Splits "a/b" into the directory, which is opened, and the last part. Returns the directory or a negative errno. */
static int add_write_open_parent(int fd, const char *path, const char **ret_last) {
        const char *slash = strrchr(path, '/');
        char parent[PATH_MAX];

        *ret_last = slash ? slash + 1 : path;
        if (!slash)
                return fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (snprintf(parent, sizeof(parent), "%.*s", (int) (slash - path), path) >= (int) sizeof(parent))
                return -ENAMETOOLONG;

        return fd_open_in_root(fd, *parent ? parent : "/", O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

/* Makes a directory and notes it in @made. Returns 0, also if it exists. */
static int add_write_mkdir(int fd, const char *path, const char *suffix, StringList *made) {
        _cleanup_free_ char *noted = NULL;
        _cleanup_close_ int parent = -EBADF;
        const char *last;

        if (asprintf(&noted, "%s%s", path, suffix) < 0) {
                noted = NULL;
                return -ENOMEM;
        }

        parent = add_write_open_parent(fd, path, &last);
        if (parent < 0)
                return parent;
        if (mkdirat(parent, last, 0755) < 0)
                return errno == EEXIST ? 0 : -errno;

        (void) !fchmodat(parent, last, 0755, 0); /* whatever the umask is */
        if (strlist_add(made, noted) >= 0)
                return 0;

        (void) unlinkat(parent, last, AT_REMOVEDIR);
        return -ENOMEM;
}

/* Opens ADD_DIRECTORY. It is made where a root directory does not have it yet. */
static int add_write_open(AddWriter *w) {
        static const char *const paths[] = { "/etc", "/etc/systemd", ADD_DIRECTORY };
        int r = fd_open_in_root(w->root_fd, ADD_DIRECTORY, O_RDONLY | O_DIRECTORY);

        if (r == -ENOENT) {
                r = 0;
                for (size_t i = 0; r >= 0 && i < ELEMENTSOF(paths); i++)
                        r = add_write_mkdir(w->root_fd, paths[i], "", &w->directories);
                if (r >= 0)
                        r = fd_open_in_root(w->root_fd, ADD_DIRECTORY, O_RDONLY | O_DIRECTORY);
        }
        if (r < 0)
                return r;

        w->directory_fd = r;
        return 0;
}

static int add_write_all(int fd, const char *text) {
        size_t n = strlen(text);

        while (n > 0) {
                ssize_t k = write(fd, text, n);

                if (k < 0 && errno != EINTR)
                        return -errno;
                if (k > 0) {
                        text += k;
                        n -= (size_t) k;
                }
        }

        /* A full disk may tell so only when the bytes are written out. */
        return fchmod(fd, 0644) < 0 || fsync(fd) < 0 ? -errno : 0;
}

/*
 * Writes a file under a temporary name, which systemd ignores, and links it. An existing file is never replaced. The
 * temporary name has that of the lock, because an add of another name may write the same drop-in at this time.
 */
static int add_write_text(const AddWriter *w, int parent, const char *name, const char *text) {
        _cleanup_close_ int fd = -EBADF;
        char temporary[NAME_MAX + 1];
        int r;

        (void) snprintf(temporary, sizeof(temporary), "%s-%.100s", w->lock.fd >= 0 ? w->lock.file : ".#fdpassctl", name);
        (void) unlinkat(parent, temporary, 0); /* of an add that was killed */
        fd = openat(parent, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;

        r = add_write_all(fd, text);
        if (r >= 0 && linkat(parent, temporary, parent, name, 0) < 0)
                r = -errno;
        (void) unlinkat(parent, temporary, 0);
        return r;
}

static int add_write_file(AddWriter *w, const AddFile *file) {
        _cleanup_close_ int parent = -EBADF;
        const char *slash = strchr(file->path, '/'), *last;
        int r = 0;

        if (slash) {
                char directory[NAME_MAX + 1];

                (void) snprintf(directory, sizeof(directory), "%.*s", (int) (slash - file->path), file->path);
                r = add_write_mkdir(w->directory_fd, directory, "/", &w->made);
        }
        if (r < 0)
                return r;

        parent = add_write_open_parent(w->directory_fd, file->path, &last);
        if (parent < 0)
                return parent;

        r = add_write_text(w, parent, last, file->text);
        if (r >= 0 && strlist_add(&w->made, file->path) < 0) {
                (void) unlinkat(parent, last, 0);
                r = -ENOMEM;
        }
        return r;
}

int add_writer_open(AddWriter *w, const char *name) {
        int r = add_write_open(w);

        if (r < 0)
                fprintf(stderr, "Failed to open %s: %s.\n", ADD_DIRECTORY, strerror(-r));
        else if (name)
                r = add_lock_take(&w->lock, w->directory_fd, name);

        if (r < 0)
                add_writer_undo(w);
        return r;
}

int add_writer_write(AddWriter *w, const AddFiles *files) {
        int r = w->directory_fd >= 0 ? 0 : add_writer_open(w, NULL);

        for (size_t i = 0; r >= 0 && i < files->n_items; i++) {
                r = add_write_file(w, &files->items[i]);
                if (r == -EEXIST)
                        fprintf(stderr, "%s/%s exists already, and add replaces no file. Nothing was changed.\n",
                                ADD_DIRECTORY, files->items[i].path);
                else if (r < 0)
                        fprintf(stderr, "Failed to write %s/%s: %s. Nothing was changed.\n", ADD_DIRECTORY,
                                files->items[i].path, strerror(-r));
        }

        if (r < 0)
                add_writer_undo(w);
        return r;
}

static void add_write_remove(int fd, const char *path, bool is_directory) {
        char name[PATH_MAX];
        _cleanup_close_ int parent = -EBADF;
        const char *last;
        size_t n = strlen(path);

        (void) snprintf(name, sizeof(name), "%.*s", (int) (n - (path[n - 1] == '/')), path);
        parent = add_write_open_parent(fd, name, &last);
        if (parent >= 0)
                (void) unlinkat(parent, last, is_directory ? AT_REMOVEDIR : 0);
}

void add_writer_undo(AddWriter *w) {
        for (size_t i = w->made.n_items; i > 0; i--) {
                const char *path = w->made.items[i - 1];

                add_write_remove(w->directory_fd, path, path[strlen(path) - 1] == '/');
        }
        strlist_clear(&w->made);
        add_lock_release(&w->lock); /* it is in the last of the directories */

        for (size_t i = w->directories.n_items; i > 0; i--)
                add_write_remove(w->root_fd, w->directories.items[i - 1], true);
        strlist_clear(&w->directories);
}

void add_writer_done(AddWriter *w) {
        add_lock_release(&w->lock);
        strlist_clear(&w->made);
        strlist_clear(&w->directories);
        w->directory_fd = fd_close(w->directory_fd);
}
