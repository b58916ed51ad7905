/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/handback.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "broker/diag.h"
#include "broker/head.h"
#include "broker/listener.h"
#include "broker/pool.h"
#include "broker/routing.h"
#include "broker/watch.h"
#include "handoff/handoff.h"
#include "handoff/message.h"

/* So many connections at a time; the others wait in the backlog. */
#define PEERS_MAX 64

/* Messages of one connection in one turn of the event loop. */
#define BATCH_MAX 32

/* Clients on one connection to ourselves: a socket's send buffer takes 278 (unix(7), SO_SNDBUF). */
#define PASS_ON_MAX 200

/* One connection to the return socket. */
typedef struct Peer {
        Broker *broker;
        List link;              /* Handback.peers */
        int fd;
        sd_event_source *io;
} Peer;

struct Handback {
        int listener_fd;
        sd_event_source *io;
        List peers;             /* Peer.link */
        size_t n_peers;

        List parked;            /* Client.link, the earliest deadline first */
        sd_event_source *timer;
        bool timer_on;

        uint8_t buffer[FDPASS_MESSAGE_MAX];
};

static Peer *peer_free(Peer *p) {
        Handback *h = p->broker->handback;

        sd_event_source_disable_unref(p->io);
        fd_close(p->fd);
        list_remove(&p->link);
        free(p);

        h->n_peers--;
        return NULL;
}

static void timer_arm(Handback *h) {
        List *l = list_first(&h->parked);

        if (!l || h->timer_on)
                return;

        h->timer_on = true;
        (void) sd_event_source_set_time(h->timer, CONTAINER_OF(l, Client, link)->deadline);
        (void) sd_event_source_set_enabled(h->timer, SD_EVENT_ONESHOT);
}

static void leave(Broker *b, Client *c) {
        list_remove(&c->link);
        b->n_parked--;
        c->state = CLIENT_NEW;
}

/* False where there is no room for it. */
static bool park(Broker *b, Client *c) {
        if (b->n_parked >= b->max_parked || watch_client(&b->watch, c) < 0)
                return false;

        c->state = CLIENT_PARKED;
        c->deadline = usec_add(broker_now(b), b->park_timeout_usec);
        client_insert_by_deadline(&b->handback->parked, c);
        b->n_parked++;
        timer_arm(b->handback);
        return true;
}

void handback_on_event(Broker *b, Client *c, uint32_t events) {
        leave(b, c);

        if (events & (EPOLLERR | EPOLLHUP)) {
                b->n.n_gone++;
                broker_drop(b, c);
        } else
                head_begin(b, c);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Broker *b = userdata;
        Handback *h = b->handback;
        usec_t now = broker_now(b);
        List *l;

        h->timer_on = false;

        while ((l = list_first(&h->parked)) && CONTAINER_OF(l, Client, link)->deadline <= now)
                (void) handback_evict_oldest(b);

        timer_arm(h);
        return 0;
}

bool handback_evict_oldest(Broker *b) {
        List *l = b->handback ? list_first(&b->handback->parked) : NULL;

        if (!l)
                return false;

        Client *c = CONTAINER_OF(l, Client, link);

        /* It is between two requests: a server may close such a connection at any time (RFC 9112 9.5). */
        leave(b, c);
        b->n.n_gone++;
        broker_drop(b, c);
        return true;
}

/* The listener it came in by, or, if there is no such any more, the first. */
static Listener *find_listener(const Broker *b, Slice name) {
        LIST_FOREACH(i, &b->listeners) {
                Listener *l = CONTAINER_OF(i, Listener, link);

                if (slice_equal(slice_from_string(l->name), name))
                        return l;
        }

        return CONTAINER_OF(b->listeners.next, Listener, link);
}

static void set_addresses(Client *c, const Message *m) {
        struct sockaddr_storage ss = {};
        socklen_t len = sizeof(ss);

        if (m->source.sa.sa_family != AF_UNSPEC) {
                memcpy(&c->address, &m->source, MIN(sizeof(c->address), sizeof(m->source)));
                memcpy(&c->local, &m->destination, MIN(sizeof(c->local), sizeof(m->destination)));
        } else if (getpeername(c->fd, (struct sockaddr *) &ss, &len) >= 0)
                memcpy(&c->address, &ss, MIN(sizeof(c->address), (size_t) len));
}

