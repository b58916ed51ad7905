/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/persistent.h"

#include "basic/error.h"
#include "basic/fd.h"
#include "broker/stage/metadata.h"
#include "broker/state/client-context.h"
#include "broker/state/watch.h"
#include "helper/helper.h"

/*
 * Largest number of persistent connections to one worker. Each of its processes may have one. There may be more if the
 * credit of all is used up.
 */
#define PER_WORKER_MAX 32

/*
 * Clients after which one goes to the worker's backlog, to find processes without a connection. The number doubles each
 * time that none is found.
 */
#define SEARCH_MIN 16
#define SEARCH_MAX 1024

/*
 * A connection gets no client while one on it has waited longer for its answer. The process is busy, and another one may
 * take the client from the backlog.
 */
#define BUSY_USEC (10 * USEC_PER_MSEC)

/* Time without a client after which a connection gives its slot to a new one. */
#define UNUSED_USEC (1 * USEC_PER_SEC)

/* Answers that are taken from one connection in one turn. */
#define ANSWERS_MAX 64

/* Answers that are taken when a connection ends. They are more than its socket can hold (unix(7), SO_SNDBUF). */
#define ANSWERS_AT_END 512

static void persistent_search_often(Worker *w) {
        w->n_until_search = w->search_interval = SEARCH_MIN;
}

void persistent_table_init(PersistentTable *table) {
        table->busy_usec = BUSY_USEC;
        list_init(&table->to_send);
        list_init(&table->settled);
        list_init(&table->ended);
}

static void persistent_close_fd(PersistentTable *table, const Worker *w, int fd) {
        if (!handoff_may_bring_rights()) {
                fd_close(fd);
                return;
        }

        /* Otherwise the loop would report the end in each turn until the helper has closed @fd. */
        unwatch_connection(table->loop, fd);
        helper_close(table->helper, HELPER_CONNECTIONS, fd, w->number);
}

static void persistent_close(PersistentConn *pc) {
        if (pc->fd >= 0)
                persistent_close_fd(pc->table, pc->worker, TAKE_FD(pc->fd));
}

static PersistentConn *persistent_free(PersistentConn *pc) {
        pc->table->slots[pc->slot] = NULL;
        list_remove(&pc->link);
        list_remove(&pc->batch_link);
        persistent_close(pc);
        free(pc);
        return NULL;
}

/* True if the message has room for facts, and if the kernel tells whether a worker touched the client. */
static bool persistent_is_suitable(const Route *route, const Client *c) {
        return route->transport == TRANSPORT_SEQPACKET && route->config->metadata && client_is_ip(c);
}

static bool persistent_is_unused(const PersistentConn *pc, usec_t now) {
        return pc->fd >= 0 && list_is_empty(&pc->clients) && now >= usec_add(pc->used_at, UNUSED_USEC);
}

/* Returns a slot that is free or whose connection is unused, or PERSISTENT_MAX if there is none. */
static uint32_t persistent_find_slot(const PersistentTable *table) {
        uint32_t best = PERSISTENT_MAX;

        for (uint32_t i = 0; i < PERSISTENT_MAX; i++) {
                const PersistentConn *pc = table->slots[i];

                if (!pc)
                        return i;
                if (persistent_is_unused(pc, loop_now(table->loop)) &&
                    (best == PERSISTENT_MAX || pc->used_at < table->slots[best]->used_at))
                        best = i;
        }

        return best;
}

bool persistent_may_begin(const PersistentTable *table, const Route *route, const Client *c) {
        return persistent_is_suitable(route, c) && route->worker->n_persistent < PER_WORKER_MAX && !table->is_closing &&
               persistent_find_slot(table) < PERSISTENT_MAX;
}

/*
 * Notes the outcome of a handoff. It is dealt with at the end of the turn, because a retry may choose this connection
 * again.
 */
static void persistent_settle(PersistentConn *pc, Client *c, Receipt receipt) {
        c->sent.receipt = receipt;
        list_remove(&c->second.link);
        list_append(&pc->table->settled, &c->second.link);
}

