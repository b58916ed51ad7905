/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "connections/store.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "connections/routes.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U /* Linux 6.3 */
#endif

#define STORE_MAGIC "fdpassCT"

/* Each change of the layout of the memfd needs another number. */
#define STORE_VERSION 2

/* The parts of the memfd. Each begins with a page of its own. */
enum {
        AREA_HEADER,
        AREA_LISTENERS,
        AREA_ROUTES,
        AREA_SLOTS,
        AREA_PAST,
        AREA_IDS,
        _AREA_MAX,
};

/* Sets where the parts begin, and at the end the size of the whole, in bytes. */
static void store_lay_out(size_t at[static _AREA_MAX + 1]) {
        const size_t sizes[_AREA_MAX] = {
                [AREA_HEADER] = sizeof(StoreHeader),
                [AREA_LISTENERS] = STORE_LISTENERS_MAX * STORE_LISTENER_SIZE,
                [AREA_ROUTES] = CONNECTION_ROUTES_MAX * sizeof(StoreRoute),
                [AREA_SLOTS] = CONNECTION_TABLE_MAX * sizeof(Connection),
                [AREA_PAST] = CONNECTION_TABLE_MAX * sizeof(ConnectionPast),
                [AREA_IDS] = CONNECTION_TABLE_MAX * CONNECTION_ID_MAX,
        };

        at[0] = 0;
        for (size_t i = 0; i < _AREA_MAX; i++)
                at[i + 1] = (at[i] + sizes[i] + 4095) & ~(size_t) 4095;
}

static int store_map(ConnectionStore *s) {
        size_t at[_AREA_MAX + 1];
        char *base;

        store_lay_out(at);
        base = mmap(NULL, at[_AREA_MAX], PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, s->fd, 0);
        if (base == MAP_FAILED)
                return -errno;

        s->size = at[_AREA_MAX];
        s->header = (void *) (base + at[AREA_HEADER]);
        s->listeners = (void *) (base + at[AREA_LISTENERS]);
        s->routes = (void *) (base + at[AREA_ROUTES]);
        s->slots = (void *) (base + at[AREA_SLOTS]);
        s->past = (void *) (base + at[AREA_PAST]);
        s->ids = (void *) (base + at[AREA_IDS]);
        return 0;
}

static int store_create_memfd(void) {
        _cleanup_close_ int fd = memfd_create("fdpass-connections", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
        size_t at[_AREA_MAX + 1];

        if (fd < 0 && errno == EINVAL)
                fd = memfd_create("fdpass-connections", MFD_CLOEXEC);
        if (fd < 0)
                return -errno;

        store_lay_out(at);
        if (ftruncate(fd, (off_t) at[_AREA_MAX]) < 0)
                return -errno;

        return TAKE_FD(fd);
}

ConnectionStore *connection_store_free(ConnectionStore *s) {
        if (!s)
                return NULL;

        if (s->header)
                (void) munmap(s->header, s->size);
        fd_close(s->fd);
        free(s);
        return NULL;
}

int connection_store_new(ConnectionStore **ret) {
        _cleanup_(connection_store_freep) ConnectionStore *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;

        s->fd = r = store_create_memfd();
        if (r >= 0)
                r = store_map(s);
        if (r < 0)
                return r;

        memcpy(s->header->magic, STORE_MAGIC, sizeof(s->header->magic));
        s->header->version = STORE_VERSION;
        *ret = TAKE_PTR(s);
        return 0;
}

/* False if the memfd is none of ours. A page beyond its end would raise SIGBUS (mmap(2)). */
static bool store_is_ours(int fd) {
        size_t at[_AREA_MAX + 1];
        StoreHeader header;
        struct stat st;

        store_lay_out(at);
        return fstat(fd, &st) >= 0 && st.st_size == (off_t) at[_AREA_MAX] &&
               pread(fd, &header, sizeof(header), 0) == sizeof(header) &&
               memcmp(header.magic, STORE_MAGIC, sizeof(header.magic)) == 0 && header.version == STORE_VERSION &&
               header.n_touched <= CONNECTION_TABLE_MAX && header.n_listeners <= STORE_LISTENERS_MAX;
}

int connection_store_open(int fd, ConnectionStore **ret) {
        _cleanup_free_ ConnectionStore *s = NULL;
        int r;

        if (!store_is_ours(fd))
                return STORE_FOREIGN;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;

        s->fd = fd;
        r = store_map(s);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(s);
        return 0;
}
