/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/listening.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"

/* The flag __SO_ACCEPTCON of a socket that accepts connections (include/linux/net.h of the kernel). */
#define ACCEPTS_CONNECTIONS 0x10000U

static int listening_add_line(const char *line, StringList *ret) {
        const char *path = strchr(line, '/');
        unsigned flags;

        if (!path || sscanf(line, "%*s %*s %*s %x", &flags) != 1 || !(flags & ACCEPTS_CONNECTIONS))
                return 0;

        return strlist_add_n(ret, path, strcspn(path, "\n"));
}

int listening_list(int root_fd, StringList *ret) {
        _cleanup_close_ int fd = fd_open_in_root(root_fd, "/proc/net/unix", O_RDONLY);
        _cleanup_fclose_ FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
        _cleanup_free_ char *line = NULL;
        size_t size = 0;
        int r = 0;

        if (!f)
                return fd < 0 ? fd : -errno;
        fd = -EBADF; /* owned by @f now */

        while (r >= 0 && getline(&line, &size, f) >= 0)
                r = listening_add_line(line, ret);
        if (r >= 0)
                strlist_sort_unique(ret);

        return r;
}

static int listening_compare(const void *path, const void *item) {
        return strcmp(path, *(const char *const *) item);
}

bool listening_has(const StringList *l, const char *path) {
        return l->n_items > 0 && bsearch(path, l->items, l->n_items, sizeof(*l->items), listening_compare);
}
