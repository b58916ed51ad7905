/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stage: clients that were answered and may read the answer before they are closed. Closing a socket with unread bytes resets the
 * connection, and the reset can overtake the answer (RFC 9112 9.6). So the client's bytes are read and thrown away, the answer and
 * our FIN follow, and the socket is closed when the client closes its end, after 1 s, or after 256 KiB.
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
        LINGER_UNCLEAR, /* the client has to say more before it is clear which protocol it speaks */
} LingerAnswer;

/* @on_timer is called with @userdata when a client is due. Returns 0 or a negative errno. */
int linger_init(Linger *l, Loop *loop, TimerHandler on_timer, void *userdata);
void linger_done(Linger *l);

/* Puts the client in. Returns false, and does nothing, if @max clients are in or if its socket can't be watched. */
bool linger_enter(Linger *l, Client *c, size_t max);
void linger_leave(Linger *l, Client *c);

/* The client that is due first, or one that is due now, or NULL. */
Client *linger_oldest(const Linger *l);
Client *linger_next_due(Linger *l);

/* Answers the client in its protocol, as Client.refused says, and sends our FIN. Not for a client whose socket is shared. */
LingerAnswer linger_answer(HeadBuffer *hb, Client *c);

/* Reads bytes and throws them away. Returns false if the client is done: its FIN, a reset, or too many bytes. */
bool linger_discard(HeadBuffer *hb, Client *c);
