/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/head.h"

#include <sys/epoll.h>

#include "basic/error.h"
#include "broker/diag.h"
#include "broker/facts.h"
#include "broker/judge.h"
#include "broker/listener.h"
#include "broker/match.h"
#include "broker/pool.h"
#include "broker/refusal.h"
#include "broker/routing.h"

static void timer_arm(Listener *l);
static void head_end_half(Broker *b, Client *c);
static void head_look_by_helper(Broker *b, Client *c);

/* Takes the client out of the lists of those whose head is awaited. */
static void leave(Broker *b, Client *c) {
        unwatch_client(&b->watch, c);
        list_remove(&c->link);
        list_remove(&c->second_link);
        c->state = CLIENT_NEW;
}

/*
 * Waits for its first byte. The earliest end is in front, as in the list of heads. With one timeout for all that is the order
 * of arrival; after a reload with a shorter one, those who come pass those who may take longer.
 */
static void await_word(Client *c) {
        List *silent = &c->listener->silent, *before = silent->prev;

        while (before != silent && CONTAINER_OF(before, Client, second_link)->silent_at > c->silent_at)
                before = before->prev;

        list_append(before->next, &c->second_link);
}

static void hand_on(Broker *b, Client *c, size_t pool) {
        leave(b, c);
        c->deadline = 0;
        pool_admit(&b->routing->pools[pool], c);
}

static void refuse(Broker *b, Client *c, Refusal why, ProbeReason reason) {
        leave(b, c);
        refusal_send(b, c, why, reason);
}

static Facts facts_of(const Client *c, Slice head) {
        return (Facts){
                .listener = c->listener->name,
                .source = &c->address.sa,
                .head = head,
                .name = c->baggage ? c->baggage->name : NULL,
        };
}

/* Sends the client where its facts say. */
static void route(Broker *b, Client *c, const Facts *facts) {
        MatchResult result;

        match_index_find(b->routing->index, facts, &result);

        if (result.ambiguous_path)
                refuse(b, c, REFUSAL_MALFORMED, PROBE_REASON_HTTP_AMBIGUOUS_PATH);
        else if (result.found)
                hand_on(b, c, result.pool);
        else if (facts->host && facts->host->n > 0 && b->routing->has_hosts && !result.host_is_known)
                refuse(b, c, REFUSAL_NO_HOST, PROBE_REASON_NONE);
        else {
                diag_no_route(c->listener);
                refuse(b, c, REFUSAL_NO_ROUTE, PROBE_REASON_NONE);
        }
}

/* Hands it on where the route for these facts names the client's bytes. */
static bool hand_to_prefix(Broker *b, Client *c, const Facts *facts) {
        MatchResult result;

        match_index_find(b->routing->index, facts, &result);
        if (!result.found || b->routing->pools[result.pool].routes[0].config->match.n_prefixes == 0)
                return false;

        hand_on(b, c, result.pool);
        return true;
}

/*
 * Bytes of a protocol that is not known here, or that are malformed in one that is: only a route that names
 * these very bytes, or the listener or source alone, can want them. True where more bytes might tell.
 */
static bool route_unknown(Broker *b, Client *c, Slice head, ProbeVerdict verdict, ProbeReason reason) {
        Facts facts = facts_of(c, head);

        if (routing_prefix_needs_more(b->routing, c->listener->name, head))
                return true;

        if (verdict != PROBE_MALFORMED)
                route(b, c, &facts);
        else if (!hand_to_prefix(b, c, &facts))
                refuse(b, c, REFUSAL_MALFORMED, reason);

        return false;
}

/* Returns false where the bytes are too few to tell. */
static bool decide(Broker *b, Client *c, Slice head) {
        Probe *probe = &b->seen;
        ProbeVerdict verdict;
        Facts facts;

        verdict = probe_client(head.p, head.n, c->listener->config->max_head_size, probe);

        switch (verdict) {

        case PROBE_NEED_MORE:
                return false;

        case PROBE_MATCH:
                b->seen_id = c->id;
                facts = facts_of(c, head);
                facts_add_probe(&facts, probe);
                route(b, c, &facts);
                return true;

        case PROBE_NO_MATCH:
        case PROBE_MALFORMED:
                return !route_unknown(b, c, head, verdict, probe->reason);
        }

        return true;
}

/* Reads exactly the header off the socket: the worker must not see it. False where the client is lost. */
static bool consume(Client *c, uint8_t *scratch, size_t n) {
        ssize_t k = recv(c->fd, scratch, n, MSG_DONTWAIT);

        if (k < 0)
                return false;

        c->untouched.n_read += (size_t) k;
        return (size_t) k == n; /* it was all there a moment ago */
}

/* The addresses that the header tells take the place of the connection's own. */
static void use_proxy_address(Client *c, const ProxyFacts *facts) {
        if (facts->source_length == 0)
                return;

        memcpy(&c->address, &facts->source, MIN(sizeof(c->address), (size_t) facts->source_length));
        memcpy(&c->local, &facts->destination, MIN(sizeof(c->local), (size_t) facts->destination_length));
}

