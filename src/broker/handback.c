/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/handback.h"

#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "broker/diag.h"
#include "broker/head.h"
#include "broker/judge.h"
#include "broker/listener.h"
#include "broker/park.h"
#include "broker/pool.h"
#include "broker/refusal.h"
#include "broker/routing.h"
#include "broker/watch.h"
#include "handoff/handoff.h"
#include "handoff/message.h"

/* So many connections at a time; the others wait in the backlog. */
#define PEERS_MAX 64

/* With so many descriptors that the helper has yet to close, no more connections are accepted: each is another one. */
#define CLOSING_MAX 1024

/* One that has said nothing for so long may have to make room for those. */
#define PEER_GRACE_USEC (1 * USEC_PER_SEC)

/* When there is no room for a client, or for a connection, it is looked for again after this. */
#define PAUSE_USEC (250 * USEC_PER_MSEC)

/* A broker that stops waits so long for what senders that are connected are about to send. */
#define STOP_PEERS_USEC (20 * USEC_PER_MSEC)

/* Messages of one connection in one turn of the event loop. */
#define BATCH_MAX 32

/* So many at most when a connection is emptied: whoever goes on sending is not waited for. */
#define REST_MAX HANDBACK_REST_MAX

/* A connection that brings clients: with messages any number, by the one byte of the stream form one. */
typedef struct Peer {
        Listener *listener;
        List link;              /* Handback.peers, the one that has been silent the longest first */
        int fd;
        sd_event_source *io;
        usec_t active_at;
        uint8_t answer;         /* one that could not be given yet, or 0 */
        struct ucred sender;    /* for the log */
} Peer;

struct Handback {
        Listener *self;         /* where the next process finds what we leave; NULL: nowhere */
        List peers;             /* Peer.link */
        size_t n_peers;
        Timer pause_timer;      /* turns on what had to wait for room: peers, and the listeners */

        RateLimit loops;

        uint8_t buffer[FDPASS_MESSAGE_MAX];
};

/*
 * For the helper: who is the reason if something hangs. Numbers of workers are below. With PrivateUsers= most users have the
 * same number here (user_namespaces(7)).
 */
static uint32_t peer_owner(const Peer *p) {
        return UINT32_C(1) << 31 | p->sender.uid;
}

static void peer_free(Peer *p) {
        sd_event_source_disable_unref(p->io);
        helper_close(p->listener->broker->helper, HELPER_CONNECTIONS, p->fd, peer_owner(p)); /* descriptors may be in its queue */
        list_remove(&p->link);
        free(p);
}

static void enable_listeners(Broker *b) {
        int r = broker_enable_listeners(b);

        if (r < 0)
                broker_pause(b, r);
}

static void peer_end(Peer *p) {
        Broker *b = p->listener->broker;

        peer_free(p);
        if (b->handback->n_peers-- == PEERS_MAX)
                enable_listeners(b);
}

static void pause_arm(Handback *h) {
        timer_set(&h->pause_timer, usec_now() + PAUSE_USEC);
}

static void peer_pause(Peer *p) {
        (void) sd_event_source_set_enabled(p->io, SD_EVENT_OFF);
        pause_arm(p->listener->broker->handback);
}

/* Returns 0, HANDOFF_CLOSED where the other end does not read what it is told, or an error of resources. */
static int give_answer(Peer *p) {
        int r = p->answer != 0 ? handoff_answer(p->fd, p->answer) : 0;

        if (errno_is_transient(r))
                return HANDOFF_CLOSED;
        if (r >= 0)
                p->answer = 0;
        return r;
}

static void on_pause_timer(void *userdata) {
        Broker *b = userdata;

        LIST_FOREACH(i, &b->handback->peers) {
                Peer *p = CONTAINER_OF(i, Peer, link);

                if (sd_event_source_set_enabled(p->io, SD_EVENT_ON) < 0 || give_answer(p) < 0)
                        peer_pause(p);
        }

        enable_listeners(b);
}

/* What a message tells of a client goes for its routing. What the socket itself is stays known beside that. */
static void set_addresses(Client *c, const Message *m) {
        if (m->source.sa.sa_family == AF_UNSPEC)
                return;

        memcpy(&c->address, &m->source, MIN(sizeof(c->address), sizeof(m->source)));
        memcpy(&c->local, &m->destination, MIN(sizeof(c->local), sizeof(m->destination)));
}