/* Applies an answer to the clients that it names. Clients that were not sent yet stay as they are. */
static void persistent_apply(PersistentConn *pc, PersistentAnswer answer) {
        uint16_t end = (uint16_t) (pc->n_sent - pc->n_batch), n = 0;

        pc->limit = answer.limit;
        LIST_FOREACH(i, &pc->clients) {
                Client *c = CONTAINER_OF(i, Client, second.link);

                if (c->sent.persistent_seq == end || n == answer.n)
                        return;
                if ((uint16_t) (c->sent.persistent_seq - answer.first) >= answer.n)
                        continue;

                persistent_settle(pc, c, answer.receipt);
                n++;
        }
}

/*
 * Takes answers until there are none, or about @max. Returns 0 or the error that ended it. If the worker left messages
 * unread, one call fails with ECONNRESET. The answers that it gave before are still there, and are valid.
 */
static int persistent_take_answers(PersistentConn *pc, size_t max) {
        for (size_t n = 0; n < max; n += HANDOFF_ANSWERS_MAX) {
                PersistentAnswer answers[HANDOFF_ANSWERS_MAX];
                size_t n_answers;
                int r = handoff_receive_answers(pc->fd, answers, &n_answers);

                for (size_t i = 0; i < n_answers; i++)
                        persistent_apply(pc, answers[i]);
                if (r != 0 && r != -ECONNRESET)
                        return r;
        }

        return 0;
}

/*
 * Ends the connection. Its clients without an answer get RECEIPT_CLOSED, because the worker may have them. So another
 * worker gets only those that are untouched.
 */
static void persistent_end_conn(PersistentConn *pc) {
        if (pc->fd < 0)
                return;

        pc->worker->n_persistent--;
        persistent_search_often(pc->worker);
        list_remove(&pc->link);
        list_append(&pc->table->ended, &pc->link);

        /* The connection is not in Worker.persistent any more, so no new client chooses it. */
        (void) persistent_take_answers(pc, ANSWERS_AT_END);
        persistent_close(pc);

        LIST_FOREACH(i, &pc->clients)
                persistent_settle(pc, CONTAINER_OF(i, Client, second.link), RECEIPT_CLOSED);
}

static PersistentConn *persistent_new_conn(PersistentTable *table, Worker *w, uint16_t limit) {
        uint32_t slot = persistent_find_slot(table);
        PersistentConn *pc;

        if (slot >= PERSISTENT_MAX)
                return NULL;

        pc = calloc(1, sizeof(*pc));
        if (!pc)
                return NULL;

        if (table->slots[slot]) { /* it is unused, so it has no clients */
                persistent_end_conn(table->slots[slot]);
                persistent_free(table->slots[slot]);
        }

        pc->table = table;
        pc->worker = w;
        pc->slot = slot;
        pc->fd = -EBADF;
        pc->n_sent = 1; /* the first client was sent when the connection was made */
        pc->limit = limit;
        pc->used_at = loop_now(table->loop);
        list_init(&pc->link);
        list_init(&pc->batch_link);
        list_init(&pc->clients);

        table->slots[slot] = pc;
        return pc;
}

void persistent_begin(PersistentTable *table, Client *c, uint16_t limit) {
        Worker *w = c->sent.route->worker;
        int fd = TAKE_FD(c->sent.conn_fd);
        PersistentConn *pc;

        pc = w->n_persistent < PER_WORKER_MAX ? persistent_new_conn(table, w, limit) : NULL;
        if (!pc || watch_persistent(table->loop, pc->slot, fd, !table->is_polled) < 0) {
                persistent_close_fd(table, w, fd);
                if (pc)
                        persistent_free(pc);
                return;
        }

        pc->fd = fd;
        list_append(&w->persistent, &pc->link);
        w->n_persistent++;
        persistent_search_often(w);
}

static int16_t persistent_credit(const PersistentConn *pc) {
        return (int16_t) (pc->limit - pc->n_sent);
}

static bool persistent_has_credit(const PersistentConn *pc) {
        return persistent_credit(pc) > 0;
}

static bool persistent_is_busy(const PersistentConn *pc) {
        List *first = list_first(&pc->clients);

        return first && loop_now(pc->table->loop) - CONTAINER_OF(first, Client, second.link)->sent.at > pc->table->busy_usec;
}

