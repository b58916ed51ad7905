/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the loop asks the helper about the socket of a client that another process has as well (helper/helper.h, socket-task.h).
 * A client waits here while it is asked about. A stage says by a JudgeKind what to ask, and gets the answer back.
 */

#include "basic/list.h"
#include "broker/client.h"
#include "broker/socket-task.h"
#include "helper/helper.h"

typedef struct Broker Broker;
typedef struct Worker Worker;

struct JudgeKind {
        /* Fills in the task. */
        void (*ask)(Broker *b, Client *c, SocketTask *t);

        /*
         * Goes on with the client, whose state is CLIENT_NEW. @t is NULL if the helper hangs at the socket: then the helper
         * owns the descriptor and closes it some day, and Client.fd is -EBADF.
         */
        void (*go_on)(Broker *b, Client *c, const SocketTask *t);
};

typedef struct Judge {
        List waiting;                      /* Client.link: no task is free for them yet */
        Client *clients[HELPER_TASKS_MAX]; /* by the number of the task */
        size_t n_asked;                    /* tasks under way */
        bool is_full;                      /* the helper has no task free, until an event of it */
} Judge;

void judge_init(Judge *j);

/* Asks about the client, which is in no list of any stage. The answer comes after the end of the stage's function. */
void judge_begin(Broker *b, Client *c, const JudgeKind *kind);

/* Tells the task what the socket of the client has to be like still. */
void judge_describe(const Client *c, SocketTask *t);

/* Keeps what the task has seen of the client: its first bytes, and its address at this end. Returns 0 or -ENOMEM. */
int judge_keep(Client *c, const SocketTask *t);

/* The client is about to be freed, asked about or not. */
void judge_forget(Broker *b, Client *c);

/* Starts tasks for clients that wait. For the end of a turn, if judge_is_due(). */
void judge_run(Broker *b);

/* Can judge_run() do anything? */
static inline bool judge_is_due(const Judge *j) {
        return !list_is_empty(&j->waiting) && j->n_asked < HELPER_TASKS_MAX && !j->is_full;
}

/* Is there a client that is asked about? */
bool judge_any(const Judge *j);

/* Watches the helper. Returns 0 or a negative errno. */
int judge_watch(Broker *b);

/* Something has happened in the helper. */
void judge_on_event(Broker *b);
