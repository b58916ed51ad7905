/* SPDX-License-Identifier: MIT-0 */

/*
 * Claims, by descriptor: a page of them for every 512 descriptors, made when it is needed and never given back. A
 * claim holds as long as the descriptor is the socket that it was made for; nobody need take it away.
 *
 * A descriptor's claim is written by the thread that has just been given the descriptor, so there is one writer;
 * others may look at it meanwhile, for a descriptor that they have closed. That is why the cookie goes last.
 */

#include "workers/preload/preload.h"

#include <stdatomic.h>
#include <sys/mman.h>

#define PAGE_CLAIMS 512
#define PAGES 2048 /* up to the 1,048,576 descriptors of fs.nr_open */

typedef struct Slot {
        _Atomic uint64_t cookie; /* 0: none */
        Claim claim;
} Slot;

static _Atomic(Slot *) pages[PAGES];

static Slot *page_make(size_t i) {
        Slot *page, *other = NULL;

        page = mmap(NULL, PAGE_CLAIMS * sizeof(Slot), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
                return NULL;

        if (!atomic_compare_exchange_strong(&pages[i], &other, page)) {
                (void) munmap(page, PAGE_CLAIMS * sizeof(Slot));
                return other;
        }

        return page;
}

static Slot *slot_of(int fd, bool make) {
        size_t i = (size_t) fd / PAGE_CLAIMS;
        Slot *page;

        if (fd < 0 || i >= PAGES)
                return NULL;

        page = atomic_load_explicit(&pages[i], memory_order_acquire);
        if (!page && make)
                page = page_make(i);

        return page ? &page[(size_t) fd % PAGE_CLAIMS] : NULL;
}

void claim_set(int fd, const Claim *claim) {
        Slot *slot = slot_of(fd, /* make= */ true);

        if (!slot)
                return;

        atomic_store(&slot->cookie, 0);
        slot->claim = *claim;
        atomic_store_explicit(&slot->cookie, socket_cookie(fd), memory_order_release);
}

bool claim_get(int fd, Claim *ret) {
        Slot *slot = slot_of(fd, /* make= */ false);
        uint64_t cookie;

        if (!slot)
                return false;

        cookie = atomic_load_explicit(&slot->cookie, memory_order_acquire);
        if (cookie == 0 || cookie != socket_cookie(fd))
                return false;

        *ret = slot->claim;
        return true;
}

int claim_find_listener(uint64_t cookie, Claim *ret) {
        for (size_t i = 0; i < PAGES; i++) {
                Slot *page = atomic_load_explicit(&pages[i], memory_order_acquire);

                for (size_t k = 0; page && k < PAGE_CLAIMS; k++) {
                        int fd = (int) (i * PAGE_CLAIMS + k);

                        if (atomic_load_explicit(&page[k].cookie, memory_order_acquire) == cookie &&
                            claim_get(fd, ret) && ret->kind == CLAIM_LISTENER)
                                return fd;
                }
        }

        return -ENOENT;
}
