/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pipes for splice(2). A connection has one only while it moves much, so that ten thousand idle ones need none:
 * an empty pipe is two descriptors and, with its 64 slots, 3 KB of the kernel's.
 */

#include "basic/list.h"
#include "basic/macro.h"

/* 256 KiB: half the CPU time per byte of 64 KiB, measured; 1 MiB gains nothing more. */
#define PIPE_SIZE (256 * 1024)

typedef struct Pipe {
        List link;   /* PipePool.idle */
        int read_fd;
        int write_fd;
        size_t n;    /* bytes in it */
} Pipe;

typedef struct PipePool {
        List idle;
        unsigned n_idle;
        unsigned n;     /* with those in use */
        unsigned n_max;
} PipePool;

void pipe_pool_init(PipePool *pool, unsigned n_max);
void pipe_pool_done(PipePool *pool);

/* NULL: none can be had now. Bytes can be moved without, only not as cheaply. */
Pipe *pipe_get(PipePool *pool);

/* One that is empty goes back to the pool. */
void pipe_put(PipePool *pool, Pipe *pipe);