/* True if the next client is to go to the worker's backlog. */
static bool persistent_is_search_due(Worker *w) {
        if (--w->n_until_search > 0)
                return false;

        w->search_interval = MIN(w->search_interval * 2, (unsigned) SEARCH_MAX);
        w->n_until_search = w->search_interval;
        return true;
}

/*
 * Returns the connection with the most credit: each process of a worker has one, and answers for a client when it takes
 * it. Of equal ones, that is the one that got no client for the longest time.
 */
static PersistentConn *persistent_choose(Worker *w) {
        PersistentConn *best = NULL;

        LIST_FOREACH(i, &w->persistent) {
                PersistentConn *pc = CONTAINER_OF(i, PersistentConn, link);

                if (persistent_has_credit(pc) && !persistent_is_busy(pc) &&
                    (!best || persistent_credit(pc) > persistent_credit(best)))
                        best = pc;
        }

        if (best) {
                list_remove(&best->link);
                list_append(&w->persistent, &best->link);
        }

        return best;
}

PersistentConn *persistent_find(const Route *route, const Client *c) {
        if (list_is_empty(&route->worker->persistent) || !persistent_is_suitable(route, c) ||
            (client_consumed(c).n > 0))
                return NULL;

        /*
         * The client may be what killed a worker. On a shared connection the handoffs of other clients would end with
         * the worker, too.
         */
        if (c->sent.n_deaths > 0)
                return NULL;

        return persistent_is_search_due(route->worker) ? NULL : persistent_choose(route->worker);
}

/* Settles the last @n clients, which were not sent. They go to other workers at the end of the turn. */
static void persistent_take_back(PersistentConn *pc, size_t n) {
        List *first = &pc->clients;

        for (size_t i = 0; i < n; i++)
                first = first->prev;
        for (size_t i = 0; i < n; i++) {
                List *next = first->next;

                persistent_settle(pc, CONTAINER_OF(first, Client, second.link), RECEIPT_RESET);
                first = next;
        }

        /* No credit is left, so none of these clients chooses this connection again before the worker answers. */
        pc->n_sent = (uint16_t) (pc->n_sent - n);
        pc->limit = pc->n_sent;
}

static void persistent_not_sent(PersistentConn *pc, size_t n, int error) {
        if (errno_is_resource(error))
                diag_no_resources(pc->table->diag, error);

        persistent_take_back(pc, n);

        /* A worker without clients to answer for would never give new credit. */
        if (!(errno_is_resource(error) || errno_is_transient(error)) || list_is_empty(&pc->clients))
                persistent_end_conn(pc);

        worker_serve_later(pc->table->workers, pc->worker);
}

/* Notes that the worker now holds the last @n clients, too. */
static void persistent_mark_sent(PersistentConn *pc, size_t n) {
        List *l = pc->clients.prev;

        for (; n > 0; n--, l = l->prev) {
                Client *c = CONTAINER_OF(l, Client, second.link);

                c->is_shared = true;
                c->last_worker = pc->worker->number;
        }
}

static void persistent_send(PersistentConn *pc) {
        size_t n = pc->n_batch;
        int r;

        list_remove(&pc->batch_link);
        if (n == 0)
                return;

        r = handoff_send_batch(pc->fd, (Slice){ pc->headers, pc->n_headers }, pc->fds, n);
        pc->n_batch = pc->n_headers = 0;
        if (r < 0)
                persistent_not_sent(pc, n, r);
        else
                persistent_mark_sent(pc, n);
}

static int persistent_add_header(PersistentConn *pc, const Route *route, Client *c) {
        Slice consumed;
        size_t n;
        int r;

        r = metadata_encode(pc->table->head_buffer, pc->table->seal_key, route, c, pc->headers + pc->n_headers,
                            sizeof(pc->headers) - pc->n_headers, &n, &consumed);
        if (r >= 0)
                pc->n_headers += n;

        return r;
}