typedef enum Look {
        LOOK_WAIT,  /* more bytes are needed */
        LOOK_AGAIN, /* a header was consumed: the bytes behind it count now */
        LOOK_DONE,  /* the client went on, or is gone */
} Look;

/* Where no route asks for bytes, the client need not have said any. */
static void route_at_once(Broker *b, Client *c) {
        Facts facts = facts_of(c, (Slice){});

        route(b, c, &facts);
}

/* Now it is known where the client comes from: what counts for others at the door counts for it here. */
static Look begin_behind_proxy(Broker *b, Client *c) {
        Listener *l = c->listener;

        c->needs_proxy = false;

        if (!broker_count_source(b, c)) {
                refuse(b, c, REFUSAL_SOURCE_FULL, PROBE_REASON_NONE);
                return LOOK_DONE;
        }

        if (!l->needs_bytes) {
                route_at_once(b, c);
                return LOOK_DONE;
        }

        c->silent_at = usec_add(broker_now(b), l->config->silent_timeout_usec);
        await_word(c);
        return LOOK_AGAIN;
}

static Look look_at_proxy_header(Broker *b, Client *c, size_t n) {
        ProxyFacts facts;

        switch (probe_proxy(b->scratch, n, &facts)) {

        case PROBE_NEED_MORE:
                return LOOK_WAIT;

        case PROBE_MATCH:
                use_proxy_address(c, &facts);
                if (!consume(c, b->scratch, facts.header_length)) {
                        b->n.n_gone++;
                        broker_drop(b, c);
                        return LOOK_DONE;
                }
                return begin_behind_proxy(b, c);

        case PROBE_NO_MATCH:
                if (c->listener->config->proxy_protocol == PROXY_PROTOCOL_OPTIONAL)
                        return begin_behind_proxy(b, c);
                refuse(b, c, REFUSAL_MALFORMED, PROBE_REASON_PROXY_V1);
                return LOOK_DONE;

        case PROBE_MALFORMED:
                refuse(b, c, REFUSAL_MALFORMED, facts.reason);
                return LOOK_DONE;
        }

        return LOOK_DONE;
}

static Look look_once(Broker *b, Client *c) {
        ssize_t n;

        n = client_peek(c, broker_scratch(b), c->needs_proxy ? b->scratch_size : c->listener->config->max_head_size);
        if (n < 0 && errno_is_transient((int) n))
                return LOOK_WAIT;
        if (n < 0 && errno_is_resource((int) n)) {
                refuse(b, c, REFUSAL_BROKER, PROBE_REASON_NONE);
                return LOOK_DONE;
        }
        if (n <= 0) {
                /* It left before it said what it wants; nobody needs to hear of it. */
                b->n.n_gone++;
                broker_drop(b, c);
                return LOOK_DONE;
        }

        list_remove(&c->second_link);
        c->silent_at = 0;
        if (!c->is_shared)
                c->n_received = c->untouched.n_read + (uint64_t) n;

        if (c->needs_proxy)
                return look_at_proxy_header(b, c, (size_t) n);

        if (decide(b, c, (Slice){ b->scratch, (size_t) n }))
                return LOOK_DONE;

        if ((size_t) n >= c->listener->config->max_head_size) {
                refuse(b, c, REFUSAL_MALFORMED, PROBE_REASON_TOO_LARGE);
                return LOOK_DONE;
        }

        return LOOK_WAIT;
}

/* True where the client has gone on, or has gone. */
static bool look(Broker *b, Client *c) {
        Look l;

        while ((l = look_once(b, c)) == LOOK_AGAIN)
                ;

        return l == LOOK_DONE;
}

/* Puts it among those whose head is awaited, and looks. */
static void head_enter(Broker *b, Client *c) {
        Listener *l = c->listener;

        c->state = CLIENT_HEAD;
        client_insert_by_deadline(&l->heads, c);
        if (c->silent_at > 0)
                await_word(c);

        if (look(b, c))
                return;

        if (watch_client(&b->watch, c) < 0) {
                refuse(b, c, REFUSAL_BROKER, PROBE_REASON_NONE);
                return;
        }

        timer_arm(l);
        if (c->has_news) /* the copy may lack the last bytes before the end */
                head_look_by_helper(b, c);
        else if (c->has_ended)
                head_end_half(b, c);
}

static void head_ask(Broker *b, Client *c, SocketTask *t) {
        t->steps = SOCKET_STEP_PEEK;
        t->head_max = c->listener->config->max_head_size;
}

static void head_go_on(Broker *b, Client *c, const SocketTask *t) {
        if (!t || (t->failed != 0 && !errno_is_resource(t->error))) {
                b->n.n_gone++;
                broker_drop(b, c);
        } else if (t->failed != 0 || client_set_copy(c, t->head, t->n_head, t->is_end) < 0)
                refusal_send(b, c, REFUSAL_BROKER, PROBE_REASON_NONE);
        else
                head_enter(b, c);
}

static const JudgeKind head_kind = { head_ask, head_go_on };