/*
 * It has nothing to say yet, and no broker has handed it on as one that will: it is between two requests. A broker that
 * stops only holds it for the next process.
 */
static bool is_to_be_parked(const Broker *b, const Client *c) {
        bool has_bytes = c->copy->n > 0 || c->copy->is_end || (c->baggage && c->baggage->consumed.n > 0);

        return b->stopping || (c->may_park && !has_bytes);
}

/* Its own listener is not known here: another one of its family has options like it, most likely. -EBADF: there is none. */
static int handback_find_model(const Broker *b, int fd) {
        int family, other;

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &(socklen_t){ sizeof(family) }) < 0)
                return -EBADF;

        LIST_FOREACH(i, &b->listeners) {
                const Listener *l = CONTAINER_OF(i, Listener, link);

                if (l->carries == 0 && getsockopt(l->fd, SOL_SOCKET, SO_DOMAIN, &other, &(socklen_t){ sizeof(other) }) >= 0 &&
                    family == other)
                        return l->fd;
        }

        return -EBADF;
}

/* A stage that does TLS may have left the kernel's TLS on the socket. */
static void handback_ask(Broker *b, Client *c, SocketTask *t) {
        t->steps = SOCKET_STEP_CONNECTED | SOCKET_STEP_RESTORE | SOCKET_STEP_PEEK;
        judge_describe(c, t);
        if (c->listener->carries != 0)
                t->listener_fd = handback_find_model(b, c->fd);
}

static void handback_go_on(Broker *b, Client *c, const SocketTask *t) {
        if (!t || (t->failed & (SOCKET_STEP_CONNECTED | SOCKET_STEP_PEEK) && !errno_is_resource(t->error))) {
                b->n.n_gone++;
                broker_drop(b, c);
                return;
        }
        if (t->failed != 0 || judge_keep(c, t) < 0) {
                refusal_send(b, c, REFUSAL_BROKER, PROBE_REASON_NONE);
                return;
        }

        c->peer = t->peer;
        c->untouched = t->progress;
        c->n_received = t->progress.n_received;
        if (c->address.sa.sa_family == AF_UNSPEC)
                c->address = t->peer;
        (void) source_get(&b->sources, c, UINT_MAX); /* the sender has vouched for it: it is counted, not refused */

        if (!is_to_be_parked(b, c))
                head_begin(b, c);
        else {
                bool has_news = c->has_news;

                park(b, c);
                if (has_news && !b->stopping)
                        park_on_event(b, c, 0);
        }
}

static const JudgeKind handback_kind = { handback_ask, handback_go_on };

/* What is told of it belongs to it. False for want of memory, or of watches (epoll_ctl(2), ENOSPC). */
static bool furnish(const Listener *l, Client *c, const Message *m) {
        set_addresses(c, m);
        c->n_hops = m->hops;
        c->is_shared = c->was_returned = true;
        c->peer.sa.sa_family = AF_INET; /* until the helper has looked */
        c->may_park = l->carries == SOCK_SEQPACKET && m->name.n == 0 && m->hops == 0;

        return client_set_baggage(c, m) >= 0 && watch_client(&l->broker->watch, c) >= 0;
}

/* Takes the client up. Returns the answer to its sender; unless that is TAKEN, @fd is still the caller's. */
static uint8_t take(const Peer *p, int fd, const Message *m) {
        Listener *l = p->listener, *told = broker_find_listener(l->broker, m->listener);
        Broker *b = l->broker;
        Client *c;

        /* Its response ends with the connection: there is no next request to wait for. */
        if (m->status != 0 && m->name.n == 0 && m->consumed.n == 0)
                return FDPASS_ANSWER_ERROR;

        if (broker_room(b) == 0 || helper_hangs_at(b->helper, peer_owner(p)))
                return FDPASS_ANSWER_REFUSED;

        if (m->hops > FDPASS_HOPS_MAX) {
                diag_loop(b, l, &b->handback->loops);
                return FDPASS_ANSWER_ERROR;
        }

        c = client_new(&b->clients, told ?: l, fd);
        if (!c)
                return FDPASS_ANSWER_REFUSED;

        if (!furnish(l, c, m)) {
                unwatch_client(&b->watch, c);
                c->fd = -EBADF; /* not ours after all */
                broker_drop(b, c);
                return FDPASS_ANSWER_REFUSED;
        }

        c->last_worker = peer_owner(p);
        b->n.n_returned++;
        judge_begin(b, c, &handback_kind);
        return FDPASS_ANSWER_TAKEN;
}

