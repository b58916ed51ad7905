/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/fd.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "basic/address.h"

int fd_close(int fd) {
        if (fd >= 0) {
                int saved = errno;

                /* close(2) releases the descriptor even if it returns EINTR, so it is not repeated. */
                (void) close(fd);
                errno = saved;
        }

        return -EBADF;
}

int fd_close_socket(int fd) {
        struct linger linger = {};
        socklen_t length = sizeof(linger);

        /* With a time of zero close(2) resets the connection and does not wait. */
        if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length) >= 0 && linger.l_onoff &&
            linger.l_linger > 0) {
                linger.l_onoff = 0;
                (void) setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        }

        return fd_close(fd);
}

int fd_nonblock(int fd, bool on) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0)
                return -errno;

        int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
        if (wanted == flags)
                return 0;

        return fcntl(fd, F_SETFL, wanted) < 0 ? -errno : 0;
}

ssize_t fd_read(int fd, void *buffer, size_t size) {
        size_t n = 0;

        while (n < size) {
                ssize_t k = read(fd, (char *) buffer + n, size - n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t) k;
        }

        return (ssize_t) n;
}

int fd_option(int fd, int option) {
        int value = 0;
        socklen_t size = sizeof(value);

        return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -errno : value;
}

int fd_connect_unix(const char *path, int type) {
        _cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
        struct sockaddr_un sun;
        socklen_t len;
        int r;

        if (fd < 0)
                return -errno;

        r = address_from_path(path, &sun, &len);
        if (r < 0)
                return r;

        return connect(fd, (const struct sockaddr *) &sun, len) < 0 ? -errno : TAKE_FD(fd);
}

static bool fd_is_real_root(int fd) {
        struct stat a, b;

        return fstat(fd, &a) >= 0 && stat("/", &b) >= 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int fd_open_in_root(int root_fd, const char *path, int flags) {
        struct open_how how = {
                .flags = (uint64_t) (unsigned) (flags | O_CLOEXEC),
                .resolve = RESOLVE_IN_ROOT,
        };
        long fd;

        /* EAGAIN: a rename elsewhere came between, and openat2(2) says to repeat the call. */
        for (unsigned tries = 0; tries < 16; tries++) {
                fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
                if (fd >= 0)
                        return (int) fd;
                if (errno != EAGAIN)
                        break;
        }

        /*
         * RestrictSUIDSGID= of systemd answers openat2(2) with ENOSYS, because a filter can't read its struct. In the
         * root directory itself openat(2) does the same.
         */
        if (errno == ENOSYS && fd_is_real_root(root_fd)) {
                fd = openat(root_fd, path, flags | O_CLOEXEC);
                if (fd >= 0)
                        return (int) fd;
        }

        return -errno;
}