/* The socket is a worker's as well: the helper copies the first bytes, and the client comes back to head_enter(). */
static void head_look_by_helper(Broker *b, Client *c) {
        list_remove(&c->link);
        list_remove(&c->second_link);
        judge_begin(b, c, &head_kind);
}

void head_begin(Broker *b, Client *c) {
        Listener *l = c->listener;
        usec_t now = broker_now(b);

        c->begun_at = now;

        /* For whom a worker has named the route, nothing has to be found out. */
        if (!l->needs_head || (c->baggage && c->baggage->name)) {
                route_at_once(b, c);
                return;
        }

        c->deadline = usec_add(now, l->config->head_timeout_usec);
        c->silent_at = usec_add(now, l->config->silent_timeout_usec);
        if (c->is_shared && !c->copy)
                head_look_by_helper(b, c);
        else
                head_enter(b, c);
}

/*
 * What began like a head of a known protocol will not become one: now a route may have it that names these bytes.
 * Before, it would have depended on how the network cut them.
 */
static bool route_by_prefix(Broker *b, Client *c) {
        ssize_t n = client_peek(c, broker_scratch(b), c->listener->config->max_head_size);
        Facts facts;

        if (n <= 0 || c->needs_proxy)
                return false;

        facts = facts_of(c, (Slice){ b->scratch, (size_t) n });
        return hand_to_prefix(b, c, &facts);
}

/* No more will come, and what is there is no head. */
static void head_end_half(Broker *b, Client *c) {
        if (route_by_prefix(b, c))
                return;

        b->n.n_gone++;
        refusal_drop(b, c);
}

void head_on_event(Broker *b, Client *c, uint32_t events) {
        if (events & EPOLLHUP) {
                b->n.n_gone++;
                broker_drop(b, c);
                return;
        }

        c->has_ended = events & EPOLLRDHUP;
        if (c->is_shared) {
                head_look_by_helper(b, c);
                return;
        }

        if (look(b, c))
                return;

        if (c->has_ended)
                head_end_half(b, c);
        else
                timer_arm(c->listener); /* behind a PROXY header its silence begins anew */
}

bool head_takes_silent(const Pool *p) {
        const RouteMatch *match = &p->routes[0].config->match;

        return match->protocols & PROTOCOL_SILENT || (match->listeners && !match_needs_head(match));
}

/* Nothing was said for SilentTimeoutSec=: perhaps it waits for the server to begin. */
static void on_silent(Broker *b, Client *c) {
        Facts facts = facts_of(c, (Slice){});
        MatchResult result;

        list_remove(&c->second_link);

        /* What it has said may be waiting for its turn behind us. */
        if (look(b, c))
                return;

        /* A PROXY header would have come first: such a client is late, not silent. */
        if (c->needs_proxy)
                return;

        facts.protocol = PROTOCOL_SILENT;
        match_index_find(b->routing->index, &facts, &result);
        if (result.found && head_takes_silent(&b->routing->pools[result.pool]))
                hand_on(b, c, result.pool);
}

static void on_timer(void *userdata) {
        Listener *l = userdata;
        Broker *b = l->broker;
        usec_t now = broker_now(b);
        List *i;

        while ((i = list_first(&l->silent)) && CONTAINER_OF(i, Client, second_link)->silent_at <= now)
                on_silent(b, CONTAINER_OF(i, Client, second_link));

        while ((i = list_first(&l->heads)) && CONTAINER_OF(i, Client, link)->deadline <= now)
                if (!look(b, CONTAINER_OF(i, Client, link)) && !route_by_prefix(b, CONTAINER_OF(i, Client, link)))
                        refuse(b, CONTAINER_OF(i, Client, link), REFUSAL_HEAD_TIMEOUT, PROBE_REASON_NONE);

        timer_arm(l);
}

static void timer_arm(Listener *l) {
        List *head = list_first(&l->heads), *silent = list_first(&l->silent);
        usec_t at = USEC_INFINITY;

        if (head)
                at = CONTAINER_OF(head, Client, link)->deadline;
        if (silent)
                at = MIN(at, CONTAINER_OF(silent, Client, second_link)->silent_at);

        timer_set(&l->head_timer, at);
}

int head_timer_add(Listener *l) {
        return timer_init(&l->head_timer, l->broker, on_timer, l);
}

void head_refuse_all(Listener *l, Refusal why) {
        List *i;

        while ((i = list_first(&l->heads)))
                refuse(l->broker, CONTAINER_OF(i, Client, link), why, PROBE_REASON_NONE);
}

bool head_evict_oldest(Broker *b) {
        Client *oldest = NULL;

        /* Ids count up, and each list has its oldest first, or nearly. */
        LIST_FOREACH(i, &b->listeners) {
                List *first = list_first(&CONTAINER_OF(i, Listener, link)->heads);

                if (first && (!oldest || CONTAINER_OF(first, Client, link)->id < oldest->id))
                        oldest = CONTAINER_OF(first, Client, link);
        }

        if (!oldest)
                return false;

        refuse(b, oldest, REFUSAL_EVICTED, PROBE_REASON_NONE);
        return true;
}