/* Two forms, by the kind of the socket: a message, or one byte that tells nothing. */
static bool decode(const Listener *l, const uint8_t *p, size_t n, Message *ret) {
        if (l->carries == SOCK_SEQPACKET)
                return message_decode(p, n, ret) == 0;

        *ret = MESSAGE_NULL;
        return n == 1 && p[0] == 0x00;
}

/*
 * Without room the message is left where it is: the kernel would drop the descriptor, and who sends a stream's one byte
 * reads no answer.
 */
static int check_room(const Peer *p) {
        int r = handoff_check_room(p->fd);

        if (r < 0) {
                diag_no_resources(p->listener->broker, r);
                return r;
        }

        return p->listener->carries == SOCK_STREAM && broker_room(p->listener->broker) == 0 ? -ENOBUFS : 0;
}

static bool handback_is_client(int fd) {
        return handoff_check_client(fd, /* with_unix= */ false) == 0 && handoff_check_connected(fd) == 0;
}

/*
 * Looks at the next message, and takes it while its descriptors are open here as well: so none that the kernel drops is the
 * last one. All of them but a client's are closed by the helper.
 */
static int handback_look_and_take(Peer *p, uint8_t *ret_answer) {
        bool is_stream = p->listener->carries == SOCK_STREAM;
        Broker *b = p->listener->broker;
        Handback *h = b->handback;
        int fds[HANDOFF_RIGHTS_MAX], r, k = 0;
        size_t n, n_fds;
        Message m;

        r = handoff_peek_message(p->fd, h->buffer, is_stream ? 2 : sizeof(h->buffer), &n, fds, &n_fds);
        if (r == 0 || r == HANDOFF_INVALID)
                k = handoff_discard(p->fd, n);

        if (k < 0)
                r = k; /* it is found again */
        else if (r == HANDOFF_NO_FD)
                *ret_answer = FDPASS_ANSWER_REFUSED; /* it is still the sender's */
        else if (r == 0 && handback_is_client(fds[0]) && decode(p->listener, h->buffer, n, &m))
                *ret_answer = take(p, fds[0], &m);

        for (size_t i = 0; i < n_fds; i++)
                if (i > 0 || *ret_answer != FDPASS_ANSWER_TAKEN)
                        helper_close(b->helper, HELPER_CONNECTIONS, fds[i], peer_owner(p));

        if (r >= 0 && r != HANDOFF_NO_FD && r != HANDOFF_CLOSED && *ret_answer == FDPASS_ANSWER_ERROR)
                diag_return_refused(b, &p->sender);
        return r;
}

/* Returns 0, a condition that ends the connection, or an error: -EAGAIN, or one for want of something (error.h). */
static int receive_one(Peer *p) {
        uint8_t answer = FDPASS_ANSWER_ERROR;
        int r, k;

        r = give_answer(p);
        if (r != 0)
                return r;

        r = check_room(p);
        if (r < 0)
                return r;

        r = handback_look_and_take(p, &answer);
        if (r < 0 || r == HANDOFF_CLOSED)
                return r;

        p->answer = answer;
        k = give_answer(p);
        if (p->listener->carries == SOCK_STREAM)
                return HANDOFF_CLOSED;
        return k != 0 ? k : r;
}

/*
 * Takes what was sent on a connection that has to go. From the shutdown on its sender gets EPIPE, and so knows that
 * it still has the client; what was sent before is all here (unix(7)).
 */
static void receive_rest(Peer *p) {
        (void) shutdown(p->fd, SHUT_RD);

        for (size_t i = 0; i < REST_MAX && receive_one(p) == 0; i++)
                ;
}

static void peer_finish(Peer *p) {
        receive_rest(p);
        peer_end(p);
}

static int on_peer(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Peer *p = userdata;
        Broker *b = p->listener->broker;
        int r = 0;

        for (size_t i = 0; i < BATCH_MAX && r == 0; i++)
                r = receive_one(p);

        if (errno_is_resource(r))
                peer_pause(p);
        else if (r != 0 && !errno_is_transient(r)) {
                peer_end(p);
                return 0;
        }

        p->active_at = broker_now(b);
        list_remove(&p->link);
        list_append(&b->handback->peers, &p->link);
        return 0;
}

