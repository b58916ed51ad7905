/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/add-lock.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"

/* The last holder may have removed the file since it was opened. */
static bool add_lock_is_file(const AddLock *l, int fd) {
        struct stat a, b;

        return fstat(fd, &a) >= 0 && fstatat(l->directory_fd, l->file, &b, AT_SYMLINK_NOFOLLOW) >= 0 &&
               a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int add_lock_take(AddLock *l, int directory_fd, const char *name) {
        l->directory_fd = directory_fd;
        (void) snprintf(l->file, sizeof(l->file), ".#fdpassctl-%.*s.lock", ADD_NAME_MAX, name);

        for (;;) {
                _cleanup_close_ int fd = openat(directory_fd, l->file, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
                int r = fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;

                if (r == -EWOULDBLOCK) {
                        fprintf(stderr, "Another fdpassctl adds or removes %s at this time. Nothing was changed.\n", name);
                        return -EBUSY;
                }
                if (r < 0)
                        return 0;
                if (!add_lock_is_file(l, fd))
                        continue;

                l->fd = TAKE_FD(fd);
                return 0;
        }
}

void add_lock_release(AddLock *l) {
        if (l->fd < 0)
                return;

        (void) unlinkat(l->directory_fd, l->file, 0);
        l->fd = fd_close(l->fd);
}
