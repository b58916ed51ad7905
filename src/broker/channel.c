/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/channel.h"

#include "basic/error.h"
#include "basic/fd.h"
#include "broker/diag.h"
#include "broker/metadata.h"
#include "broker/offer.h"
#include "broker/pool.h"
#include "handoff/handoff.h"

/* A worker of several processes may keep one for each, and one that is short of credit gets another. */
#define PER_WORKER_MAX 8

/* One that was not used for so long makes room where there is none. */
#define UNUSED_USEC (1 * USEC_PER_SEC)

/* Answers taken in one turn of the event loop. */
#define ANSWERS_MAX 64

/* And at the end of a connection: more than its socket holds (unix(7), SO_SNDBUF). */
#define ANSWERS_AT_END 512

void channels_init(ChannelTable *table) {
        list_init(&table->full);
        list_init(&table->settled);
        list_init(&table->ended);
}

static void channel_close_fd(Broker *b, const Worker *w, int fd) {
        if (!handoff_may_bring_rights()) {
                fd_close(fd);
                return;
        }

        /* Until the helper has closed it, each turn would tell of its end. */
        unwatch_channel(&b->watch, fd);
        helper_close(b->helper, HELPER_CONNECTIONS, fd, w->number);
}

static void channel_close(Channel *ch) {
        if (ch->fd >= 0)
                channel_close_fd(ch->broker, ch->worker, TAKE_FD(ch->fd));
}

static Channel *channel_free(Channel *ch) {
        ch->broker->channels.slots[ch->slot] = NULL;
        list_remove(&ch->link);
        list_remove(&ch->batch_link);
        channel_close(ch);
        free(ch);
        return NULL;
}

/* Its message has room for facts, and afterwards the kernel can tell whether somebody touched it. */
static bool is_suitable(const Route *route, const Client *c) {
        return route->form == WORKER_SEQPACKET && route->config->metadata && client_is_ip(c);
}

static bool is_unused(const Channel *ch, usec_t now) {
        return ch->fd >= 0 && list_is_empty(&ch->clients) && now >= usec_add(ch->used_at, UNUSED_USEC);
}

/* A slot that is free, or can be made so. Returns CHANNELS_MAX where there is none. */
static uint32_t find_slot(const Broker *b) {
        uint32_t best = CHANNELS_MAX;

        for (uint32_t i = 0; i < CHANNELS_MAX; i++) {
                const Channel *ch = b->channels.slots[i];

                if (!ch)
                        return i;
                if (is_unused(ch, broker_now(b)) &&
                    (best == CHANNELS_MAX || ch->used_at < b->channels.slots[best]->used_at))
                        best = i;
        }

        return best;
}

bool channel_may_begin(const Broker *b, const Route *route, const Client *c) {
        return is_suitable(route, c) && route->worker->n_channels < PER_WORKER_MAX && !b->stopping &&
               find_slot(b) < CHANNELS_MAX;
}

/* Notes the outcome only. The turn's end deals with it, because a retry may choose this very connection again. */
static void settle(Channel *ch, Client *c, Receipt receipt) {
        c->receipt = receipt;
        list_remove(&c->second_link);
        list_append(&ch->broker->channels.settled, &c->second_link);
}

/* Applies an answer to the clients that it names. Clients that are not sent yet are left out, whatever it says. */
static void apply(Channel *ch, PersistentAnswer answer) {
        uint16_t end = (uint16_t) (ch->n_sent - ch->n_batch), n = 0;

        ch->limit = answer.limit;
        LIST_FOREACH(i, &ch->clients) {
                Client *c = CONTAINER_OF(i, Client, second_link);

                if (c->number == end || n == answer.n)
                        return;
                if ((uint16_t) (c->number - answer.first) >= answer.n)
                        continue;

                settle(ch, c, answer.receipt);
                n++;
        }
}

/*
 * Takes the answers that are there, and not many more than so many. Where the worker has left messages unread the kernel
 * says that first, once; what it has answered before is behind that, and holds.
 */
static int take_answers(Channel *ch, size_t max) {
        for (size_t n = 0; n < max; n += HANDOFF_ANSWERS_MAX) {
                PersistentAnswer answers[HANDOFF_ANSWERS_MAX];
                size_t n_answers;
                int r = handoff_receive_answers(ch->fd, answers, &n_answers);

                for (size_t i = 0; i < n_answers; i++)
                        apply(ch, answers[i]);
                if (r != 0 && r != -ECONNRESET)
                        return r;
        }

        return 0;
}

