/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/inspect.h"

#include "broker/state/client-context.h"
#include "broker/state/watch.h"

void inspect_init(Inspect *in) {
        list_init(&in->waiting);
}

bool inspect_any(const Inspect *in) {
        return in->n_asked > 0 || !list_is_empty(&in->waiting);
}

void inspect_begin(Inspect *in, Client *c, const InspectKind *kind) {
        c->state = CLIENT_INSPECTED;
        c->inspect.kind = kind;
        c->inspect.slot = -1;
        c->inspect.has_news = false;
        list_append(&in->waiting, &c->wait.link);
}

static void inspect_ask(Inspect *in, Client *c, SocketTask *t) {
        socket_task_init(t);
        c->inspect.kind->ask(in->userdata, c, t);
        t->may_have_ulp = c->was_returned;
}

static void inspect_go_on(Inspect *in, Client *c, const SocketTask *t) {
        const InspectKind *kind = c->inspect.kind;

        if (t && t->is_ktls)
                c->is_ktls = true;
        if (t && t->is_marked)
                c->baseline = t->counts;

        c->inspect.slot = -1;
        c->state = CLIENT_NEW;
        kind->go_on(in->userdata, c, t);
}

void inspect_describe_answer(const Client *c, SocketTask *t) {
        Slice consumed = client_consumed(c);

        t->refusal = c->refused.why;
        t->refusal_reason = c->refused.reason;
        t->refusal_status = c->refused.status;
        t->n_prefix = MIN(consumed.n, sizeof(t->head));
        if (t->n_prefix > 0)
                memcpy(t->head, consumed.p, t->n_prefix);
}

void inspect_describe(const Client *c, SocketTask *t) {
        t->before = c->baseline;
        t->before.n_received = c->n_received;
        t->peer = c->peer;
        t->local = c->own;
        t->listener_fd = c->listener->fd;
        t->head_max = c->listener->config->max_head_size;
}

int inspect_keep(Client *c, const SocketTask *t) {
        c->own = t->local;
        return client_set_copy(c, t->head, t->n_head, t->is_end);
}

int inspect_adopt(Client *c, const SocketTask *t) {
        c->peer = t->peer;
        c->baseline = t->counts;
        c->n_received = t->counts.n_received;
        return inspect_keep(c, t);
}

void inspect_forget(Inspect *in, Client *c) {
        if (c->inspect.slot < 0)
                return;

        in->asked[c->inspect.slot] = NULL;
        in->n_asked--;
        helper_task_abandon(in->helper, (unsigned) c->inspect.slot);
        c->inspect.slot = -1;
        c->fd = -EBADF; /* the helper owns it now */
}

/*
 * Makes the calls of all tasks here, one after the other. A program without a helper (a test) has no hostile workers.
 */
static void inspect_run_here(Inspect *in) {
        static SocketTask task;

        for (List *l; (l = list_first(&in->waiting));) {
                Client *c = CONTAINER_OF(l, Client, wait.link);

                list_remove(l);
                inspect_ask(in, c, &task);
                socket_task_run(&task, c->fd);
                inspect_go_on(in, c, &task);
        }
}

void inspect_run(Inspect *in) {
        unsigned slot;

        if (!in->helper) {
                inspect_run_here(in);
                return;
        }

        for (List *l; (l = list_first(&in->waiting));) {
                Client *c = CONTAINER_OF(l, Client, wait.link);
                SocketTask *t;

                if (helper_hangs_at(in->helper, c->last_worker)) {
                        list_remove(l);
                        unwatch_client(in->loop, c);
                        client_close_socket(in->clients, c);
                        inspect_go_on(in, c, NULL);
                        continue;
                }

                t = helper_task_new(in->helper, &slot);
                if (!t) {
                        in->is_full = true; /* until an event of the helper ends another task */
                        return;
                }

                list_remove(l);
                inspect_ask(in, c, t);
                c->inspect.slot = (int) slot;
                in->asked[slot] = c;
                in->n_asked++;
                helper_task_start(in->helper, slot, c->fd, c->last_worker);
        }
}

static Client *inspect_take(Inspect *in, unsigned slot) {
        Client *c = TAKE_PTR(in->asked[slot]);

        in->n_asked -= c ? 1 : 0;
        return c;
}

static void inspect_on_done(Inspect *in, unsigned slot, const SocketTask *t) {
        Client *c = inspect_take(in, slot);

        if (c)
                inspect_go_on(in, c, t);
        helper_task_free(in->helper, slot);
}

/* Time after which a worker whose sockets hang counts as lost (balance_is_lost()). */
#define HANG_USEC (1 * USEC_PER_SEC)

/*
 * A call at a socket of this worker's clients hangs. The worker gets no more clients, so that it can't make more calls
 * hang.
 */
static void inspect_quarantine(Inspect *in, uint32_t number) {
        Worker *w = worker_find_number(in->workers, number);

        if (!w) {
                diag_helper_hangs(in->diag);
                return;
        }

        if (w->n_hanging++ == 0) {
                w->hanging_since = loop_now(in->loop);
                w->retry_at = MAX(w->retry_at, w->hanging_since + HANG_USEC); /* then its queues are served */
                diag_worker_hangs(in->diag, w);
                worker_serve_later(in->workers, w);
        }
}

static void inspect_on_late(Inspect *in, unsigned slot, uint32_t owner) {
        Client *c = inspect_take(in, slot);

        helper_task_abandon(in->helper, slot);
        inspect_quarantine(in, owner);
        if (!c)
                return;

        unwatch_client(in->loop, c);
        c->fd = -EBADF;
        inspect_go_on(in, c, NULL);
}

static void inspect_on_release(Inspect *in, uint32_t number) {
        Worker *w = worker_find_number(in->workers, number);

        if (!w || w->n_hanging == 0 || --w->n_hanging > 0)
                return;

        diag_worker_hangs_no_more(in->diag, w);
        worker_serve_later(in->workers, w);
}

static void inspect_on_helper_event(Inspect *in, const HelperEvent *e) {
        switch (e->kind) {

        case HELPER_NOTHING:
                break;

        case HELPER_TASK_DONE:
                inspect_on_done(in, e->slot, helper_task_memory(in->helper, e->slot));
                break;

        case HELPER_TASK_LATE:
                inspect_on_late(in, e->slot, e->owner);
                break;

        case HELPER_HANGS:
                inspect_quarantine(in, e->owner);
                break;

        case HELPER_GOES_ON:
                inspect_on_release(in, e->owner);
                break;

        case HELPER_REPLACED:
        case HELPER_RESTARTED:
        case HELPER_FAILED:
                diag_helper(in->diag, e);
                break;
        }
}

void inspect_on_event(Inspect *in) {
        HelperEvent e;

        in->is_full = false;
        do {
                helper_dispatch(in->helper, &e);
                inspect_on_helper_event(in, &e);
        } while (e.kind != HELPER_NOTHING);
}

int inspect_watch(Inspect *in) {
        return helper_watch(in->helper, in->loop->epoll_fd, TOKEN_HELPER);
}
