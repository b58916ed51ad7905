/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "control/peer.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "control/internal.h"

/* Whoever reads none of his answers for this long is dropped. */
#define STALL_USEC (10 * USEC_PER_SEC)

/* Supplementary groups of a peer that are looked at; the kernel allows 65536. */
#define GROUPS_MAX 1024

static bool in_supplementary_groups(int fd, gid_t gid) {
        gid_t groups[GROUPS_MAX];
        socklen_t len = sizeof(groups);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
                return false;

        for (size_t i = 0; i < len / sizeof(*groups); i++)
                if (groups[i] == gid)
                        return true;

        return false;
}

/*
 * In the broker's user namespace (PrivateUsers=) there are root and its own user and group; all others are nobody, and
 * of no account.
 */
static bool may_change(int fd) {
        struct ucred cred;
        socklen_t len = sizeof(cred);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
                return false;

        return cred.uid == 0 || cred.uid == geteuid() || cred.gid == getegid() || in_supplementary_groups(fd, getegid());
}

bool peer_reads(const Peer *p) {
        uint64_t n = 0;

        return sd_bus_get_n_queued_write(p->bus, &n) >= 0 && n == 0;
}

/* Returns 0, or an error after which the peer is of no use. */
static int receive(Peer *p) {
        ssize_t n;

        if (p->n == GATE_MESSAGE_MAX)
                return 0;

        n = recv(p->fd, p->buffer + p->n, GATE_MESSAGE_MAX - p->n, MSG_DONTWAIT);
        if (n < 0)
                return errno_is_transient(-errno) ? 0 : -errno;
        if (n == 0)
                return -ECONNRESET;

        p->n += (size_t) n;
        return 0;
}

/* Lets what is allowed pass on to sd-bus. The pair has room for it: nothing else is in it. */
static int pass_on(Peer *p) {
        bool was_authenticated = p->gate.authenticated;
        size_t n;
        int r;

        r = gate_next(&p->gate, p->buffer, p->n, &n);
        if (r < 0 || n == 0)
                return r;

        if (send(p->inner_fd, p->buffer, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t) n)
                return -EIO;

        memmove(p->buffer, p->buffer + n, p->n - n);
        p->n -= n;
        p->busy = was_authenticated;

        /* Behind the handshake a message may be there already. */
        if (!was_authenticated && p->gate.authenticated && p->n > 0)
                return sd_event_source_set_enabled(p->next, SD_EVENT_ONESHOT);

        return 0;
}

static bool is_stalled(Peer *p) {
        usec_t now = broker_now(p->control->broker);

        if (peer_reads(p)) {
                p->stalled_at = 0;
                return false;
        }

        if (p->stalled_at == 0)
                p->stalled_at = now;
        else if (now - p->stalled_at > STALL_USEC)
                p->dead = true;

        return true;
}

static void pump(Peer *p) {
        bool wait;

        if (!p->dead && receive(p) < 0)
                p->dead = true;

        /* Whoever does not read, asks in vain. */
        if (!p->dead && !p->busy && !is_stalled(p) && pass_on(p) < 0)
                p->dead = true;

        if (p->dead) {
                peer_free(p);
                return;
        }

        /* A full buffer waits for sd-bus, not for more bytes. */
        wait = p->n == GATE_MESSAGE_MAX;
        (void) sd_event_source_set_io_events(p->io, wait ? 0 : EPOLLIN);
}

static void move_to_end(Peer *p) {
        list_remove(&p->link);
        list_append(&p->control->peers, &p->link);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Peer *p = userdata;

        /* The buffer is full, and the other end is gone: only an error or a hang-up is told unasked. */
        if (revents & (EPOLLERR | EPOLLHUP) && !(revents & EPOLLIN))
                p->dead = true;

        move_to_end(p);
        pump(p);
        return 0;
}

static int on_next(sd_event_source *source, void *userdata) {
        pump(userdata);
        return 0;
}