/* What happens to it now: a named route gets it at once, and what was consumed is the beginning of its next request. */
static bool is_to_be_parked(const Broker *b, const Message *m) {
        return b->stopping || (m->name.n == 0 && m->consumed.n == 0);
}

/* Takes the client up. Returns the answer to its sender; unless that is TAKEN, @fd is still the caller's. */
static uint8_t take(Broker *b, int fd, const Message *m) {
        Client *c;

        if (list_is_empty(&b->listeners) || b->clients.n_used >= b->max_clients)
                return FDPASS_ANSWER_REFUSED;

        /* Whoever had it may have changed that, and the next one expects a socket as from accept(2). */
        if (fd_nonblock(fd, false) < 0)
                return FDPASS_ANSWER_ERROR;

        c = client_new(&b->clients, find_listener(b, m->listener), fd);
        if (!c)
                return FDPASS_ANSWER_REFUSED;

        set_addresses(c, m);
        client_begin_untouched(c);
        if (client_set_baggage(c, m) < 0 || (is_to_be_parked(b, m) && !park(b, c))) {
                unwatch_client(&b->watch, c);
                c->fd = -EBADF; /* not ours after all */
                broker_drop(b, c);
                return FDPASS_ANSWER_REFUSED;
        }

        b->n.n_returned++;
        (void) broker_count_source(b, c); /* a worker has vouched for it: it is counted, not refused */

        if (c->state == CLIENT_NEW)
                head_begin(b, c);

        return FDPASS_ANSWER_TAKEN;
}

/* Returns 0, or a condition or error after which the connection is of no use. */
static int receive_one(Peer *p) {
        Handback *h = p->broker->handback;
        _cleanup_close_ int fd = -EBADF;
        uint8_t answer = FDPASS_ANSWER_ERROR;
        Message m;
        size_t n;
        int r;

        r = handoff_check_room(p->fd);
        if (r < 0)
                return -EAGAIN; /* the client stays where it is until there is room */

        r = handoff_receive_message(p->fd, MSG_DONTWAIT, h->buffer, sizeof(h->buffer), &n, &fd);
        if (r == -EAGAIN || r == HANDOFF_CLOSED)
                return r;

        if (r == 0 && handoff_check_client(fd, /* with_unix= */ false) == 0 &&
            message_decode(h->buffer, n, &m) == 0)
                answer = take(p->broker, fd, &m);

        if (answer == FDPASS_ANSWER_TAKEN)
                (void) TAKE_FD(fd);

        handoff_answer(p->fd, answer);
        return r;
}

static int on_peer(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Peer *p = userdata;
        int r = 0;

        for (size_t i = 0; i < BATCH_MAX && r == 0; i++)
                r = receive_one(p);

        if (r != 0 && r != -EAGAIN)
                peer_free(p);

        return 0;
}

/*
 * Ends a connection without losing what was sent on it. From the shutdown on its sender gets EPIPE, and so knows that
 * it still has the client; what was sent before is all here (unix(7)).
 */
static void peer_finish(Peer *p) {
        (void) shutdown(p->fd, SHUT_RD);

        while (receive_one(p) == 0)
                ;
        peer_free(p);
}

static int peer_new(Broker *b, int fd) {
        Peer *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;

        *p = (Peer){ .broker = b, .fd = fd };

        r = sd_event_add_io(b->event, &p->io, fd, EPOLLIN, on_peer, p);
        if (r < 0) {
                free(p);
                return r;
        }

        list_append(&b->handback->peers, &p->link);
        b->handback->n_peers++;
        return 0;
}

static int on_listener(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Broker *b = userdata;
        Handback *h = b->handback;
        _cleanup_close_ int conn_fd = -EBADF;

        conn_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (conn_fd < 0)
                return 0; /* tried again, at the rate that the source is limited to */

        /* Whoever is connected and says nothing keeps nobody else out. */
        if (h->n_peers >= PEERS_MAX)
                peer_finish(CONTAINER_OF(list_first(&h->peers), Peer, link));

        if (peer_new(b, conn_fd) >= 0)
                (void) TAKE_FD(conn_fd);

        return 0;
}

