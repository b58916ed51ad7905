/* SPDX-License-Identifier: MIT-0 */

/* Which descriptors another process may have too, because this one has forked. getpid() would be a system call. */

#include "workers/preload/io.h"
#include "workers/preload/preload.h"

#include <pthread.h>

_public_ int forks_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                               const posix_spawnattr_t *attributes, char *const *argv, char *const *variables)
        __asm__("posix_spawn");
_public_ int forks_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                                const posix_spawnattr_t *attributes, char *const *argv, char *const *variables)
        __asm__("posix_spawnp");

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

/* It runs no handler of pthread_atfork(3), and its child may get any descriptor under another number. */
int forks_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                      const posix_spawnattr_t *attributes, char *const *argv, char *const *variables) {
        preload_init();
        forks_before();
        return io_real.posix_spawn(pid, path, actions, attributes, argv, variables);
}

int forks_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const *argv, char *const *variables) {
        preload_init();
        forks_before();
        return io_real.posix_spawnp(pid, file, actions, attributes, argv, variables);
}
