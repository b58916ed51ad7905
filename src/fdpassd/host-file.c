/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassd/host-file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "basic/fd.h"
#include "basic/message-ids.h"
#include "broker/host-drain.h"
#include "handoff/protocol.h"

/* Opens the file if it is a regular one. O_NONBLOCK, because opening a FIFO waits for a writer. */
static int host_file_open(const char *root) {
        _cleanup_close_ int root_fd = -EBADF, fd = -EBADF;
        struct stat st;

        root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root_fd < 0)
                return -errno;

        fd = fd_open_in_root(root_fd, FDPASS_DRAINING_PATH, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return fd;

        if (fstat(fd, &st) < 0)
                return -errno;

        return S_ISREG(st.st_mode) ? TAKE_FD(fd) : -EINVAL;
}

/* Reads the first line of the file. Returns 1, 0 if there is no such file, or a negative errno. */
static int host_file_get(const char *root, char *text, size_t size) {
        _cleanup_close_ int fd = host_file_open(root);
        ssize_t n;

        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;

        n = fd_read(fd, text, size - 1);
        if (n < 0)
                return (int) n;

        text[n] = '\0';
        text[strcspn(text, "\n")] = '\0';
        return 1;
}

void host_file_read(Broker *b, const char *root) {
        char reason[HOST_DRAIN_REASON_MAX + 1];
        int r;

        r = host_file_get(root, reason, sizeof(reason));
        if (r < 0) {
                log_line(b->diag.log, LOG_WARNING, "Failed to read " FDPASS_DRAINING_PATH ": %s.", strerror(-r));
                return;
        }

        if (!host_drain_set(b, r > 0 ? reason : NULL))
                return;

        if (b->host_drain.is_on)
                log_line_id(b->diag.log, LOG_NOTICE, MESSAGE_HOST_DRAINED,
                            "The host is drained%s%s. Health checks say so. To end that: fdpassctl undrain --host",
                            reason[0] ? ": " : "", b->host_drain.reason);
        else
                log_line_id(b->diag.log, LOG_NOTICE, MESSAGE_HOST_UNDRAINED, "The host is not drained any more.");
}
