/* SPDX-License-Identifier: MIT-0 */

/* Which descriptors another process may have too, because this one has forked. getpid() would be a system call. */

#include "workers/preload/preload.h"

#include <pthread.h>

static struct {
        unsigned process;
        atomic_uint n;
} forks;

static void forks_before(void) {
        atomic_fetch_add_explicit(&forks.n, 1, memory_order_relaxed);
}

static void forks_in_child(void) {
        forks.process++;
}

void forks_init(void) {
        (void) pthread_atfork(forks_before, NULL, forks_in_child);
}

unsigned forks_process(void) {
        return forks.process;
}

unsigned forks_count(void) {
        return atomic_load_explicit(&forks.n, memory_order_relaxed);
}