/*
 * Nothing more comes or goes on it. What was sent and has no answer may be with somebody: only who is untouched goes
 * on to another worker.
 */
static void channel_end(Channel *ch) {
        if (ch->fd < 0)
                return;

        ch->worker->n_channels--;
        list_remove(&ch->link);
        list_append(&ch->broker->channels.ended, &ch->link);

        /* No client finds it any more. */
        (void) take_answers(ch, ANSWERS_AT_END);
        channel_close(ch);

        LIST_FOREACH(i, &ch->clients)
                settle(ch, CONTAINER_OF(i, Client, second_link), RECEIPT_CLOSED);
}

static Channel *channel_new(Broker *b, Worker *w, uint16_t limit) {
        uint32_t slot = find_slot(b);
        Channel *ch;

        if (slot >= CHANNELS_MAX)
                return NULL;

        ch = calloc(1, sizeof(*ch));
        if (!ch)
                return NULL;

        if (b->channels.slots[slot]) { /* it is unused: nobody depends on it */
                channel_end(b->channels.slots[slot]);
                channel_free(b->channels.slots[slot]);
        }

        ch->broker = b;
        ch->worker = w;
        ch->slot = slot;
        ch->fd = -EBADF;
        ch->n_sent = 1; /* the one that it came with */
        ch->limit = limit;
        ch->used_at = broker_now(b);
        list_init(&ch->link);
        list_init(&ch->batch_link);
        list_init(&ch->clients);

        b->channels.slots[slot] = ch;
        return ch;
}

void channel_begin(Broker *b, Client *c, uint16_t limit) {
        Worker *w = c->route->worker;
        int fd = TAKE_FD(c->conn_fd);
        Channel *ch;

        ch = w->n_channels < PER_WORKER_MAX ? channel_new(b, w, limit) : NULL;
        if (!ch || watch_channel(&b->watch, ch->slot, fd, !b->receipts.by_turns) < 0) {
                channel_close_fd(b, w, fd);
                if (ch)
                        channel_free(ch);
                return;
        }

        ch->fd = fd;
        list_append(&w->channels, &ch->link);
        w->n_channels++;
}

static bool has_credit(const Channel *ch) {
        return (int16_t) (ch->limit - ch->n_sent) > 0;
}

Channel *channel_find(const Route *route, const Client *c) {
        if (list_is_empty(&route->worker->channels) || !is_suitable(route, c) ||
            (c->baggage && c->baggage->consumed.n > 0))
                return NULL;

        /* It may be the reason of a death: then it takes no other client with it. */
        if (c->n_deaths > 0)
                return NULL;

        LIST_FOREACH(i, &route->worker->channels)
                if (has_credit(CONTAINER_OF(i, Channel, link)))
                        return CONTAINER_OF(i, Channel, link);

        return NULL;
}

/* The last clients were not sent after all: other ways are found for them. */
static void take_back(Channel *ch, size_t n) {
        List *first = &ch->clients;

        for (size_t i = 0; i < n; i++)
                first = first->prev;
        for (size_t i = 0; i < n; i++) {
                List *next = first->next;

                settle(ch, CONTAINER_OF(first, Client, second_link), RECEIPT_RESET);
                first = next;
        }

        /* None of them shall come here again, before there is an answer. */
        ch->n_sent = (uint16_t) (ch->n_sent - n);
        ch->limit = ch->n_sent;
}

static void not_sent(Channel *ch, size_t n, int error) {
        if (errno_is_resource(error))
                diag_no_resources(ch->broker, error);

        take_back(ch, n);

        /* A worker that has all its answers given would never say that there is room again. */
        if (!(errno_is_resource(error) || errno_is_transient(error)) || list_is_empty(&ch->clients))
                channel_end(ch);

        worker_serve_later(&ch->broker->workers, ch->worker);
}

/* The last @n clients are the worker's as well from now on. */
static void channel_mark_sent(Channel *ch, size_t n) {
        List *l = ch->clients.prev;

        for (; n > 0; n--, l = l->prev) {
                Client *c = CONTAINER_OF(l, Client, second_link);

                c->is_shared = true;
                c->last_worker = ch->worker->number;
        }
}

static void channel_send(Channel *ch) {
        size_t n = ch->n_batch;
        int r;

        list_remove(&ch->batch_link);
        if (n == 0)
                return;

        r = handoff_send_batch(ch->fd, (Slice){ ch->headers, ch->n_headers }, ch->fds, n);
        ch->n_batch = ch->n_headers = 0;
        if (r < 0)
                not_sent(ch, n, r);
        else
                channel_mark_sent(ch, n);
}

