/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stage: clients that were answered and may read the answer. close(2) with unread bytes resets the connection, and the
 * reset may destroy the answer (RFC 9112 9.6). Therefore the client's bytes are read and thrown away. The socket is
 * closed when the client has sent its FIN, after 1 s, or after 256 KiB.
 */

#include "broker/stage/head-buffer.h"
#include "broker/state/client.h"

typedef struct Linger {
        Loop *loop;          /* borrowed */
        WaitingList clients; /* Client.wait */
        Timer timer;
        size_t n;            /* length of @clients */
} Linger;

typedef enum LingerAnswer {
        LINGER_ANSWERED,
        LINGER_NOTHING, /* the client's protocol has no answer */
        LINGER_UNCLEAR, /* more bytes are needed to know the client's protocol */
} LingerAnswer;

/* Initialises @l. @on_timer is called with @userdata when a client is due. Returns 0 or a negative errno. */
int linger_init(Linger *l, Loop *loop, TimerHandler on_timer, void *userdata);
void linger_done(Linger *l);

/*
 * Puts the client into the list. Returns false, and changes nothing, if @max clients are there or its socket can't be
 * watched.
 */
bool linger_enter(Linger *l, Client *c, size_t max);
void linger_leave(Linger *l, Client *c);

/*
 * Return the client with the earliest deadline, or the first one that is due now, or NULL. The client stays in the
 * list.
 */
Client *linger_oldest(const Linger *l);
Client *linger_next_due(Linger *l);

/* Answers the client in its protocol, as Client.refused says, and sends our FIN. Its socket must not be shared. */
LingerAnswer linger_answer(HeadBuffer *hb, Client *c);

/*
 * Reads bytes and throws them away. Returns false if the client is done: it sent its FIN, a reset, or too many bytes.
 */
bool linger_discard(HeadBuffer *hb, Client *c);
