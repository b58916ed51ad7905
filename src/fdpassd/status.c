/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassd/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>

#include "basic/address.h"
#include "basic/fd.h"
#include "broker/state/routing.h"

/* A message takes PID 1 about 20 µs, and a flood of messages keeps it from its other work. */
#define INTERVAL_USEC (1 * USEC_PER_SEC)

struct Status {
        Broker *broker;
        const LoadReport *report;
        Timer timer;            /* on for INTERVAL_USEC after each message */
        char text[256];         /* the last message */
        int fd;                 /* connection to $NOTIFY_SOCKET; -EBADF: none */
};

/*
 * Connects to $NOTIFY_SOCKET, because sd_notify(3) waits while the queue of that socket is full, and all clients would
 * wait with it. An address that begins with '@' is an abstract one (sd_notify(3)).
 */
static int status_connect(void) {
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
                len--; /* a NUL behind it would be part of the name (unix(7)) */
        }

        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *) &sun, len) < 0)
                return -errno;

        return TAKE_FD(fd);
}

static int status_send(int fd, const char *text) {
        if (fd < 0)
                return 0;

        return send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void status_compose(const Status *s, char *text, size_t size) {
        const Broker *b = s->broker;
        uint64_t n_refused = 0;

        for (size_t i = 0; i < _REFUSAL_MAX; i++)
                n_refused += b->n.n_refused[i];

        (void) snprintf(text, size,
                        "STATUS=%s%s%s%zu route%s; %" PRIu64 " client%s taken, %" PRIu64 " refused, "
                        "%zu under way, %zu parked.",
                        broker_is_stopping(b) ? "Stopping; " : b->admission.is_paused ? "Not accepting; " : "",
                        b->host_drain.is_on ? "The host is drained; " : "",
                        s->report->has_failed ? "The last reload failed, see the journal; " : "",
                        b->routing->n_routes, b->routing->n_routes == 1 ? "" : "s",
                        b->n.n_taken, b->n.n_taken == 1 ? "" : "s", n_refused,
                        b->clients.n_used - b->parking.n, b->parking.n);
}

/* Sends the status if it has changed, and then nothing for an interval. */
static void status_update(Status *s) {
        char text[sizeof(s->text)];

        status_compose(s, text, sizeof(text));
        if (streq(text, s->text))
                return;

        /* After an error the next update sends it again. */
        if (status_send(s->fd, text) >= 0)
                strcpy(s->text, text);

        timer_set(&s->timer, usec_now() + INTERVAL_USEC);
}

static void status_on_timer(void *userdata) {
        status_update(userdata);
}

static void status_on_turn(void *userdata) {
        Status *s = userdata;

        if (!timer_is_on(&s->timer))
                status_update(s);
}

int status_new(Broker *b, const LoadReport *report, Status **ret) {
        _cleanup_(status_freep) Status *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;

        s->broker = b;
        s->report = report;
        s->fd = status_connect();

        r = timer_init(&s->timer, &b->loop, status_on_timer, s);
        if (r < 0)
                return r;

        b->on_turn = status_on_turn;
        b->on_turn_userdata = s;
        status_update(s);
        *ret = TAKE_PTR(s);
        return 0;
}

Status *status_free(Status *s) {
        if (!s)
                return NULL;

        s->broker->on_turn = NULL;
        timer_done(&s->timer);
        fd_close(s->fd);
        free(s);
        return NULL;
}