static int add_header(Channel *ch, const Route *route, Client *c) {
        Slice consumed;
        size_t n;
        int r;

        r = metadata_encode(ch->broker, route, c, ch->headers + ch->n_headers, sizeof(ch->headers) - ch->n_headers, &n,
                            &consumed);
        if (r >= 0)
                ch->n_headers += n;

        return r;
}

int channel_offer(Channel *ch, Route *route, Client *c) {
        Broker *b = ch->broker;
        int r;

        c->may_keep = false;

        r = add_header(ch, route, c);
        if (r == -EMSGSIZE && ch->n_batch > 0) {
                /* This may end the channel, but doesn't free it. */
                channel_send(ch);
                r = has_credit(ch) && ch->fd >= 0 ? add_header(ch, route, c) : -EAGAIN;
        }
        if (r < 0)
                return OFFER_NOT_TAKEN;

        ch->fds[ch->n_batch++] = c->fd;
        ch->used_at = broker_now(b);
        list_append(&ch->clients, &c->second_link);

        c->state = CLIENT_PENDING;
        c->route = route;
        c->channel = ch;
        c->number = ch->n_sent++;
        route->worker->n_pending++;
        receipts_expect(&b->receipts, c);

        if (ch->n_batch == ELEMENTSOF(ch->fds))
                channel_send(ch);
        else if (!list_is_linked(&ch->batch_link))
                list_append(&b->channels.full, &ch->batch_link);

        return 0;
}

/* Ends it, where some of its clients may not even be sent. */
static void channel_give_up(Channel *ch) {
        take_back(ch, ch->n_batch);
        ch->n_batch = ch->n_headers = 0;
        channel_end(ch);
}

/*
 * For want of memory no answer can be received now. The connection stays: the worker may yet read what was sent on it, and
 * then its clients must not be with another worker. It is looked at again with the receipts that are overdue.
 */
static void channel_set_deaf(Channel *ch, bool is_deaf) {
        Broker *b = ch->broker;

        if (watch_channel(&b->watch, ch->slot, ch->fd, !is_deaf && !b->receipts.by_turns) >= 0)
                ch->is_deaf = is_deaf;
}

void channel_on_event(Broker *b, uint32_t slot) {
        Channel *ch = slot < CHANNELS_MAX ? b->channels.slots[slot] : NULL;
        int r;

        if (!ch || ch->fd < 0)
                return;

        r = take_answers(ch, ANSWERS_MAX);
        if (errno_is_resource(r)) {
                diag_no_resources(b, r);
                channel_set_deaf(ch, true);
        } else if (r != 0 && !errno_is_transient(r))
                channel_give_up(ch);
        else if (ch->is_deaf)
                channel_set_deaf(ch, false);

        worker_serve_later(&b->workers, ch->worker);
}

/* It may have something to say: about clients, or that more of them may come. */
static bool owes_answer(const Channel *ch) {
        return !list_is_empty(&ch->clients) || !has_credit(ch);
}

void channels_look(Broker *b) {
        for (uint32_t i = 0; i < CHANNELS_MAX; i++)
                if (b->channels.slots[i] && owes_answer(b->channels.slots[i]))
                        channel_on_event(b, i);
}

/* One of which nothing would be heard any more may as well end. */
static void watch_or_end(Channel *ch, bool answers) {
        Broker *b = ch->broker;

        if (ch->fd < 0 || watch_channel(&b->watch, ch->slot, ch->fd, answers) >= 0)
                return;

        channel_give_up(ch);
        worker_serve_later(&b->workers, ch->worker);
}

void channels_watch(Broker *b, bool answers) {
        for (uint32_t i = 0; i < CHANNELS_MAX; i++)
                if (b->channels.slots[i])
                        watch_or_end(b->channels.slots[i], answers);
}

void channels_flush(Broker *b) {
        for (List *l; (l = list_first(&b->channels.full));)
                channel_send(CONTAINER_OF(l, Channel, batch_link));
}

void channels_settle(Broker *b) {
        for (List *l; (l = list_first(&b->channels.settled));) {
                Client *c = CONTAINER_OF(l, Client, second_link);

                (void) receipts_settle(b, c, c->receipt);
        }
}

void channels_reap(Broker *b) {
        for (List *l; (l = list_first(&b->channels.ended));)
                channel_free(CONTAINER_OF(l, Channel, link));
}

void channels_close(Worker *w) {
        LIST_FOREACH(i, &w->channels)
                channel_free(CONTAINER_OF(i, Channel, link));
}
