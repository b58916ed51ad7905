/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The events of the stage, its start and its end. */

#include <signal.h>
#include <unistd.h>

#include "basic/address.h"
#include "basic/fd.h"
#include "workers/tls/stage.h"

#define BATCH_MAX 64                            /* events of one epoll_wait() */
#define STAGE_RETRY_USEC (50 * USEC_PER_MSEC)   /* limit of TLS_RETRY */
#define STAGE_ANSWER_USEC (5 * USEC_PER_SEC)    /* limit of TLS_RETURNING */
#define STAGE_ENDING_USEC (300 * USEC_PER_SEC)  /* limit of TLS_ENDING without a byte */
#define STAGE_LINGER_USEC (2 * USEC_PER_SEC)    /* limit of TLS_LINGER */

/* Frees the connections that ended in this turn. */
static void stage_bury(TlsStage *s) {
        LIST_FOREACH(i, &s->dead)
                free(CONTAINER_OF(i, TlsConnection, link));
        list_init(&s->dead);
}

static void stage_dispatch(TlsSide *side, uint32_t events) {
        TlsConnection *c = side->connection;

        if (side->fd < 0)
                return; /* an earlier event of the batch has ended the connection */

        if (!c) {
                stage_broker_on_event(CONTAINER_OF(side, TlsStage, to_broker.side), events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
                return;
        }

        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                side->can_read = true;
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
                side->can_write = true;

        if (c->phase == TLS_HANDSHAKE)
                stage_handshake(c);
        else if (c->phase == TLS_OPEN || c->phase == TLS_ENDING)
                stage_flow(c);
        else if (c->phase == TLS_LINGER)
                stage_discard(c);
}

static int stage_on_epoll(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct epoll_event events[BATCH_MAX];
        TlsStage *s = userdata;
        int n;

        n = epoll_wait(s->epoll_fd, events, BATCH_MAX, 0);
        s->now = usec_now();

        for (int i = 0; i < n; i++)
                stage_dispatch(events[i].data.ptr, events[i].events);

        stage_bury(s);
        return 0;
}

/* Gives one more turn to each connection that is busy now. */
static int stage_on_more(sd_event_source *source, void *userdata) {
        TlsStage *s = userdata;
        List *last = s->busy.prev;

        s->now = usec_now();
        for (List *l; (l = list_first(&s->busy));) {
                stage_flow(CONTAINER_OF(l, TlsConnection, busy));
                if (l == last)
                        break;
        }

        if (list_is_empty(&s->busy))
                (void) sd_event_source_set_enabled(s->more, SD_EVENT_OFF);
        stage_bury(s);
        return 0;
}

/* Handles the end of a phase's time limit. */
static void stage_expire(TlsConnection *c) {
        switch (c->phase) {

        case TLS_RETRY:
                stage_return_try(c);
                return;

        case TLS_RETURNING:
                service_complain(&c->stage->service, "A client is refused, because the broker does not answer.");
                if (c->is_in_kernel)
                        stage_connection_free(c); /* the broker may still read the message, so no answer may be written */
                else
                        stage_return_refuse(c);
                return;

        case TLS_OPEN:
        case TLS_ENDING:
                stage_connection_reset(c); /* its streams are incomplete */
                return;

        case TLS_HANDSHAKE:
        case TLS_LINGER:
                stage_connection_free(c);
                return;

        case _TLS_PHASE_MAX:
                break;
        }
}

/* Ends what is due in one phase. Connections that come back into the list have their turn with the next timer. */
static void stage_expire_phase(TlsStage *s, List *phase) {
        List *last = phase->prev, *l;
        bool is_last = false;

        while (!is_last && (l = list_first(phase))) {
                TlsConnection *c = CONTAINER_OF(l, TlsConnection, link);

                if (stage_phase_end(c) > s->now) {
                        stage_arm_timer(c);
                        return;
                }

                is_last = l == last;
                stage_expire(c);
        }

        if ((l = list_first(phase)))
                stage_arm_timer(CONTAINER_OF(l, TlsConnection, link));
}

static int stage_on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        TlsStage *s = userdata;

        s->now = usec_now();
        s->timer_at = USEC_INFINITY;
        for (TlsPhase phase = 0; phase < _TLS_PHASE_MAX; phase++)
                stage_expire_phase(s, &s->phases[phase]);

        stage_bury(s);
        return 0;
}

