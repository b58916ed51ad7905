/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/proxy-pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include "basic/fd.h"

#define IDLE_MAX 16 /* idle pipes that are kept */

static void pipe_free(Pipe *pipe) {
        fd_close(pipe->read_fd);
        fd_close(pipe->write_fd);
        free(pipe);
}

void pipe_pool_init(PipePool *pool, unsigned n_max) {
        *pool = (PipePool){ .n_max = n_max };
        list_init(&pool->idle);
}

void pipe_pool_done(PipePool *pool) {
        LIST_FOREACH(i, &pool->idle)
                pipe_free(CONTAINER_OF(i, Pipe, link));
        pipe_pool_init(pool, pool->n_max);
}

static Pipe *pipe_new(void) {
        Pipe *pipe = malloc(sizeof(*pipe));
        int fds[2];

        if (!pipe)
                return NULL;

        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
                free(pipe);
                return NULL;
        }

        *pipe = (Pipe){ .read_fd = fds[0], .write_fd = fds[1] };
        /* Fails for a user beyond /proc/sys/fs/pipe-user-pages-soft (pipe(7)). The default size works, too. */
        (void) fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE);
        return pipe;
}

Pipe *pipe_get(PipePool *pool) {
        List *l = list_first(&pool->idle);
        Pipe *pipe;

        if (l) {
                list_remove(l);
                pool->n_idle--;
                return CONTAINER_OF(l, Pipe, link);
        }

        if (pool->n >= pool->n_max)
                return NULL;

        pipe = pipe_new();
        if (pipe)
                pool->n++;
        return pipe;
}

void pipe_put(PipePool *pool, Pipe *pipe) {
        if (pipe->n > 0 || pool->n_idle >= IDLE_MAX) {
                pipe_free(pipe);
                pool->n--;
                return;
        }

        list_prepend(&pool->idle, &pipe->link); /* first, because its pages are in the CPU's cache */
        pool->n_idle++;
}
