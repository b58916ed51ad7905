/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Connected clients and backends, and the end of every connection. */

#include "basic/fd.h"
#include "workers/proxy.h"

void proxy_arm_timer(Proxy *p, usec_t at) {
        if (at >= p->timer_at)
                return;

        p->timer_at = at;
        (void) sd_event_source_set_time(p->timer, at);
        (void) sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
}

void proxy_connection_set_phase(ProxyConnection *c, ProxyPhase phase) {
        Proxy *p = c->proxy;

        c->phase = phase;
        c->since = p->now;
        list_remove(&c->link);
        list_append(&p->phases[phase], &c->link);
        proxy_arm_timer(p, usec_add(c->since, p->limits[phase]));
}

int proxy_connection_watch(ProxyConnection *c, Side *side, int operation, uint32_t events) {
        struct epoll_event event = { .events = events, .data.ptr = side };

        if (epoll_ctl(c->proxy->epoll_fd, operation, side->fd, &event) < 0)
                return -errno;

        side->is_watched = true;
        return 0;
}

/*
 * Removes a client from the epoll explicitly. The broker may still have a descriptor of it, and epoll reports events as
 * long as the open file description exists (epoll(7), question 6).
 */
void proxy_connection_close_side(ProxyConnection *c, Side *side) {
        if (side->is_watched && side == &c->client)
                (void) epoll_ctl(c->proxy->epoll_fd, EPOLL_CTL_DEL, side->fd, NULL);
        *side = (Side){ .connection = c, .fd = fd_close(side->fd) };
}

/* Makes close(2) send a reset (socket(7), SO_LINGER), so that an incomplete stream does not look complete. */
static void connection_reset_on_close(const Side *side) {
        const struct linger reset = { .l_onoff = 1 };

        if (side->fd >= 0 && !side->is_unix && !side->has_error)
                (void) setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

void proxy_connection_free(ProxyConnection *c) {
        Proxy *p = c->proxy;

        proxy_connection_close_side(c, &c->client);
        proxy_connection_close_side(c, &c->server);
        flow_done(&c->up, &p->pipes);
        flow_done(&c->down, &p->pipes);
        fdpass_free(TAKE_PTR(c->info));
        proxy_http_stop(c);

        list_remove(&c->busy);
        list_remove(&c->link);
        list_append(&p->dead, &c->link);
        service_end(&p->service);
}

void proxy_connection_reset(ProxyConnection *c) {
        connection_reset_on_close(&c->client);
        connection_reset_on_close(&c->server);
        proxy_connection_free(c);
}

void proxy_connection_give_up(ProxyConnection *c, bool another_may) {
        service_turn_away(TAKE_FD(c->client.fd), TAKE_PTR(c->info), another_may);
        proxy_connection_free(c);
}

/* Most sockets are never full. So EPOLLOUT is added when one is full for the first time. */
static void connection_wait_for_room(ProxyConnection *c, Side *side) {
        (void) proxy_connection_watch(c, side, EPOLL_CTL_MOD, SOCKET_EVENTS | (uint32_t) EPOLLOUT);
}

static void connection_update_phase(ProxyConnection *c, bool moved) {
        ProxyPhase phase = c->up.is_discarded && c->down.is_shut ? PHASE_LINGER
                    : c->up.is_shut || c->down.is_shut ? PHASE_ENDING : PHASE_OPEN;

        if (phase != c->phase || (moved && phase != PHASE_LINGER && c->since != c->proxy->now))
                proxy_connection_set_phase(c, phase);
}

void proxy_connection_pump(ProxyConnection *c) {
        Proxy *p = c->proxy;
        bool client_had_room = c->client.can_write, server_had_room = c->server.can_write, moved = false;
        FlowState up, down;

        if (!proxy_http_look(c)) {
                proxy_connection_free(c);
                return;
        }

        up = flow_move(&c->up, &c->client, &c->server, &p->pipes, p->scratch, &moved);
        down = flow_move(&c->down, &c->server, &c->client, &p->pipes, p->scratch, &moved);

        if (up == FLOW_RESET || down == FLOW_RESET) {
                proxy_connection_reset(c);
                return;
        }
        if (up == FLOW_ENDED && down == FLOW_ENDED) {
                proxy_connection_free(c);
                return;
        }

        if (server_had_room && !c->server.can_write)
                connection_wait_for_room(c, &c->server);
        if (client_had_room && !c->client.can_write)
                connection_wait_for_room(c, &c->client);

        list_remove(&c->busy);
        if (up == FLOW_MORE || down == FLOW_MORE || proxy_http_has_news(c)) {
                list_append(&p->busy, &c->busy);
                (void) sd_event_source_set_enabled(p->more, SD_EVENT_ON);
        }
        connection_update_phase(c, moved);
}
