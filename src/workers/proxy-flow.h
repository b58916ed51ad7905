/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One direction of a connection. */

#include <sys/types.h>

#include "workers/proxy-pipe.h"

/* What is read at a time outside of a pipe; as long as it comes in such amounts a copy is cheaper than a pipe. */
#define SCRATCH_SIZE ((size_t) 32 * 1024)

/* One socket of a connection, and what is known of it: edge-triggered epoll tells it once. */
typedef struct Side {
        struct Connection *connection;
        int fd;
        bool is_watched;
        bool is_nonblocking; /* splice(2) has no flag for sockets; until it is used O_NONBLOCK isn't needed */
        bool can_read;
        bool can_write;
        bool has_end;        /* the end of what it sends is here, or an error: look for it after the bytes */
        bool has_error;
        bool is_unix;
} Side;

typedef struct Flow {
        Pipe *pipe;          /* NULL while nothing is in it */
        uint8_t *rest;       /* read, and not yet written: what didn't fit in the socket. NULL: nothing */
        size_t rest_n;
        size_t rest_at;
        bool is_bulk;        /* the last read filled all that there was room for */
        bool ended;          /* nothing more comes from the source */
        bool is_shut;        /* … and the destination was told */
        bool is_discarded;   /* the destination takes nothing any more: what comes is thrown away */
} Flow;

typedef enum FlowState {
        FLOW_WAITS, /* for an event of one of its sides */
        FLOW_MORE,  /* had its turn, and could go on */
        FLOW_ENDED, /* all was passed on, and so was the end */
        FLOW_RESET, /* the source ended with an error: what was passed on is not all that there was */
} FlowState;

/* Puts bytes before all that the source sends: a header, or what was read from it already. */
int flow_prepend(Flow *f, const void *p, size_t n);

/* Moves what there is, up to a limit. Sets *moved where something was. */
FlowState flow_move(Flow *f, Side *from, Side *to, PipePool *pool, uint8_t *scratch, bool *moved);

/*
 * The destination takes nothing any more, but may have said something before: a server that refuses an upload, say.
 * So the other direction goes on, and what comes in this one is read away: closing a socket with unread bytes resets it.
 */
void flow_discard(Flow *f, PipePool *pool);

void flow_done(Flow *f, PipePool *pool);
