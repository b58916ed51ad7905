/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The event loop's end of the proxy. All sockets of connections are in one epoll, whose own descriptor is the one
 * source that sd-event sees: a source for each would cost more than the rest of what is done for a small request.
 */

#include <unistd.h>

#include "basic/fd.h"
#include "workers/proxy.h"

#define BATCH_MAX 64
#define RETRY_USEC (50 * USEC_PER_MSEC)
#define LINGER_USEC (5 * USEC_PER_SEC)

void proxy_arm_timer(Proxy *p, usec_t at) {
        if (at >= p->timer_at)
                return;

        p->timer_at = at;
        (void) sd_event_source_set_time(p->timer, at);
        (void) sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
}

static void bury(Proxy *p) {
        LIST_FOREACH(i, &p->dead)
                free(CONTAINER_OF(i, Connection, link));
        list_init(&p->dead);
}

static void dispatch(Side *side, uint32_t events) {
        Connection *c = side->connection;

        if (side->fd < 0)
                return; /* it was ended by an event before this one in the batch */

        if (c->phase == PHASE_CONNECTING) {
                connection_on_connect(c);
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
                flow_discard(&c->up, &c->proxy->pipes); /* it has closed for good: AF_UNIX tells */

        connection_pump(c);
}

static int on_epoll(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct epoll_event events[BATCH_MAX];
        Proxy *p = userdata;
        int n;

        n = epoll_wait(p->epoll_fd, events, BATCH_MAX, 0);
        p->now = usec_now();

        for (int i = 0; i < n; i++)
                dispatch(events[i].data.ptr, events[i].events);

        bury(p);
        return 0;
}

/* Those that had their turn, and could have gone on. */
static int on_more(sd_event_source *source, void *userdata) {
        Proxy *p = userdata;
        List *last = p->busy.prev;

        p->now = usec_now();
        for (List *l; (l = list_first(&p->busy));) {
                connection_pump(CONTAINER_OF(l, Connection, busy));
                if (l == last)
                        break;
        }

        if (list_is_empty(&p->busy))
                (void) sd_event_source_set_enabled(p->more, SD_EVENT_OFF);
        bury(p);
        return 0;
}

static void expire(Connection *c) {
        switch (c->phase) {

        case PHASE_CONNECTING:
                connection_close_side(c, &c->server);
                c->error = -ETIMEDOUT;
                connection_try(c);
                return;

        case PHASE_RETRY:
                connection_try(c);
                return;

        case PHASE_OPEN:
        case PHASE_ENDING:
                connection_reset(c); /* it was not over */
                return;

        case PHASE_LINGER:
                connection_free(c);
                return;

        case _PHASE_MAX:
                break;
        }
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Proxy *p = userdata;

        p->now = usec_now();
        p->timer_at = USEC_INFINITY;

        for (Phase phase = 0; phase < _PHASE_MAX; phase++) {
                List *last = p->phases[phase].prev, *l;

                while ((l = list_first(&p->phases[phase]))) {
                        Connection *c = CONTAINER_OF(l, Connection, link);
                        usec_t end = usec_add(c->since, p->limits[phase]);
                        bool is_last = l == last; /* those that come back into the list have their time before them */

                        if (end > p->now) {
                                proxy_arm_timer(p, end);
                                break;
                        }

                        expire(c);
                        if (is_last)
                                break;
                }
        }

        bury(p);
        return 0;
}

static void connections_end(Proxy *p) {
        for (Phase phase = 0; phase < _PHASE_MAX; phase++)
                for (List *l; (l = list_first(&p->phases[phase]));) {
                        Connection *c = CONTAINER_OF(l, Connection, link);

                        if (c->told)
                                connection_give_up(c, true);
                        else
                                connection_reset(c);
                }

        bury(p);
}

static int on_drained(sd_event_source *source, uint64_t usec, void *userdata) {
        connections_end(userdata);
        return 0;
}

static void stop(Service *s) {
        Proxy *p = CONTAINER_OF(s, Proxy, service);

        if (p->drain_usec == 0)
                connections_end(p);
        else if (p->drain_usec != USEC_INFINITY)
                (void) sd_event_add_time_relative(s->event, &p->drained, CLOCK_MONOTONIC, p->drain_usec, 0, on_drained, p);
}

int proxy_init(Proxy *p) {
        sd_event *event = p->service.event;
        int r;

        for (Phase phase = 0; phase < _PHASE_MAX; phase++)
                list_init(&p->phases[phase]);
        list_init(&p->busy);
        list_init(&p->dead);
        pipe_pool_init(&p->pipes, p->pipes.n_max);
        p->limits[PHASE_RETRY] = RETRY_USEC;
        p->limits[PHASE_LINGER] = LINGER_USEC;
        p->timer_at = USEC_INFINITY;
        p->backends.event = event;
        p->backends.log = p->service.log;
        p->service.take = connection_start;
        p->service.stop = stop;

        p->scratch = malloc(SCRATCH_SIZE);
        if (!p->scratch)
                return -ENOMEM;

        p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (p->epoll_fd < 0)
                return -errno;

        r = sd_event_add_io(event, &p->io, p->epoll_fd, EPOLLIN, on_epoll, p);
        if (r >= 0)
                r = sd_event_add_time(event, &p->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_timer, p);
        if (r >= 0)
                r = sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(event, &p->more, on_more, p);
        if (r >= 0)
                r = sd_event_source_set_enabled(p->more, SD_EVENT_OFF);

        return r;
}

void proxy_done(Proxy *p) {
        if (p->scratch) { /* there is something to end */
                connections_end(p);
                pipe_pool_done(&p->pipes);
        }

        sd_event_source_disable_unref(p->io);
        sd_event_source_disable_unref(p->more);
        sd_event_source_disable_unref(p->timer);
        sd_event_source_disable_unref(p->drained);
        fd_close(p->epoll_fd);
        backends_done(&p->backends);
        free(p->scratch);
}
