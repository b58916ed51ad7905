/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stage: clients on whose socket the helper works, because another process holds it, too (helper/helper.h,
 * socket-task.h). The file that moves the client on provides an InspectKind. It says what the helper is to do, and gets
 * the client back with the result.
 */

#include "broker/stage/socket-task.h"
#include "broker/state/client.h"
#include "broker/state/diag.h"
#include "helper/helper.h"

struct InspectKind {
        /* Fills in the task, which inspect.c has initialised. */
        void (*ask)(void *userdata, Client *c, SocketTask *t);

        /*
         * Gets the client back in state CLIENT_NEW. @t is NULL if the helper hangs at the socket: then the helper owns
         * the descriptor, and Client.fd is -EBADF.
         */
        void (*go_on)(void *userdata, Client *c, const SocketTask *t);
};

typedef struct Inspect {
        Helper *helper;                    /* borrowed; NULL: there is none */
        Loop *loop;                        /* borrowed */
        ClientTable *clients;              /* borrowed */
        WorkerTable *workers;              /* borrowed */
        Diag *diag;                        /* borrowed */
        void *userdata;                    /* for the functions of InspectKind */
        List waiting;                      /* Client.wait.link: clients for which no task is free yet */
        Client *asked[HELPER_TASKS_MAX];   /* clients by the number of their task; NULL: none, or it was freed */
        size_t n_asked;                    /* number of tasks with a client */
        bool is_full;                      /* the helper has no free task until its next event */
} Inspect;

void inspect_init(Inspect *in);

/*
 * Has the helper work on the socket of the client, which is in no list. The result comes at the end of this turn or
 * later.
 */
void inspect_begin(Inspect *in, Client *c, const InspectKind *kind);

/* Tells @t the addresses and counts that the client's socket had before a worker got it. */
void inspect_describe(const Client *c, SocketTask *t);

/* Has @t answer the client as Client.refused says. */
void inspect_describe_answer(const Client *c, SocketTask *t);

/* The steps for a client that comes back, whose socket is to be as accept(2) returned it. inspect_adopt() follows. */
#define INSPECT_STEPS_RETURNED (SOCKET_STEP_CONNECTED | SOCKET_STEP_RESTORE | SOCKET_STEP_PEEK)

/* Takes the first bytes and the address of our end from @t. Returns 0 or -ENOMEM. */
int inspect_keep(Client *c, const SocketTask *t);

/* The same, and the facts of SOCKET_STEP_CONNECTED. */
int inspect_adopt(Client *c, const SocketTask *t);

/* Ends the client's task, because the client is freed. Does nothing if it has no task. */
void inspect_forget(Inspect *in, Client *c);

/* Starts tasks. To be called at the end of a turn if inspect_is_due() is true. */
void inspect_run(Inspect *in);

static inline bool inspect_is_due(const Inspect *in) {
        return !list_is_empty(&in->waiting) && in->n_asked < HELPER_TASKS_MAX && !in->is_full;
}

/* True if a client waits for a task or has one. */
bool inspect_any(const Inspect *in);

/* Has the loop report events of the helper. Returns 0 or a negative errno. */
int inspect_watch(Inspect *in);

/* Handles the events of the helper. */
void inspect_on_event(Inspect *in);