static void stage_end_all(TlsStage *s) {
        for (TlsPhase phase = 0; phase < _TLS_PHASE_MAX; phase++)
                for (List *l; (l = list_first(&s->phases[phase]));)
                        stage_connection_reset(CONTAINER_OF(l, TlsConnection, link));

        stage_bury(s);
}

static int stage_on_drained(sd_event_source *source, uint64_t usec, void *userdata) {
        stage_end_all(userdata);
        return 0;
}

static void stage_stop(Service *service) {
        TlsStage *s = CONTAINER_OF(service, TlsStage, service);

        /* Clients in persistent connections go to the next process, because this one may go on for long. */
        service_close_sockets(service);
        if (s->drain_usec == 0)
                stage_end_all(s);
        else if (s->drain_usec != USEC_INFINITY)
                (void) sd_event_add_time_relative(service->event, &s->drained, CLOCK_MONOTONIC, s->drain_usec, 0,
                                                  stage_on_drained, s);
}

static int stage_init_loop(TlsStage *s) {
        sd_event *event = s->service.event;
        int r;

        s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (s->epoll_fd < 0)
                return -errno;

        r = sd_event_add_io(event, &s->io, s->epoll_fd, EPOLLIN, stage_on_epoll, s);
        if (r >= 0)
                r = sd_event_add_time(event, &s->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, stage_on_timer, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(event, &s->more, stage_on_more, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->more, SD_EVENT_OFF);
        return r;
}

static void stage_init_limits(TlsStage *s) {
        s->limits[TLS_RETURNING] = STAGE_ANSWER_USEC;
        s->limits[TLS_RETRY] = STAGE_RETRY_USEC;
        s->limits[TLS_OPEN] = USEC_INFINITY;
        s->limits[TLS_ENDING] = STAGE_ENDING_USEC;
        s->limits[TLS_LINGER] = STAGE_LINGER_USEC;
        s->timer_at = USEC_INFINITY;
        s->service.take = stage_take;
        s->service.stop = stage_stop;
}

int stage_init(TlsStage *s) {
        int r;

        for (TlsPhase phase = 0; phase < _TLS_PHASE_MAX; phase++)
                list_init(&s->phases[phase]);
        list_init(&s->busy);
        list_init(&s->dead);
        stage_broker_init(&s->to_broker, stage_return_settle);
        stage_init_limits(s);
        (void) signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets by write(2) */

        s->scratch = malloc(FLOW_SIZE);
        if (!s->scratch)
                return -ENOMEM;

        r = s->ctx ? 0 : stage_prepare(s);
        if (r < 0)
                return r;

        r = address_from_path(s->return_path, &s->broker, &s->broker_length);
        if (r >= 0)
                r = pair_maker_init(&s->pairs);
        if (r >= 0) {
                stage_kernel_init(s);
                r = stage_init_loop(s);
        }
        if (r >= 0)
                r = stage_renewal_init(s);
        if (r < 0)
                log_line(s->service.log, LOG_ERR, "The stage can't start: %s.", strerror(-r));
        return r;
}

void stage_done(TlsStage *s) {
        if (s->scratch) { /* stage_init() was called, so the lists are initialised */
                stage_end_all(s);
                stage_broker_done(s);
        }

        sd_event_source_disable_unref(s->io);
        sd_event_source_disable_unref(s->more);
        sd_event_source_disable_unref(s->timer);
        sd_event_source_disable_unref(s->drained);
        stage_renewal_done(s);
        if (s->status_fd >= 0)
                (void) unlink(s->status_path);
        fd_close(s->status_fd);
        certificate_report_done(&s->report);
        fd_close(s->epoll_fd);
        pair_maker_done(&s->pairs);
        SSL_CTX_free(s->ctx);
        ticket_done(&s->tickets);
        certificate_set_done(&s->set);
        free(s->scratch);
}
