/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassd/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>

#include "basic/address.h"
#include "basic/fd.h"
#include "broker/routing.h"

/* Each message costs PID 1 some 20 µs, and a flood of them makes it deaf. */
#define INTERVAL_USEC (1 * USEC_PER_SEC)

struct Status {
        Broker *broker;
        sd_event_source *post;  /* after each turn of the loop in which something happened */
        sd_event_source *timer;
        bool timer_on;
        char text[256];         /* as sent last */
        int fd;                 /* connected to $NOTIFY_SOCKET, or -EBADF */
};

/*
 * sd_notify() waits while the manager's socket is full, and everybody would wait with it. A status is not worth
 * that. An address that begins with '@' is an abstract one (sd_notify(3)).
 */
static int connect_manager(void) {
        const char *e = getenv("NOTIFY_SOCKET");
        _cleanup_close_ int fd = -EBADF;
        struct sockaddr_un sun;
        socklen_t len;
        int r;

        if (!e)
                return -EBADF;

        r = address_from_path(e, &sun, &len);
        if (r < 0)
                return r;

        if (sun.sun_path[0] == '@') {
                sun.sun_path[0] = '\0';
                len--; /* no NUL behind it: that would be part of the name */
        }

        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *) &sun, len) < 0)
                return -errno;

        return TAKE_FD(fd);
}

static int notify_without_waiting(int fd, const char *text) {
        if (fd < 0)
                return 0;

        return send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void compose(const Broker *b, char *text, size_t size) {
        uint64_t n_refused = 0;

        for (size_t i = 0; i < _REFUSAL_MAX; i++)
                n_refused += b->n.n_refused[i];

        (void) snprintf(text, size,
                        "STATUS=%s%s%zu route%s; %" PRIu64 " client%s handed over, %" PRIu64 " refused, %zu under way, %zu parked.",
                        b->stopping ? "Stopping; " : b->paused ? "Not accepting; " : "",
                        b->stale ? "The last reload failed, see the journal; " : "",
                        b->routing->n_routes, b->routing->n_routes == 1 ? "" : "s",
                        b->n.n_handed, b->n.n_handed == 1 ? "" : "s", n_refused, b->clients.n_used - b->n_parked, b->n_parked);
}

/* Sends what is new, and then nothing for an interval. */
static int update(Status *s) {
        char text[sizeof(s->text)];

        compose(s->broker, text, sizeof(text));
        if (streq(text, s->text))
                return 0;

        /* One that does not get through is tried again with the next change. */
        if (notify_without_waiting(s->fd, text) >= 0)
                memcpy(s->text, text, sizeof(text));

        s->timer_on = true;
        (void) sd_event_source_set_time_relative(s->timer, INTERVAL_USEC);
        return sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Status *s = userdata;

        s->timer_on = false;
        return update(s);
}

static int on_post(sd_event_source *source, void *userdata) {
        Status *s = userdata;

        return s->timer_on ? 0 : update(s);
}

int status_new(Broker *b, Status **ret) {
        _cleanup_(status_freep) Status *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;

        s->broker = b;
        s->fd = connect_manager();

        r = sd_event_add_time(b->event, &s->timer, CLOCK_MONOTONIC, 0, 0, on_timer, s);
        if (r < 0)
                return r;

        r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;

        r = sd_event_add_post(b->event, &s->post, on_post, s);
        if (r < 0)
                return r;

        r = update(s);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(s);
        return 0;
}

Status *status_free(Status *s) {
        if (!s)
                return NULL;

        sd_event_source_disable_unref(s->post);
        sd_event_source_disable_unref(s->timer);
        fd_close(s->fd);
        free(s);
        return NULL;
}
