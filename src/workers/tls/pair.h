/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pairs of connected TCP sockets over the loopback. The worker gets one end in place of the client, and reads and
 * writes there without TLS. socketpair(2) makes sockets of AF_UNIX, and the broker takes none of these
 * back.
 */

#include "basic/macro.h"

typedef struct PairMaker {
        int listen_fd;  /* -EBADF: none */
        uint16_t port;  /* of @listen_fd, in network byte order */
        uint32_t n;     /* pairs that were made */
} PairMaker;

#define PAIR_MAKER_NULL ((PairMaker){ .listen_fd = -EBADF })

/* Listens on 127.0.0.1. Returns 0 or a negative errno. */
int pair_maker_init(PairMaker *m);
void pair_maker_done(PairMaker *m);

/*
 * Makes a pair. Both descriptors are owned by the caller, and close on exec. *ret_worker is as from accept(2). Returns
 * 0 or a negative errno.
 */
int pair_make(PairMaker *m, int *ret_own, int *ret_worker);