static int peer_new(Listener *l, int fd) {
        Handback *h = l->broker->handback;
        Peer *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;

        *p = (Peer){ .listener = l, .fd = fd, .active_at = broker_now(l->broker) };
        (void) getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &p->sender, &(socklen_t){ sizeof(p->sender) });

        r = sd_event_add_io(l->broker->event, &p->io, fd, EPOLLIN, on_peer, p);
        if (r < 0) {
                free(p);
                return r;
        }

        list_append(&h->peers, &p->link);
        h->n_peers++;
        return 0;
}

/*
 * Whoever is connected and says nothing keeps nobody else out; what it says later is still its own. One that has only
 * just come is given time: a sender that can't be told loses its client with the connection.
 */
static bool make_room_for_peer(Handback *h, usec_t now) {
        Peer *p;

        if (h->n_peers < PEERS_MAX)
                return true;

        p = CONTAINER_OF(list_first(&h->peers), Peer, link);
        if (p->active_at + PEER_GRACE_USEC > now)
                return false;

        peer_finish(p);
        return true;
}

static void on_listener(Listener *l) {
        Broker *b = l->broker;
        _cleanup_close_ int conn_fd = -EBADF;

        if (helper_n_pending(b->helper) >= CLOSING_MAX || !make_room_for_peer(b->handback, broker_now(b))) {
                listener_enable(l, false);
                pause_arm(b->handback);
                return;
        }

        conn_fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (conn_fd < 0) {
                if (!errno_is_accept_again(-errno))
                        broker_pause(b, -errno);
                return;
        }

        if (peer_new(l, conn_fd) >= 0)
                (void) TAKE_FD(conn_fd);
        else { /* its sender may be gone: what was sent is ours */
                receive_rest(&(Peer){ .listener = l, .fd = conn_fd });
                helper_close(b->helper, HELPER_CONNECTIONS, TAKE_FD(conn_fd), 0);
        }
}

static int handback_new(Broker *b) {
        int r;

        b->handback = calloc(1, sizeof(*b->handback));
        if (!b->handback)
                return -ENOMEM;

        list_init(&b->handback->peers);

        r = timer_init(&b->handback->pause_timer, b, on_pause_timer, b);
        if (r < 0)
                handback_done(b);

        return r;
}

int handback_listen(Broker *b, const char *name, int fd) {
        socklen_t len = sizeof(int);
        Listener *l;
        int type, r;

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
                return -errno;

        r = b->handback ? 0 : handback_new(b);
        if (r < 0)
                return r;

        r = listener_new_with(b, name, fd, on_listener, &l);
        if (r < 0)
                return r;

        l->carries = type;
        r = broker_link_listener(b, l);
        if (r < 0)
                return r;

        if (type == SOCK_SEQPACKET && !b->handback->self)
                b->handback->self = l;
        return 0;
}

void handback_done(Broker *b) {
        Handback *h = b->handback;

        if (!h)
                return;

        LIST_FOREACH(i, &h->peers)
                peer_free(CONTAINER_OF(i, Peer, link));

        timer_done(&h->pause_timer);
        free(TAKE_PTR(b->handback));
}

/* httpd sends the client a little later than it connects, and would lose it with the connection. */
static void await_streams(Handback *h) {
        usec_t end = usec_now() + STOP_PEERS_USEC, now;

        LIST_FOREACH(i, &h->peers) {
                Peer *p = CONTAINER_OF(i, Peer, link);
                struct pollfd poll_fd = { .fd = p->fd, .events = POLLIN };

                if (p->listener->carries == SOCK_STREAM && (now = usec_now()) < end)
                        (void) poll(&poll_fd, 1, (int) ((end - now) / USEC_PER_MSEC));
        }
}

void handback_stop(Broker *b) {
        Handback *h = b->handback;

        if (!h)
                return;

        b->left_to_next = true;
        (void) broker_enable_listeners(b); /* turns off, which needs nothing */

        await_streams(h);
        LIST_FOREACH(i, &h->peers)
                peer_finish(CONTAINER_OF(i, Peer, link));
}

Listener *handback_self(const Broker *b) {
        return b->handback ? b->handback->self : NULL;
}
