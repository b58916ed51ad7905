/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/judge.h"

#include "broker/broker.h"
#include "broker/diag.h"

void judge_init(Judge *j) {
        list_init(&j->waiting);
}

bool judge_any(const Judge *j) {
        return j->n_asked > 0 || !list_is_empty(&j->waiting);
}

void judge_begin(Broker *b, Client *c, const JudgeKind *kind) {
        c->state = CLIENT_JUDGED;
        c->judge_kind = kind;
        c->judge_slot = -1;
        c->has_news = false;
        list_append(&b->judge.waiting, &c->link);
}

static void judge_ask(Broker *b, Client *c, SocketTask *t) {
        socket_task_init(t);
        c->judge_kind->ask(b, c, t);
}

static void judge_go_on(Broker *b, Client *c, const SocketTask *t) {
        const JudgeKind *kind = c->judge_kind;

        c->judge_slot = -1;
        c->state = CLIENT_NEW;
        kind->go_on(b, c, t);
}

void judge_describe(const Client *c, SocketTask *t) {
        t->before = c->untouched;
        t->before.n_received = c->n_received;
        t->peer = c->peer;
        t->local = c->own;
        t->listener_fd = c->listener->fd;
        t->may_have_ulp = c->was_returned;
        t->head_max = c->listener->config->max_head_size;
}

int judge_keep(Client *c, const SocketTask *t) {
        c->own = t->local;
        return client_set_copy(c, t->head, t->n_head, t->is_end);
}

void judge_forget(Broker *b, Client *c) {
        if (c->judge_slot < 0)
                return;

        b->judge.clients[c->judge_slot] = NULL;
        b->judge.n_asked--;
        helper_task_abandon(b->helper, (unsigned) c->judge_slot);
        c->judge_slot = -1;
        c->fd = -EBADF; /* the helper's */
}

/* A program without a helper has no hostile peers: the calls are made here and now, one after the other. */
static void judge_run_here(Broker *b) {
        static SocketTask task;

        for (List *l; (l = list_first(&b->judge.waiting));) {
                Client *c = CONTAINER_OF(l, Client, link);

                list_remove(l);
                judge_ask(b, c, &task);
                socket_task_run(&task, c->fd);
                judge_go_on(b, c, &task);
        }
}

void judge_run(Broker *b) {
        Judge *j = &b->judge;
        unsigned slot;

        if (!b->helper) {
                judge_run_here(b);
                return;
        }

        for (List *l; (l = list_first(&j->waiting));) {
                Client *c = CONTAINER_OF(l, Client, link);
                SocketTask *t;

                if (helper_hangs_at(b->helper, c->last_worker)) {
                        list_remove(l);
                        unwatch_client(&b->watch, c);
                        client_close_socket(&b->clients, c);
                        judge_go_on(b, c, NULL);
                        continue;
                }

                t = helper_task_new(b->helper, &slot);
                if (!t) {
                        j->is_full = true; /* the end of another task is an event */
                        return;
                }

                list_remove(l);
                judge_ask(b, c, t);
                c->judge_slot = (int) slot;
                j->clients[slot] = c;
                j->n_asked++;
                helper_task_start(b->helper, slot, c->fd, c->last_worker);
        }
}

static Client *judge_take(Judge *j, unsigned slot) {
        Client *c = TAKE_PTR(j->clients[slot]);

        j->n_asked -= c ? 1 : 0;
        return c;
}

static void judge_on_done(Broker *b, unsigned slot, const SocketTask *t) {
        Client *c = judge_take(&b->judge, slot);

        if (c)
                judge_go_on(b, c, t);
        helper_task_free(b->helper, slot);
}

/* After this time a worker that hangs counts as gone: GONE_GRACE_USEC in pool.c. */
#define HANG_USEC (1 * USEC_PER_SEC)

/* The worker hangs at the socket of its client, and so would the loop. It can't hang at more than what it has already. */
static void judge_quarantine(Broker *b, uint32_t number) {
        Worker *w = worker_find_number(&b->workers, number);

        if (!w) {
                diag_helper_hangs(b);
                return;
        }

        if (w->n_hanging++ == 0) {
                w->hanging_since = broker_now(b);
                w->retry_at = MAX(w->retry_at, w->hanging_since + HANG_USEC); /* those that wait are looked at then */
                diag_worker_hangs(b, w);
                worker_serve_later(&b->workers, w);
        }
}

static void judge_on_late(Broker *b, unsigned slot, uint32_t owner) {
        Client *c = judge_take(&b->judge, slot);

        helper_task_abandon(b->helper, slot);
        judge_quarantine(b, owner);
        if (!c)
                return;

        unwatch_client(&b->watch, c);
        c->fd = -EBADF;
        judge_go_on(b, c, NULL);
}

static void judge_on_release(Broker *b, uint32_t number) {
        Worker *w = worker_find_number(&b->workers, number);

        if (!w || w->n_hanging == 0 || --w->n_hanging > 0)
                return;

        diag_worker_hangs_no_more(b, w);
        worker_serve_later(&b->workers, w);
}

static void judge_on_helper_event(Broker *b, const HelperEvent *e) {
        switch (e->kind) {

        case HELPER_NOTHING:
                break;

        case HELPER_TASK_DONE:
                judge_on_done(b, e->slot, helper_task_memory(b->helper, e->slot));
                break;

        case HELPER_TASK_LATE:
                judge_on_late(b, e->slot, e->owner);
                break;

        case HELPER_HANGS:
                judge_quarantine(b, e->owner);
                break;

        case HELPER_GOES_ON:
                judge_on_release(b, e->owner);
                break;

        case HELPER_REPLACED:
        case HELPER_RESTARTED:
        case HELPER_FAILED:
                diag_helper(b, e);
                break;
        }
}

void judge_on_event(Broker *b) {
        HelperEvent e;

        b->judge.is_full = false;
        do {
                helper_dispatch(b->helper, &e);
                judge_on_helper_event(b, &e);
        } while (e.kind != HELPER_NOTHING);
}

int judge_watch(Broker *b) {
        return helper_watch(b->helper, b->watch.epoll_fd, TOKEN_HELPER);
}