void peer_turn(Peer *p) {
        int r = sd_bus_process(p->bus, NULL);

        /* sd-bus throws a message away without a word where it is no valid one: nothing more comes of it. */
        if (r < 0 || (r == 0 && p->busy))
                p->dead = true;

        (void) is_stalled(p);
        pump(p);
}

/* sd-bus begins with a message, or has given up the connection. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Peer *p = userdata;

        p->busy = false;
        if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Disconnected") > 0)
                p->dead = true;

        (void) sd_event_source_set_enabled(p->next, SD_EVENT_ONESHOT);
        return 0; /* others handle it */
}

static int start_bus(Peer *p, int bus_fd, int out_fd) {
        sd_id128_t id;
        int r;

        r = sd_id128_randomize(&id);
        if (r >= 0)
                r = sd_bus_set_fd(p->bus, bus_fd, out_fd);
        if (r < 0) {
                fd_close(bus_fd);
                fd_close(out_fd);
                return r;
        }

        /* From here on they are the bus's. Who the peer is was found out already: its word is not asked for. Nor is it
         * waited for when the broker ends, as sd-bus does by itself until a peer has read everything. */
        r = sd_bus_set_close_on_exit(p->bus, 0);
        if (r >= 0)
                r = sd_bus_set_server(p->bus, 1, id);
        if (r >= 0)
                r = sd_bus_set_anonymous(p->bus, 1);
        if (r >= 0)
                r = sd_bus_negotiate_fds(p->bus, 0);
        if (r >= 0)
                r = sd_bus_start(p->bus);
        if (r >= 0)
                r = sd_bus_add_filter(p->bus, NULL, on_message, p);
        if (r >= 0)
                r = interface_add(p);
        if (r >= 0)
                r = sd_bus_attach_event(p->bus, p->control->broker->event, CONTROL_PRIORITY);

        return r;
}

static int make_bus(Peer *p) {
        int pair[2], out_fd, r;

        r = sd_bus_new(&p->bus);
        if (r < 0)
                return r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return -errno;

        p->inner_fd = pair[0];

        out_fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 3);
        if (out_fd < 0) {
                r = -errno;
                fd_close(pair[1]);
                return r;
        }

        return start_bus(p, pair[1], out_fd);
}

static int add_sources(Peer *p) {
        sd_event *event = p->control->broker->event;
        int r;

        r = sd_event_add_io(event, &p->io, p->fd, EPOLLIN, on_io, p);
        if (r >= 0)
                r = sd_event_source_set_priority(p->io, CONTROL_PRIORITY);
        if (r >= 0)
                r = sd_event_add_defer(event, &p->next, on_next, p);
        if (r >= 0)
                r = sd_event_source_set_priority(p->next, CONTROL_PRIORITY);
        if (r >= 0)
                r = sd_event_source_set_enabled(p->next, SD_EVENT_OFF);

        return r;
}

int peer_new(Control *c, int fd, Peer **ret) {
        Peer *p = calloc(1, sizeof(*p));
        int r;

        if (!p) {
                fd_close(fd);
                return -ENOMEM;
        }

        *p = (Peer){ .control = c, .fd = fd, .inner_fd = -EBADF, .may_change = may_change(fd) };
        list_append(&c->peers, &p->link);
        c->n_peers++;
        c->n_privileged += p->may_change;

        p->buffer = malloc(GATE_MESSAGE_MAX);
        r = p->buffer ? make_bus(p) : -ENOMEM;
        if (r >= 0)
                r = add_sources(p);
        if (r < 0) {
                peer_free(p);
                return r;
        }

        *ret = p;
        return 0;
}

Peer *peer_free(Peer *p) {
        Control *c = p->control;

        events_subscribe(p, false);
        list_remove(&p->link);
        c->n_peers--;
        c->n_privileged -= p->may_change;

        sd_event_source_disable_unref(p->io);
        sd_event_source_disable_unref(p->next);
        sd_bus_close_unref(p->bus); /* not flushed: that would wait for the peer */
        fd_close(p->inner_fd);
        fd_close(p->fd);
        free(p->buffer);
        free(p);
        return NULL;
}