int handback_listen(Broker *b, int fd) {
        Handback *h = calloc(1, sizeof(*h));
        int r;

        if (!h)
                return -ENOMEM;

        h->listener_fd = -EBADF;
        list_init(&h->peers);
        list_init(&h->parked);
        b->handback = h;

        r = fd_nonblock(fd, true);
        if (r >= 0)
                r = sd_event_add_io(b->event, &h->io, fd, EPOLLIN, on_listener, b);
        if (r >= 0) /* accept4() may fail for want of something: then this keeps us from turning */
                r = sd_event_source_set_ratelimit(h->io, 100 * USEC_PER_MSEC, 2000);
        if (r >= 0)
                r = sd_event_add_time(b->event, &h->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_timer, b);
        if (r >= 0)
                r = sd_event_source_set_enabled(h->timer, SD_EVENT_OFF);
        if (r < 0) {
                handback_done(b);
                return r;
        }

        h->listener_fd = fd; /* consumed */
        return 0;
}

void handback_done(Broker *b) {
        Handback *h = b->handback;

        if (!h)
                return;

        LIST_FOREACH(i, &h->peers)
                peer_free(CONTAINER_OF(i, Peer, link));

        sd_event_source_disable_unref(h->io);
        sd_event_source_disable_unref(h->timer);
        fd_close(h->listener_fd);
        free(TAKE_PTR(b->handback));
}

void handback_stop(Broker *b) {
        Handback *h = b->handback;

        if (!h)
                return;

        (void) sd_event_source_set_enabled(h->io, SD_EVENT_OFF);

        LIST_FOREACH(i, &h->peers)
                peer_finish(CONTAINER_OF(i, Peer, link));
}

/* A connection to our own return socket, where the next process will find what is sent on it. */
static int connect_to_self(const Handback *h) {
        struct sockaddr_un sun = {};
        socklen_t len = sizeof(sun);

        if (getsockname(h->listener_fd, (struct sockaddr *) &sun, &len) < 0)
                return -errno;

        return handoff_connect_type(&sun, len, SOCK_SEQPACKET);
}

/* What the next process has to know of a client. */
static int send_to_self(int conn_fd, const Client *c) {
        uint8_t header[FDPASS_HEADER_MAX];
        Message m = MESSAGE_NULL;
        size_t n;
        int r;

        m.listener = slice_from_string(c->listener->name);
        message_address_set(&m.source, &c->address.sa, sizeof(c->address));
        message_address_set(&m.destination, &c->local.sa, sizeof(c->local));
        if (m.source.sa.sa_family != m.destination.sa.sa_family) /* the connection's own stand */
                m.source.sa.sa_family = m.destination.sa.sa_family = AF_UNSPEC;
        client_tell_baggage(c, &m);

        r = message_encode(&m, header, sizeof(header), &n);
        if (r < 0)
                return r;

        return handoff_send_message(conn_fd, NULL, 0, (Slice){ header, n }, m.consumed, c->fd);
}

bool handback_will_pass_on(const Broker *b, const Client *c) {
        return b->handback && (c->state == CLIENT_HEAD || c->state == CLIENT_PARKED || c->state == CLIENT_QUEUED) &&
               !c->needs_proxy && c->address.sa.sa_family != AF_UNIX;
}

/* One more connection where the one that is there is full: what was consumed of each client goes along. */
static int pass_on_one(const Handback *h, int *conn_fd, size_t *n, const Client *c) {
        int r = -EAGAIN;

        if (*conn_fd >= 0 && *n < PASS_ON_MAX)
                r = send_to_self(*conn_fd, c);

        if (r == -EAGAIN) {
                fd_close(*conn_fd);
                *n = 0;
                *conn_fd = connect_to_self(h);
                r = *conn_fd < 0 ? *conn_fd : send_to_self(*conn_fd, c);
        }

        *n += 1;
        return r;
}

void handback_pass_on(Broker *b) {
        _cleanup_close_ int conn_fd = -EBADF;
        size_t n = 0;

        for (size_t i = 0; b->handback && i < b->clients.n_touched; i++) {
                Client *c = &b->clients.slots[i];

                if (!handback_will_pass_on(b, c))
                        continue;

                if (pass_on_one(b->handback, &conn_fd, &n, c) < 0)
                        return; /* the rest is refused in time */

                b->n.n_passed_on++;
                if (c->state == CLIENT_QUEUED)
                        pool_leave_queue(c);
                else if (c->state == CLIENT_PARKED)
                        b->n_parked--;
                broker_drop(b, c);
        }
}
