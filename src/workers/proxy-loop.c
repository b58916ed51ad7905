/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The events of the proxy. All sockets of connections are in one epoll, whose descriptor is one source of sd-event. A
 * source for each socket would cost more than all the rest of a small request.
 */

#include <unistd.h>

#include "basic/fd.h"
#include "workers/proxy.h"

#define BATCH_MAX 64                       /* events of one epoll_wait() */
#define RETRY_USEC (50 * USEC_PER_MSEC)    /* limit of PHASE_RETRY */
#define LINGER_USEC (5 * USEC_PER_SEC)     /* limit of PHASE_LINGER */

/* Frees the connections that ended in this turn. */
static void proxy_bury(Proxy *p) {
        LIST_FOREACH(i, &p->dead)
                free(CONTAINER_OF(i, ProxyConnection, link));
        list_init(&p->dead);
}

static void proxy_dispatch(Side *side, uint32_t events) {
        ProxyConnection *c = side->connection;

        if (side->fd < 0)
                return; /* an earlier event of the batch has ended the connection */

        if (c->phase == PHASE_CONNECTING) {
                proxy_connection_on_connect(c);
                return;
        }

        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                side->can_read = true;
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                side->has_end = true;
        if (events & EPOLLERR)
                side->has_error = true;
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
                side->can_write = true;
        if (events & EPOLLHUP && side == &c->server && !c->up.ended)
                flow_discard(&c->up, &c->proxy->pipes); /* AF_UNIX: the server has closed both directions */

        proxy_connection_pump(c);
}

static int proxy_on_epoll(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct epoll_event events[BATCH_MAX];
        Proxy *p = userdata;
        int n;

        n = epoll_wait(p->epoll_fd, events, BATCH_MAX, 0);
        p->now = usec_now();

        for (int i = 0; i < n; i++)
                proxy_dispatch(events[i].data.ptr, events[i].events);

        proxy_bury(p);
        return 0;
}

/* Gives one more turn to each connection that is busy now. */
static int proxy_on_more(sd_event_source *source, void *userdata) {
        Proxy *p = userdata;
        List *last = p->busy.prev;

        p->now = usec_now();
        for (List *l; (l = list_first(&p->busy));) {
                proxy_connection_pump(CONTAINER_OF(l, ProxyConnection, busy));
                if (l == last)
                        break;
        }

        if (list_is_empty(&p->busy))
                (void) sd_event_source_set_enabled(p->more, SD_EVENT_OFF);
        proxy_bury(p);
        return 0;
}

/* Handles the end of a phase's time limit. */
static void proxy_expire(ProxyConnection *c) {
        switch (c->phase) {

        case PHASE_CONNECTING:
                proxy_connection_close_side(c, &c->server);
                c->error = -ETIMEDOUT;
                proxy_connection_try(c);
                return;

        case PHASE_RETRY:
                proxy_connection_try(c);
                return;

        case PHASE_OPEN:
        case PHASE_ENDING:
                proxy_connection_reset(c); /* its streams are incomplete */
                return;

        case PHASE_LINGER:
                proxy_connection_free(c);
                return;

        case _PHASE_MAX:
                break;
        }
}

static int proxy_on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Proxy *p = userdata;

        p->now = usec_now();
        p->timer_at = USEC_INFINITY;

        for (ProxyPhase phase = 0; phase < _PHASE_MAX; phase++) {
                List *last = p->phases[phase].prev, *l;

                while ((l = list_first(&p->phases[phase]))) {
                        ProxyConnection *c = CONTAINER_OF(l, ProxyConnection, link);
                        usec_t end = usec_add(c->since, p->limits[phase]);
                        bool is_last = l == last; /* connections behind it have come back into the list just now */

                        if (end > p->now) {
                                proxy_arm_timer(p, end);
                                break;
                        }

                        proxy_expire(c);
                        if (is_last)
                                break;
                }
        }

        proxy_bury(p);
        return 0;
}

static void proxy_connections_end(Proxy *p) {
        for (ProxyPhase phase = 0; phase < _PHASE_MAX; phase++)
                for (List *l; (l = list_first(&p->phases[phase]));) {
                        ProxyConnection *c = CONTAINER_OF(l, ProxyConnection, link);

                        if (c->info)
                                proxy_connection_give_up(c, true);
                        else
                                proxy_connection_reset(c);
                }

        proxy_bury(p);
}

static int proxy_on_drained(sd_event_source *source, uint64_t usec, void *userdata) {
        proxy_connections_end(userdata);
        return 0;
}

static void proxy_stop(Service *s) {
        Proxy *p = CONTAINER_OF(s, Proxy, service);

        if (p->drain_usec == 0)
                proxy_connections_end(p);
        else if (p->drain_usec != USEC_INFINITY)
                (void) sd_event_add_time_relative(s->event, &p->drained, CLOCK_MONOTONIC, p->drain_usec, 0,
                                                  proxy_on_drained, p);
}

int proxy_init(Proxy *p) {
        sd_event *event = p->service.event;
        int r;

        for (ProxyPhase phase = 0; phase < _PHASE_MAX; phase++)
                list_init(&p->phases[phase]);
        list_init(&p->busy);
        list_init(&p->dead);
        pipe_pool_init(&p->pipes, p->pipes.n_max);
        p->limits[PHASE_RETRY] = RETRY_USEC;
        p->limits[PHASE_LINGER] = LINGER_USEC;
        p->timer_at = USEC_INFINITY;
        p->backends.event = event;
        p->backends.log = p->service.log;
        p->service.take = proxy_connection_start;
        p->service.stop = proxy_stop;

        p->scratch = malloc(SCRATCH_SIZE);
        if (!p->scratch)
                return -ENOMEM;

        p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (p->epoll_fd < 0)
                return -errno;

        r = sd_event_add_io(event, &p->io, p->epoll_fd, EPOLLIN, proxy_on_epoll, p);
        if (r >= 0)
                r = sd_event_add_time(event, &p->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, proxy_on_timer, p);
        if (r >= 0)
                r = sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(event, &p->more, proxy_on_more, p);
        if (r >= 0)
                r = sd_event_source_set_enabled(p->more, SD_EVENT_OFF);

        return r;
}

void proxy_done(Proxy *p) {
        if (p->scratch) { /* proxy_init() was called, so the lists are initialized */
                proxy_connections_end(p);
                pipe_pool_done(&p->pipes);
        }

        sd_event_source_disable_unref(p->io);
        sd_event_source_disable_unref(p->more);
        sd_event_source_disable_unref(p->timer);
        sd_event_source_disable_unref(p->drained);
        fd_close(p->epoll_fd);
        resolver_done(&p->backends);
        backends_done(&p->backends);
        free(p->scratch);
}
