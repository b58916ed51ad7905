/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "helper/shared.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALIGNMENT 64

static size_t shared_align(size_t n) {
        return (n + ALIGNMENT - 1) & ~(size_t) (ALIGNMENT - 1);
}

Shared *shared_new(size_t n_fds, size_t memory_size, HelperWork work, int event_fd) {
        size_t offset = shared_align(sizeof(Shared)), memory_offset, size;
        uint32_t n = 64;
        Shared *s;

        while (n < n_fds && n < UINT32_C(1) << 30)
                n *= 2; /* a descriptor is in one line at most, so no line can be full */

        memory_size = shared_align(memory_size);
        memory_offset = offset + LINES_MAX * n * sizeof(CloseItem);
        size = memory_offset + HELPER_TASKS_MAX * memory_size;

        s = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (s == MAP_FAILED)
                return NULL;

        s->size = size;
        s->memory_size = memory_size;
        s->memory_offset = memory_offset;
        s->work = work;
        s->event_fd = event_fd;
        for (uint32_t i = 0; i < LINES_MAX; i++) {
                s->lines[i].mask = n - 1;
                s->lines[i].offset = offset + i * n * sizeof(CloseItem);
                atomic_init(&s->lines[i].leader, i * LANES_PER_LINE);
        }
        return s;
}

void shared_free(Shared *s) {
        if (s)
                (void) munmap(s, s->size);
}

void shared_wait(_Atomic uint32_t *word, uint32_t value, usec_t timeout) {
        struct timespec ts = {
                .tv_sec = (time_t) (timeout / USEC_PER_SEC),
                .tv_nsec = (long) (timeout % USEC_PER_SEC * 1000),
        };

        /* Without FUTEX_PRIVATE_FLAG, because the loop is another process (futex(2)). */
        (void) syscall(SYS_futex, word, FUTEX_WAIT, value, timeout == USEC_INFINITY ? NULL : &ts, NULL, 0);
}

void shared_wake(_Atomic uint32_t *word) {
        (void) syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void shared_notify(Shared *s) {
        const uint64_t one = 1;

        /* One write(2) is enough until the loop has looked. The loop need not read it (helper_watch()). */
        if (atomic_exchange(&s->is_notified, 1) == 0)
                (void) !write(s->event_fd, &one, sizeof(one));
}
