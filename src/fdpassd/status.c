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
        Timer timer;            /* on for an interval after each message */
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
static void update(Status *s) {
        char text[sizeof(s->text)];

        compose(s->broker, text, sizeof(text));
        if (streq(text, s->text))
                return;

        /* One that does not get through is tried again with the next change. */
        if (notify_without_waiting(s->fd, text) >= 0)
                strcpy(s->text, text);

        timer_set(&s->timer, usec_now() + INTERVAL_USEC);
}

static void on_timer(void *userdata) {
        update(userdata);
}

static void on_turn(void *userdata) {
        Status *s = userdata;

        if (!timer_is_on(&s->timer))
                update(s);
}

int status_new(Broker *b, Status **ret) {
        _cleanup_(status_freep) Status *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;

        s->broker = b;
        s->fd = connect_manager();

        r = timer_init(&s->timer, b, on_timer, s);
        if (r < 0)
                return r;

        b->on_turn = on_turn;
        b->on_turn_userdata = s;
        update(s);
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
