/* SPDX-License-Identifier: MIT-0 */

/*
 * Overrides by descriptor, in pages of 512 descriptors. A page is mapped when it is needed, and never unmapped. An
 * override holds as long as the descriptor is the socket that it was set for, so nothing needs to remove it.
 *
 * One thread writes an override: the one that has just got the descriptor. Other threads may read it at the same time,
 * for a descriptor that they have closed. So the cookie is written last, and a reader compares it.
 */

#include "workers/preload/preload.h"

#include <sys/mman.h>

#define PAGE_OVERRIDES 512
#define PAGES 2048 /* 1,048,576 descriptors: the default of fs.nr_open, proc_sys_fs(5) */

typedef struct OverrideSlot {
        _Atomic uint64_t cookie; /* 0: empty */
        Override override;
} OverrideSlot;

static _Atomic(OverrideSlot *) pages[PAGES];

static OverrideSlot *override_make_page(size_t i) {
        OverrideSlot *page, *other = NULL;

        page = mmap(NULL, PAGE_OVERRIDES * sizeof(OverrideSlot), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                    -1, 0);
        if (page == MAP_FAILED)
                return NULL;

        /* Another thread was faster. */
        if (!atomic_compare_exchange_strong(&pages[i], &other, page)) {
                (void) munmap(page, PAGE_OVERRIDES * sizeof(OverrideSlot));
                return other;
        }

        return page;
}

static OverrideSlot *override_slot(int fd, bool make) {
        size_t i = (size_t) fd / PAGE_OVERRIDES;
        OverrideSlot *page;

        if (fd < 0 || i >= PAGES)
                return NULL;

        page = atomic_load_explicit(&pages[i], memory_order_acquire);
        if (!page && make)
                page = override_make_page(i);

        return page ? &page[(size_t) fd % PAGE_OVERRIDES] : NULL;
}

void override_set_known(int fd, uint64_t cookie, const Override *override) {
        OverrideSlot *slot = override_slot(fd, /* make= */ true);

        if (!slot)
                return;

        atomic_store(&slot->cookie, 0);
        slot->override = *override;
        atomic_store_explicit(&slot->cookie, cookie, memory_order_release);
}

void override_set(int fd, const Override *override) {
        override_set_known(fd, socket_cookie(fd), override);
}

bool override_get(int fd, Override *ret) {
        OverrideSlot *slot = override_slot(fd, /* make= */ false);
        uint64_t cookie;

        if (!slot)
                return false;

        cookie = atomic_load_explicit(&slot->cookie, memory_order_acquire);
        if (cookie == 0 || cookie != socket_cookie(fd))
                return false;

        *ret = slot->override;
        return true;
}

int override_find_listener(uint64_t cookie, Override *ret) {
        for (size_t i = 0; i < PAGES; i++) {
                OverrideSlot *page = atomic_load_explicit(&pages[i], memory_order_acquire);

                for (size_t k = 0; page && k < PAGE_OVERRIDES; k++) {
                        int fd = (int) (i * PAGE_OVERRIDES + k);

                        if (atomic_load_explicit(&page[k].cookie, memory_order_acquire) == cookie &&
                            override_get(fd, ret) && ret->kind == OVERRIDE_LISTENER)
                                return fd;
                }
        }

        return -ENOENT;
}
