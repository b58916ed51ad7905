/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassd/store.h"

#include <stdio.h>
#include <sys/mman.h>
#include <systemd/sd-daemon.h>

#include "basic/macro.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U /* Linux 6.3 */
#endif

int store_new(const char *name, unsigned flags, int *ret) {
        char text[64];
        int fd;

        (void) snprintf(text, sizeof(text), "fdpass-%s", name);
        fd = memfd_create(text, MFD_CLOEXEC | MFD_NOEXEC_SEAL | flags);
        if (fd < 0 && errno == EINVAL)
                fd = memfd_create(text, MFD_CLOEXEC | flags);
        if (fd < 0)
                return -errno;

        *ret = fd;
        return 0;
}

int store_put(const char *name, int fd) {
        char text[512];

        (void) snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
        return sd_pid_notify_with_fds(0, 0, text, &fd, 1);
}
