/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "config/report.h"
#include "config/unit-file.h"

int unit_file_new_masked(const char *path, UnitFile **ret) {
        return unit_file_new(path, UNIT_FILE_MASKED, ret);
}

/* Creates a file whose only content is the finding that it can't be read. */
static int unit_file_read_unreadable(const char *path, const char *why, UnitFile **ret) {
        _cleanup_(unit_file_freep) UnitFile *f = NULL;
        char message[128];
        int r;

        r = unit_file_new(path, UNIT_FILE_LOADED, &f);
        if (r < 0)
                return r;

        (void) snprintf(message, sizeof(message), "The file can't be read: %s.", why);

        r = unit_file_add_finding(f, CONFIG_ERROR, 0, message);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(f);
        return 0;
}

/* Turns an error of reading into a file: a missing file is a state, other errors are findings. Returns fatal errors. */
static int unit_file_read_error(const char *path, int error, UnitFile **ret) {
        if (errno_is_missing(error))
                return unit_file_new(path, UNIT_FILE_MISSING, ret);
        if (errno_is_fatal(error))
                return error;

        return unit_file_read_unreadable(path, strerror(-error), ret);
}

static int unit_file_read_regular(int fd, const char *path, size_t size, UnitFile **ret) {
        _cleanup_free_ char *text = malloc(size + 1);
        ssize_t n;

        if (!text)
                return -ENOMEM;

        n = fd_read(fd, text, size);
        if (n < 0)
                return unit_file_read_error(path, (int) n, ret);

        return unit_file_parse(path, TAKE_PTR(text), (size_t) n, ret);
}

/* As null_or_empty() of systemd (src/basic/stat-util.c): an empty file, or any device. */
static bool unit_file_read_is_mask(const struct stat *st) {
        return S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode) || (S_ISREG(st->st_mode) && st->st_size == 0);
}

/* Examines the file without opening it, because open(2) alone may start an action of a device, and waits for a FIFO. */
static int unit_file_read_stat(int root_fd, const char *path, struct stat *ret) {
        _cleanup_close_ int fd = fd_open_in_root(root_fd, path, O_PATH);

        if (fd < 0)
                return fd;

        return fstat(fd, ret) < 0 ? -errno : 0;
}

int unit_file_is_masked(int root_fd, const char *path, bool *ret) {
        struct stat st;
        int r;

        r = unit_file_read_stat(root_fd, path, &st);
        if (r < 0 && errno_is_fatal(r))
                return r;

        *ret = r >= 0 && unit_file_read_is_mask(&st);
        return 0;
}

int unit_file_read(int root_fd, const char *path, UnitFile **ret) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        int r;

        r = unit_file_read_stat(root_fd, path, &st);
        if (r < 0)
                return unit_file_read_error(path, r, ret);
        if (unit_file_read_is_mask(&st))
                return unit_file_new_masked(path, ret);
        if (!S_ISREG(st.st_mode))
                return unit_file_read_unreadable(path, "it is not a regular file", ret);

        fd = fd_open_in_root(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return unit_file_read_error(path, fd, ret);

        /* Check again, because the file may have been replaced. */
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return unit_file_read_unreadable(path, "it is not a regular file", ret);
        if (st.st_size > (off_t) UNIT_FILE_SIZE_MAX)
                return unit_file_read_unreadable(path, "it is larger than 1 MiB", ret);

        return unit_file_read_regular(fd, path, (size_t) st.st_size, ret);
}
