/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "control/peer.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <systemd/sd-id128.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "control/internal.h"

/* A peer that reads no answer for this long is dropped. */
#define STALL_USEC (10 * USEC_PER_SEC)

static bool peer_reads(const Peer *p) {
        uint64_t n = 0;

        return sd_bus_get_n_queued_write(p->bus, &n) >= 0 && n == 0;
}

void peer_watch(Peer *p) {
        /* A peer that does not read its answers is asked for no more questions: they would fill the memory. */
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

static void peer_process(Peer *p) {
        int r = sd_bus_process(p->bus, NULL);

        if (r < 0) {
                peer_free(p);
                return;
        }

        /* sd-bus may have read the next message together with the handshake. */
        if (r > 0)
                (void) sd_event_source_set_enabled(p->next, SD_EVENT_ONESHOT);

        peer_watch(p);
}

void peer_turn(Peer *p) {
        if (peer_is_stalled(p))
                peer_free(p);
        else if (peer_reads(p))
                peer_process(p);
}

static int peer_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Peer *p = userdata;

        list_remove(&p->link);
        list_append(&p->control->peers, &p->link);
        peer_process(p);
        return 0;
}

static int peer_on_next(sd_event_source *source, void *userdata) {
        peer_turn(userdata);
        return 0;
}

/* Gives sd-bus a duplicate, because the last close(2) of the connection may wait: peer_free() has it done elsewhere. */
static int peer_give_fd(Peer *p) {
        int fd, r;

        fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                return -errno;

        r = sd_bus_set_fd(p->bus, fd, fd);
        if (r < 0)
                fd_close(fd); /* not the last */
        return r;
}

/* The handshake asks for no credentials, because access_is_allowed() has checked them. */
static int peer_start_bus(Peer *p) {
        sd_id128_t id;
        int r;

        r = sd_id128_randomize(&id);
        if (r >= 0)
                r = sd_bus_new(&p->bus);
        if (r >= 0)
                r = peer_give_fd(p);
        if (r >= 0)
                r = sd_bus_set_close_on_exit(p->bus, 0); /* otherwise the broker's end waits until the peer has read all */
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
                fd_close_socket(fd);
                return -ENOMEM;
        }

        *p = (Peer){ .control = c, .fd = fd };
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
        fd_close_socket(p->fd);
        free(p);
        return NULL;
}
