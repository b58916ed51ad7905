/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A client and its backend, once they are connected, and the end of every connection. */

#include "basic/fd.h"
#include "workers/proxy.h"

void connection_set_phase(Connection *c, Phase phase) {
        Proxy *p = c->proxy;

        c->phase = phase;
        c->since = p->now;
        list_remove(&c->link);
        list_append(&p->phases[phase], &c->link);
        proxy_arm_timer(p, usec_add(c->since, p->limits[phase]));
}

int connection_watch(Connection *c, Side *side, int operation, uint32_t events) {
        struct epoll_event event = { .events = events, .data.ptr = side };

        if (epoll_ctl(c->proxy->epoll_fd, operation, side->fd, &event) < 0)
                return -errno;

        side->is_watched = true;
        return 0;
}

/*
 * A client leaves the epoll by word: the broker may still hold its copy of it, and epoll would go on to tell of the open
 * file description that they share.
 */
void connection_close_side(Connection *c, Side *side) {
        if (side->is_watched && side == &c->client)
                (void) epoll_ctl(c->proxy->epoll_fd, EPOLL_CTL_DEL, side->fd, NULL);
        *side = (Side){ .connection = c, .fd = fd_close(side->fd) };
}

/* What is not whole must not look so: the other end sees a reset, too. AF_UNIX knows none; a dead one needs none. */
static void reset_on_close(const Side *side) {
        const struct linger reset = { .l_onoff = 1 };

        if (side->fd >= 0 && !side->is_unix && !side->has_error)
                (void) setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

void connection_free(Connection *c) {
        Proxy *p = c->proxy;

        connection_close_side(c, &c->client);
        connection_close_side(c, &c->server);
        flow_done(&c->up, &p->pipes);
        flow_done(&c->down, &p->pipes);
        fdpass_free(TAKE_PTR(c->told));

        list_remove(&c->busy);
        list_remove(&c->link);
        list_append(&p->dead, &c->link);
        service_end(&p->service);
}

void connection_reset(Connection *c) {
        reset_on_close(&c->client);
        reset_on_close(&c->server);
        connection_free(c);
}

/* No backend: the broker answers the client, or finds another worker. */
void connection_give_up(Connection *c, bool another_may) {
        service_turn_away(TAKE_FD(c->client.fd), TAKE_PTR(c->told), another_may);
        connection_free(c);
}

/* Moving */

static void wait_for_room(Connection *c, Side *side) {
        /* From the first time on that a socket is full; most are never. */
        (void) connection_watch(c, side, EPOLL_CTL_MOD, SOCKET_EVENTS | (uint32_t) EPOLLOUT);
}

static void update_phase(Connection *c, bool moved) {
        Phase phase = c->up.is_discarded && c->down.is_shut ? PHASE_LINGER
                    : c->up.is_shut || c->down.is_shut ? PHASE_ENDING : PHASE_OPEN;

        if (phase != c->phase || (moved && phase != PHASE_LINGER && c->since != c->proxy->now))
                connection_set_phase(c, phase);
}

void connection_pump(Connection *c) {
        Proxy *p = c->proxy;
        bool client_had_room = c->client.can_write, server_had_room = c->server.can_write, moved = false;
        FlowState up, down;

        up = flow_move(&c->up, &c->client, &c->server, &p->pipes, p->scratch, &moved);
        down = flow_move(&c->down, &c->server, &c->client, &p->pipes, p->scratch, &moved);

        if (up == FLOW_RESET || down == FLOW_RESET) {
                connection_reset(c);
                return;
        }
        if (up == FLOW_ENDED && down == FLOW_ENDED) {
                connection_free(c);
                return;
        }

        if (server_had_room && !c->server.can_write)
                wait_for_room(c, &c->server);
        if (client_had_room && !c->client.can_write)
                wait_for_room(c, &c->client);

        list_remove(&c->busy);
        if (up == FLOW_MORE || down == FLOW_MORE) {
                list_append(&p->busy, &c->busy);
                (void) sd_event_source_set_enabled(p->more, SD_EVENT_ON);
        }
        update_phase(c, moved);
}
