/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "control/peer.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-id128.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "control/internal.h"

/* A peer that reads no answer for this long is dropped. */
#define STALL_USEC (10 * USEC_PER_SEC)

/* Bytes taken from a peer at a time. */
#define RECEIVE_MAX 4096

static bool peer_reads(const Peer *p) {
        uint64_t n = 0;

        return sd_bus_get_n_queued_write(p->bus, &n) >= 0 && n == 0;
}

void peer_watch(Peer *p) {
        /* No question is taken from a peer that does not read its answers, because these would fill the memory. */
        (void) sd_event_source_set_io_events(p->io, peer_reads(p) ? EPOLLIN : EPOLLOUT);
}

/* Returns whether the peer has read nothing for too long. */
static bool peer_is_stalled(Peer *p) {
        usec_t now = broker_now(p->control->broker);

        if (peer_reads(p))
                p->stalled_at = 0;
        else if (p->stalled_at == 0)
                p->stalled_at = now;

        return p->stalled_at > 0 && now - p->stalled_at > STALL_USEC;
}

/*
 * Moves bytes to sd-bus. MSG_PEEK comes first, because recv(2) would close descriptors among the bytes, and that may wait.
 * Bytes with descriptors stay unread, and the connection ends. Returns 0, or an error after which the peer is of no use.
 */
static int peer_receive(Peer *p) {
        char buffer[RECEIVE_MAX];
        struct iovec iov = { .iov_base = buffer, .iov_len = sizeof(buffer) };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t n;

        n = recvmsg(p->fd, &message, MSG_PEEK | MSG_DONTWAIT);
        if (n == 0 || (n > 0 && message.msg_flags & MSG_CTRUNC))
                return -ECONNRESET;
        if (n > 0)
                n = send(p->inner_fd, buffer, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
                return errno_is_transient(-errno) ? 0 : -errno; /* the pair is full until sd-bus reads */

        p->heard_at = broker_now(p->control->broker);
        return recv(p->fd, buffer, (size_t) n, MSG_DONTWAIT) == n ? 0 : -EIO;
}

static void peer_process(Peer *p) {
        int r = sd_bus_process(p->bus, NULL);

        if (r < 0) {
                peer_free(p);
                return;
        }

        /* More of it may be in the pair, and no event tells of that. */
        if (r > 0)
                (void) sd_event_source_set_enabled(p->next, SD_EVENT_ONESHOT);

        peer_watch(p);
}

static void peer_step(Peer *p) {
        if (peer_reads(p) && peer_receive(p) < 0)
                peer_free(p);
        else
                peer_process(p);
}

void peer_turn(Peer *p) {
        if (peer_is_stalled(p))
                peer_free(p);
        else
                peer_step(p);
}

static int peer_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        peer_step(userdata);
        return 0;
}

static int peer_on_next(sd_event_source *source, void *userdata) {
        Peer *p = userdata;

        if (peer_reads(p))
                peer_step(p);
        return 0;
}

/*
 * sd-bus reads from a socketpair, because it would receive descriptors and close them in the event loop (peer_receive()).
 * sd-bus writes to a duplicate, because its close(2) must not be the last one, which may wait (peer_free()).
 */
static int peer_give_fds(Peer *p) {
        _cleanup_close_ int in = -EBADF, out = -EBADF;
        int pair[2], r;

        out = fcntl(p->fd, F_DUPFD_CLOEXEC, 3);
        if (out < 0)
                return -errno;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return -errno;

        p->inner_fd = pair[0];
        in = pair[1];

        r = sd_bus_set_fd(p->bus, in, out);
        if (r < 0)
                return r;

        (void) TAKE_FD(in);
        (void) TAKE_FD(out);
        return 0;
}

/* The handshake asks for no credentials, because access_is_allowed() has checked them. */
static int peer_start_bus(Peer *p) {
        sd_id128_t id;
        int r;

        r = sd_id128_randomize(&id);
        if (r >= 0)
                r = sd_bus_new(&p->bus);
        if (r >= 0)
                r = peer_give_fds(p);
        if (r >= 0)
                r = sd_bus_set_server(p->bus, 1, id);
        if (r >= 0)
                r = sd_bus_set_anonymous(p->bus, 1);
        if (r >= 0)
                r = sd_bus_negotiate_fds(p->bus, 0);
        if (r >= 0)
                r = sd_bus_start(p->bus);
        if (r >= 0)
                r = interface_add(p);

        return r;
}

static int peer_add_sources(Peer *p) {
        sd_event *event = p->control->broker->event;
        int r;

        r = sd_event_add_io(event, &p->io, p->fd, EPOLLIN, peer_on_io, p);
        if (r >= 0)
                r = sd_event_source_set_priority(p->io, CONTROL_PRIORITY);
        if (r >= 0)
                r = sd_event_add_defer(event, &p->next, peer_on_next, p);
        if (r >= 0)
                r = sd_event_source_set_priority(p->next, CONTROL_PRIORITY);

        return r;
}

int peer_new(Control *c, int fd, Peer **ret) {
        Peer *p = calloc(1, sizeof(*p));
        int r;

        if (!p) {
                helper_close(c->broker->helper, HELPER_CONNECTIONS, fd, 0);
                return -ENOMEM;
        }

        *p = (Peer){ .control = c, .fd = fd, .inner_fd = -EBADF, .heard_at = broker_now(c->broker) };
        list_append(&c->peers, &p->link);
        c->n_peers++;

        r = peer_start_bus(p);
        if (r >= 0)
                r = peer_add_sources(p);
        if (r < 0) {
                peer_free(p);
                return r;
        }

        *ret = p;
        return 0;
}

Peer *peer_free(Peer *p) {
        events_subscribe(p, false);
        list_remove(&p->link);
        p->control->n_peers--;

        sd_event_source_disable_unref(p->io);
        sd_event_source_disable_unref(p->next);
        sd_bus_close_unref(p->bus); /* without a flush, which waits for the peer */
        fd_close(p->inner_fd);
        helper_close(p->control->broker->helper, HELPER_CONNECTIONS, p->fd, 0); /* the last one: descriptors may be in its queue */
        free(p);
        return NULL;
}
