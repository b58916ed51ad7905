/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pipes for splice(2). An empty pipe costs two descriptors and 3 KB of the kernel's memory for its 64 slots. So a
 * connection has one only while it moves much, and ten thousand idle connections have none.
 */

#include "basic/list.h"
#include "basic/macro.h"

/* Measured: a byte takes half the CPU time of a pipe of 64 KiB. 1 MiB is no better. */
#define PIPE_SIZE (256 * 1024)

typedef struct Pipe {
        List link;   /* PipePool.idle */
        int read_fd;
        int write_fd;
        size_t n;    /* bytes in it */
} Pipe;

typedef struct PipePool {
        List idle;      /* Pipe.link of empty pipes */
        unsigned n_idle;
        unsigned n;     /* pipes, idle or in use */
        unsigned n_max; /* limit of @n */
} PipePool;

void pipe_pool_init(PipePool *pool, unsigned n_max);

/* Closes the idle pipes. Those in use have to be put back before. */
void pipe_pool_done(PipePool *pool);

/* Returns an empty pipe, or NULL if there is none. Bytes can be copied instead. */
Pipe *pipe_get(PipePool *pool);

/* Takes a pipe back. Closes it if it is not empty, or if there are enough idle ones. */
void pipe_put(PipePool *pool, Pipe *pipe);
