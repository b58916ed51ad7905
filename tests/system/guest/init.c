/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* PID 1 of the initial RAM disk of qemu.py: loads modules, mounts the root directory of the host, and starts systemd. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail(const char *what) {
        printf("init: %s: %s\n", what, strerror(errno));
        return 1; /* the kernel panics, and qemu ends */
}

static int load(const char *path) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
                return fail(path);

        return close(fd);
}

/* Mounts a directory of the host. With @cache, what the host changes later is not seen. */
static int mount_tag(const char *tag, const char *path, const char *cache) {
        char options[128];

        (void) snprintf(options, sizeof(options), "trans=virtio,version=9p2000.L,msize=524288,cache=%s", cache);
        return mount(tag, path, "9p", 0, options) < 0 ? fail(path) : 0;
}

int main(void) {
        char path[16];

        for (int i = 0; snprintf(path, sizeof(path), "/%02d.ko", i) > 0 && access(path, F_OK) == 0; i++)
                if (load(path) != 0)
                        return 1;

        if (mount_tag("root", "/root", "loose") != 0 || mount_tag("etc", "/root/etc", "none") != 0)
                return 1;
        if (chdir("/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
                return fail("the root directory");

        (void) execl("/sbin/init", "/sbin/init", (char *) NULL);
        return fail("/sbin/init");
}
