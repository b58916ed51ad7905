/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stage: clients on whose socket the helper works, because another process holds it too (helper/helper.h, socket-task.h). The file
 * that owns the client's next move says by an InspectKind what the helper is asked, and gets the client back with the answer.
 */

#include "broker/stage/socket-task.h"
#include "broker/state/client.h"
#include "broker/state/diag.h"
#include "helper/helper.h"

struct InspectKind {
        /* Fills in the task, which inspect.c has initialised. */
        void (*ask)(void *userdata, Client *c, SocketTask *t);

        /*
         * Gets the client back, in state CLIENT_NEW. @t is NULL if the helper hangs at the socket: then the helper owns the
         * descriptor, and Client.fd is -EBADF.
         */
        void (*go_on)(void *userdata, Client *c, const SocketTask *t);
};

typedef struct Inspect {
        Helper *helper;                    /* NULL: there is none. Borrowed */
        Loop *loop;                        /* borrowed */
        ClientTable *clients;              /* borrowed */
        WorkerTable *workers;              /* borrowed */
        Diag *diag;                        /* borrowed */
        void *userdata;                    /* for the functions of InspectKind */
        List waiting;                      /* Client.wait.link: no task is free for them yet */
        Client *asked[HELPER_TASKS_MAX];   /* by the number of the task; NULL: its client has gone */
        size_t n_asked;                    /* tasks under way */
        bool is_full;                      /* the helper has no free task until its next event */
} Inspect;

void inspect_init(Inspect *in);

/* Has the helper asked about the client, which is in no list. The answer comes at the end of this turn or later. */
void inspect_begin(Inspect *in, Client *c, const InspectKind *kind);

/* Tells @t what the client's socket was like when the broker had it alone. */
void inspect_describe(const Client *c, SocketTask *t);

/* Tells @t how to answer the client as Client.refused says. */
void inspect_describe_answer(const Client *c, SocketTask *t);

/* Keeps the first bytes and the own address that @t has seen. Returns 0 or -ENOMEM. */
int inspect_keep(Client *c, const SocketTask *t);

/* The client is about to be freed. Does nothing if the helper was not asked about it. */
void inspect_forget(Inspect *in, Client *c);

/* Starts tasks. To be called at the end of a turn if inspect_is_due(). */
void inspect_run(Inspect *in);

static inline bool inspect_is_due(const Inspect *in) {
        return !list_is_empty(&in->waiting) && in->n_asked < HELPER_TASKS_MAX && !in->is_full;
}

/* True if the helper is asked about any client. */
bool inspect_any(const Inspect *in);

/* Has the loop report events of the helper. Returns 0 or a negative errno. */
int inspect_watch(Inspect *in);

/* Handles the events of the helper. */
void inspect_on_event(Inspect *in);
