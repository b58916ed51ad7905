/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One direction of a connection. */

#include <sys/types.h>

#include "workers/framing.h"
#include "workers/proxy-pipe.h"

/* Bytes that are copied at a time. Below this amount a copy is cheaper than a pipe. */
#define SCRATCH_SIZE ((size_t) 32 * 1024)

/* One socket of a connection. Its epoll is edge-triggered, so events are recorded here until they are used. */
typedef struct Side {
        struct ProxyConnection *connection;
        int fd;
        bool is_watched;
        bool is_nonblocking; /* O_NONBLOCK is set. Only splice(2) needs it, because it has no flag for sockets */
        bool can_read;
        bool can_write;
        bool has_end;        /* after the unread bytes comes the end or an error */
        bool has_error;
        bool is_unix;
        bool is_ktls;        /* the kernel has its TLS records (handoff/ktls.h) */
} Side;

/* The messages of one direction. They are followed with --http only (proxy-http.c). */
typedef struct FlowMessages {
        Framing framing;
        bool is_request;     /* no byte behind the end of a message is read */
        bool is_head;        /* the response is one to HEAD */
        uint64_t n_ended;    /* messages that were read up to their end */
} FlowMessages;

typedef struct Flow {
        FlowMessages *messages; /* borrowed; NULL: the bytes are not looked at */
        Pipe *pipe;          /* bytes on their way; NULL: none */
        uint8_t *rest;       /* bytes that the destination had no room for; NULL: none */
        size_t rest_n;       /* length of @rest */
        size_t rest_at;      /* bytes of @rest that were written */
        bool is_bulk;        /* the last read filled its buffer, so a pipe pays */
        bool ended;          /* the source has ended */
        bool is_shut;        /* the destination got the end */
        bool is_discarded;   /* the destination takes no more bytes; those that come are dropped */
} Flow;

typedef enum FlowState {
        FLOW_WAITS, /* needs an event of one of its sides */
        FLOW_MORE,  /* has used its turn up, and can go on */
        FLOW_ENDED, /* the destination has got everything, and the end */
        FLOW_RESET, /* the source ended with an error, so the destination has got an incomplete stream */
} FlowState;

/* Inserts bytes before those that the source will send. Returns 0 or -ENOMEM. */
int flow_prepend(Flow *f, const void *p, size_t n);

/* Moves bytes, up to the limit of one turn. Sets *moved to true if there were any; otherwise leaves it alone. */
FlowState flow_move(Flow *f, Side *from, Side *to, PipePool *pool, uint8_t *scratch, bool *moved);

/*
 * Drops the bytes of a flow whose destination takes no more, and those that will come. They have to be read, because
 * closing a socket with unread bytes resets it. The other direction goes on: a server may have refused an upload with
 * an answer that the client has not yet got.
 */
void flow_discard(Flow *f, PipePool *pool);

/* Returns the number of bytes that were read and not written yet. */
size_t flow_n_pending(const Flow *f);

void flow_done(Flow *f, PipePool *pool);
