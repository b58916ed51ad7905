/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The calls on a client's socket that may wait, because another process holds it, too. Only the helper makes them. A
 * task is a set of steps. They are done in the order of the list below, and the first one that fails ends the task.
 */

#include "broker/state/client.h"
#include "broker/state/byte-counts.h"
#include "flusher/fdpass-flusher.h"

typedef enum SocketStep {
        SOCKET_STEP_SAME = 1 << 0,      /* checks that it is the same connection: addresses, counts */
        SOCKET_STEP_CONNECTED = 1 << 1, /* fills in @peer, @local and @counts of a connected socket */
        SOCKET_STEP_UNTOUCHED = 1 << 2, /* checks that no byte was read or written since @before */
        SOCKET_STEP_RESTORE = 1 << 3,   /* restores the options to those of accept(2) */
        SOCKET_STEP_CONSUME = 1 << 4,   /* reads @n_consume bytes into @head */
        SOCKET_STEP_PEEK = 1 << 5,      /* copies the first bytes into @head, at most @head_max */
        SOCKET_STEP_ANSWER = 1 << 6,    /* makes @text the answer to @head (answer_to_head()) */
        SOCKET_STEP_DRAIN = 1 << 7,     /* throws away the bytes that the client has sent */
        SOCKET_STEP_SEND = 1 << 8,      /* sends as much of @text as the send buffer has room for */
        SOCKET_STEP_SHUTDOWN = 1 << 9,  /* calls shutdown(2) with @how, behind TLS's close_notify */
        SOCKET_STEP_RESET = 1 << 10,    /* resets the connection */
} SocketStep;

/* Largest head: at least the largest MaxHeadSize=, and the longest PROXY header. */
#define SOCKET_TASK_HEAD_MAX (66 * 1024)

typedef struct SocketTask {
        /* The request. */
        uint32_t steps;
        ByteCounts before;
        ClientAddress peer;        /* client's end; AF_UNSPEC: not known */
        ClientAddress local;       /* our end; AF_UNSPEC: not known, so only its port is compared */
        int listener_fd;           /* for the options; -EBADF: not known. Borrowed */
        bool may_have_ulp;         /* a TLS stage may have left the kernel's TLS on the socket */
        size_t head_max;
        size_t n_consume;
        size_t n_prefix;           /* consumed bytes that are in @head already; peeked ones follow them */
        Refusal refusal;
        ProbeReason refusal_reason;
        unsigned refusal_status;
        size_t n_text;
        int how;

        /* The result. */
        uint32_t failed;           /* the step that failed; 0: none */
        int error;                 /* negative errno of @failed; 0: none */
        ByteCounts counts;         /* of SOCKET_STEP_CONNECTED; with @is_marked taken anew at the end of the task */
        bool is_ktls;              /* the socket has the kernel's TLS (handoff/ktls.h) */
        bool is_marked;            /* @counts are a mark (byte_counts_mark()), because a step has moved them */
        size_t n_head;             /* bytes in @head */
        bool is_end;               /* the client's FIN follows @head */
        size_t n_sent;

        char text[FDPASS_FLUSHER_OUTPUT_MAX];
        uint8_t head[SOCKET_TASK_HEAD_MAX];
} SocketTask;

/* Does the task @memory, a SocketTask, on the client's socket @fd. It is a HelperWork. */
void socket_task_run(void *memory, int fd);

/* Initialises a task without steps. */
void socket_task_init(SocketTask *ret);
