/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Connections: their memory, sockets, time limits and ends. */

#include <sys/socket.h>

#include "basic/fd.h"
#include "workers/tls/sni.h"
#include "workers/tls/stage.h"

/* Events of all sockets. */
#define STAGE_EVENTS ((uint32_t) EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

/* Time that a handshake has while others wait for its place. */
#define STAGE_CROWDED_USEC (1 * USEC_PER_SEC)

/* Bytes that are thrown away in one turn. */
#define STAGE_DISCARD_MAX ((size_t) 256 * 1024)

TlsConnection *stage_connection_new(TlsStage *s, int client_fd, struct fdpass *info) {
        TlsConnection *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;

        *c = (TlsConnection){ .stage = s, .worker_fd = -EBADF };
        c->client.fd = c->plain.fd = -EBADF;
        list_init(&c->link);
        list_init(&c->busy);

        if (handshake_begin(&c->handshake, s->ctx) < 0 || sni_expect(c->handshake.ssl, fdpass_authority(info)) < 0 ||
            stage_watch(c, &c->client, client_fd) < 0) {
                handshake_done(&c->handshake);
                free(c);
                return NULL;
        }

        c->info = info;
        c->phase = _TLS_PHASE_MAX; /* in no list yet */
        service_begin(&s->service);
        return c;
}

usec_t stage_phase_end(const TlsConnection *c) {
        const TlsStage *s = c->stage;
        usec_t limit = s->limits[c->phase];

        if (c->phase == TLS_HANDSHAKE && s->service.is_paused)
                limit = MIN(limit, STAGE_CROWDED_USEC);
        return usec_add(c->since, limit);
}

void stage_arm_timer(TlsConnection *c) {
        TlsStage *s = c->stage;
        usec_t at = stage_phase_end(c);

        if (at >= s->timer_at)
                return;

        s->timer_at = at;
        (void) sd_event_source_set_time(s->timer, at);
        (void) sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

/* Counts handshakes. While there are as many as there may be, new clients wait in the sockets' queues. */
static void stage_count_handshakes(TlsStage *s, bool was, bool is) {
        bool is_paused;

        s->n_handshakes += (unsigned) is - (unsigned) was;
        is_paused = s->n_handshakes >= s->handshakes_max;
        if (is_paused == s->service.is_paused)
                return;

        s->service.is_paused = is_paused;
        service_update(&s->service);
        if (is_paused && !list_is_empty(&s->phases[TLS_HANDSHAKE]))
                stage_arm_timer(CONTAINER_OF(list_first(&s->phases[TLS_HANDSHAKE]), TlsConnection, link));
}

void stage_set_phase(TlsConnection *c, TlsPhase phase) {
        TlsStage *s = c->stage;
        TlsPhase before = c->phase;

        c->phase = phase;
        c->since = s->now;
        list_remove(&c->link);
        list_append(&s->phases[phase], &c->link);
        stage_count_handshakes(s, before == TLS_HANDSHAKE, phase == TLS_HANDSHAKE);
        stage_arm_timer(c);
}

int stage_watch(TlsConnection *c, TlsSide *side, int fd) {
        struct epoll_event event = { .events = STAGE_EVENTS, .data.ptr = side };

        if (epoll_ctl(c->stage->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                return -errno;

        *side = (TlsSide){ .connection = c, .fd = fd };
        return 0;
}

/*
 * Removes the socket from the epoll explicitly. The broker may still have a descriptor of a client, and epoll reports
 * events as long as the open file description exists (epoll(7), question 6).
 */
int stage_unwatch(TlsConnection *c, TlsSide *side) {
        int fd = side->fd;

        if (fd >= 0)
                (void) epoll_ctl(c->stage->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        *side = (TlsSide){ .connection = c, .fd = -EBADF };
        return fd;
}

void stage_close_side(TlsConnection *c, TlsSide *side) {
        fd_close(stage_unwatch(c, side));
}

void stage_flow_done(TlsFlow *f) {
        free(TAKE_PTR(f->rest));
}

void stage_connection_free(TlsConnection *c) {
        TlsStage *s = c->stage;

        handshake_done(&c->handshake);
        SSL_free(TAKE_PTR(c->ssl));
        keys_seen_done(&c->seen);
        stage_close_side(c, &c->client);
        stage_close_side(c, &c->plain);
        stage_broker_forget(c);
        c->worker_fd = fd_close(c->worker_fd);
        fdpass_free(TAKE_PTR(c->info));
        free(TAKE_PTR(c->message));
        stage_flow_done(&c->up);
        stage_flow_done(&c->down);

        list_remove(&c->busy);
        list_remove(&c->link);
        list_append(&s->dead, &c->link);
        stage_count_handshakes(s, c->phase == TLS_HANDSHAKE, false);
        c->phase = _TLS_PHASE_MAX;
        service_end(&s->service);
}

/* Makes close(2) send a reset (socket(7), SO_LINGER), so that an incomplete stream does not look complete. */
static void stage_reset_on_close(const TlsSide *side) {
        const struct linger reset = { .l_onoff = 1 };

        if (side->fd >= 0)
                (void) setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

void stage_connection_reset(TlsConnection *c) {
        stage_reset_on_close(&c->client);
        stage_reset_on_close(&c->plain);
        stage_connection_free(c);
}

void stage_go_on_later(TlsConnection *c) {
        TlsStage *s = c->stage;

        list_remove(&c->busy);
        list_append(&s->busy, &c->busy);
        (void) sd_event_source_set_enabled(s->more, SD_EVENT_ON);
}

void stage_linger(TlsConnection *c) {
        (void) shutdown(c->client.fd, SHUT_WR);
        stage_set_phase(c, TLS_LINGER);
        stage_discard(c);
}

void stage_discard(TlsConnection *c) {
        ssize_t n = 0;

        for (size_t sum = 0; sum < STAGE_DISCARD_MAX; sum += (size_t) n) {
                n = recv(c->client.fd, c->stage->scratch, FLOW_SIZE, MSG_DONTWAIT);
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n <= 0)
                        break;
        }

        stage_connection_free(c);
}
