/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The calls on a client's socket that may wait, because another process has it as well: the helper makes them. A task has
 * several steps, in the order of the list below. A step that fails ends it.
 */

#include "broker/state/client.h"
#include "broker/state/byte-counts.h"
#include "flusher/fdpass-flusher.h"

typedef enum SocketStep {
        SOCKET_STEP_SAME = 1 << 0,      /* It is the same connection still: both addresses, and counters that did not fall */
        SOCKET_STEP_CONNECTED = 1 << 1, /* It is connected. Its addresses and its progress are told */
        SOCKET_STEP_UNTOUCHED = 1 << 2, /* No byte was read or written since @before */
        SOCKET_STEP_RESTORE = 1 << 3,   /* Its options are made as from accept(2) */
        SOCKET_STEP_CONSUME = 1 << 4,   /* @n_consume bytes are read, into @head */
        SOCKET_STEP_PEEK = 1 << 5,      /* The first bytes are copied, into @head */
        SOCKET_STEP_ANSWER = 1 << 6,    /* @text becomes the answer that the protocol of @head has for @refusal */
        SOCKET_STEP_DRAIN = 1 << 7,     /* What the client has sent is thrown away */
        SOCKET_STEP_SEND = 1 << 8,      /* @text is sent, as much as there is room for */
        SOCKET_STEP_SHUTDOWN = 1 << 9,  /* shutdown(2), as @how says */
        SOCKET_STEP_RESET = 1 << 10,    /* The connection is reset */
} SocketStep;

/* MaxHeadSize= and the longest PROXY header are not larger. */
#define SOCKET_TASK_HEAD_MAX (66 * 1024)

typedef struct SocketTask {
        /* Asked */
        uint32_t steps;
        ByteCounts before;
        ClientAddress peer;        /* AF_UNSPEC: not known */
        ClientAddress local;       /* AF_UNSPEC: not known, but for the port of the listener */
        int listener_fd;           /* -EBADF: not known */
        bool may_have_ulp;
        size_t head_max;
        size_t n_consume;
        size_t n_prefix;           /* bytes in @head already, which a worker has consumed: they come before what is peeked */
        Refusal refusal;
        ProbeReason refusal_reason;
        unsigned refusal_status;
        size_t n_text;
        int how;

        /* Told */
        uint32_t failed;           /* the step that failed; 0: all went well */
        int error;                 /* negative errno of that step, or 0 */
        ByteCounts counts;         /* with CONNECTED */
        size_t n_head;             /* bytes in @head */
        bool is_end;               /* the client's FIN is behind them */
        size_t n_sent;

        char text[FDPASS_FLUSHER_OUTPUT_MAX];
        uint8_t head[SOCKET_TASK_HEAD_MAX];
} SocketTask;

/* A HelperWork, where @memory is a SocketTask. */
void socket_task_run(void *memory, int fd);

/* Makes @ret ask for nothing. */
void socket_task_init(SocketTask *ret);
