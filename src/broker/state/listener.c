/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/listener.h"

#include "basic/fd.h"

/*
 * Shortest time between two lines about clients that are refused for what they do themselves. On a public port some
 * come all the time, and the log has one line a minute for each reason.
 */
#define CLIENT_LINE_USEC (60 * USEC_PER_SEC)

static void listener_init_line(Listener *l, RefusalLine *line, Refusal why, ProbeReason reason) {
        *line = (RefusalLine){ .listener = l, .why = why, .reason = reason };
        held_line_init(&line->held);
        if (!refusal_is_limit(why) && why != REFUSAL_NO_ROUTE)
                line->held.interval = CLIENT_LINE_USEC;
}

static void listener_init_lines(Listener *l) {
        for (unsigned i = 0; i < _REFUSAL_MAX; i++)
                listener_init_line(l, &l->refusals[i], (Refusal) i, PROBE_REASON_NONE);
        for (unsigned i = 0; i < _PROBE_REASON_MAX; i++)
                listener_init_line(l, &l->malformed[i], REFUSAL_MALFORMED, (ProbeReason) i);
}

static void listener_drop_lines(Listener *l) {
        for (size_t i = 0; i < _REFUSAL_MAX; i++)
                held_line_done(&l->refusals[i].held);
        for (size_t i = 0; i < _PROBE_REASON_MAX; i++)
                held_line_done(&l->malformed[i].held);
}

int listener_new(Loop *loop, const char *name, int fd, int type, const ListenerHandlers *handlers, void *userdata,
                 Listener **ret) {
        _cleanup_(listener_freep) Listener *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;

        l->userdata = userdata;
        l->on_ready = handlers->on_ready;
        l->fd = -EBADF;
        l->type = type;
        l->batch = 1;
        list_init(&l->link);
        listener_init_lines(l);
        waiting_init(&l->heads, &l->timer);
        waiting_init(&l->silent, &l->timer);

        l->name = strdup(name);
        if (!l->name)
                return -ENOMEM;

        /*
         * systemd passes listeners in blocking mode (NonBlocking=, systemd.service(5)). In that mode accept4(2) would
         * wait if the client left after its event.
         */
        r = fd_nonblock(fd, true);
        if (r < 0)
                return r;

        r = timer_init(&l->timer, loop, handlers->on_timer, l);
        if (r < 0)
                return r;

        l->fd = fd; /* consumed */
        *ret = TAKE_PTR(l);
        return 0;
}

Listener *listener_free(Listener *l) {
        if (!l)
                return NULL;

        list_remove(&l->link);
        listener_drop_lines(l);
        timer_done(&l->timer);
        fd_close(l->fd);
        free(l->name);
        free(l);
        return NULL;
}

Listener *listener_find(const List *listeners, Slice name) {
        LIST_FOREACH(i, listeners) {
                Listener *l = CONTAINER_OF(i, Listener, link);

                if (slice_equal(slice_from_string(l->name), name))
                        return l;
        }

        return NULL;
}
