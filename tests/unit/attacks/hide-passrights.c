/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Preloaded, it makes SO_PASSRIGHTS unknown, as on kernels before 6.16 (those of Debian 12 and 13). */

#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>

#define PASSRIGHTS 83 /* SO_PASSRIGHTS of linux/socket.h, which older headers lack */

__attribute__((visibility("default"))) int setsockopt(int fd, int level, int name, const void *p, socklen_t n) {
        static int (*next)(int, int, int, const void *, socklen_t);

        if (!next)
                next = (int (*)(int, int, int, const void *, socklen_t)) dlsym(RTLD_NEXT, "setsockopt");

        if (level == SOL_SOCKET && name == PASSRIGHTS) {
                errno = ENOPROTOOPT;
                return -1;
        }

        return next(fd, level, name, p, n);
}