bool persistent_add(PersistentConn *pc, const Route *route, Client *c) {
        int r;

        c->sent.may_reuse = false;

        r = persistent_add_header(pc, route, c);
        if (r == -EMSGSIZE && pc->n_batch > 0) {
                /* Sending may end the connection, but does not free it. */
                persistent_send(pc);
                r = persistent_has_credit(pc) && pc->fd >= 0 ? persistent_add_header(pc, route, c) : -EAGAIN;
        }
        if (r < 0)
                return false;

        pc->fds[pc->n_batch++] = c->fd;
        pc->used_at = loop_now(pc->table->loop);
        list_append(&pc->clients, &c->second.link);
        c->sent.persistent = pc;
        c->sent.persistent_seq = pc->n_sent++;

        if (!list_is_linked(&pc->batch_link))
                list_append(&pc->table->to_send, &pc->batch_link);
        return true;
}

void persistent_send_if_full(PersistentConn *pc) {
        if (pc->n_batch == ELEMENTSOF(pc->fds))
                persistent_send(pc);
}

/* Ends a connection. The clients of its next message were not sent. */
static void persistent_give_up(PersistentConn *pc) {
        persistent_take_back(pc, pc->n_batch);
        pc->n_batch = pc->n_headers = 0;
        persistent_end_conn(pc);
}

/*
 * Stops waiting for events of answers, because there is no memory to receive one, or waits again. The connection stays,
 * because the worker may still read its messages. Until it answers no other worker may get their clients. The answers
 * are looked for when overdue receipts are.
 */
static void persistent_set_deaf(PersistentConn *pc, bool is_deaf) {
        PersistentTable *table = pc->table;

        if (watch_persistent(table->loop, pc->slot, pc->fd, !is_deaf && !table->is_polled) >= 0)
                pc->is_deaf = is_deaf;
}

void persistent_on_event(PersistentTable *table, uint32_t slot) {
        PersistentConn *pc = slot < PERSISTENT_MAX ? table->slots[slot] : NULL;
        int r;

        if (!pc || pc->fd < 0)
                return;

        r = persistent_take_answers(pc, ANSWERS_MAX);
        if (errno_is_resource(r)) {
                diag_no_resources(table->diag, r);
                persistent_set_deaf(pc, true);
        } else if (r != 0 && !errno_is_transient(r))
                persistent_give_up(pc);
        else if (pc->is_deaf)
                persistent_set_deaf(pc, false);

        worker_serve_later(table->workers, pc->worker);
}

/* True if an answer is awaited: a receipt, or new credit. */
static bool persistent_owes_answer(const PersistentConn *pc) {
        return !list_is_empty(&pc->clients) || !persistent_has_credit(pc);
}

void persistent_look_all(PersistentTable *table) {
        for (uint32_t i = 0; i < PERSISTENT_MAX; i++)
                if (table->slots[i] && persistent_owes_answer(table->slots[i]))
                        persistent_on_event(table, i);
}

/* Watches the connection. If that fails the connection ends, because its answers would never be read. */
static void persistent_watch_or_end(PersistentConn *pc, bool answers) {
        PersistentTable *table = pc->table;

        if (pc->fd < 0 || watch_persistent(table->loop, pc->slot, pc->fd, answers && !pc->is_deaf) >= 0)
                return;

        persistent_give_up(pc);
        worker_serve_later(table->workers, pc->worker);
}

void persistent_set_polled(PersistentTable *table, bool is_polled) {
        table->is_polled = is_polled;
        for (uint32_t i = 0; i < PERSISTENT_MAX; i++)
                if (table->slots[i])
                        persistent_watch_or_end(table->slots[i], !is_polled);
}

void persistent_send_all(PersistentTable *table) {
        for (List *l; (l = list_first(&table->to_send));)
                persistent_send(CONTAINER_OF(l, PersistentConn, batch_link));
}

void persistent_reap(PersistentTable *table) {
        for (List *l; (l = list_first(&table->ended));)
                persistent_free(CONTAINER_OF(l, PersistentConn, link));
}

void persistent_close_all(Worker *w) {
        LIST_FOREACH(i, &w->persistent)
                persistent_free(CONTAINER_OF(i, PersistentConn, link));
}
