/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/listener.h"

#include <sys/socket.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "broker/broker.h"
#include "broker/channel.h"
#include "broker/head.h"
#include "broker/watch.h"
#include "handoff/handoff.h"

#define BATCH_MAX 32U

/* Wake-ups with one call, at most, before two are tried again. */
#define PATIENCE_MAX 15U

static void accept_batch(Listener *l);

int listener_new(Broker *b, const char *name, int fd, Listener **ret) {
        (void) handoff_refuse_rights(fd); /* a client over AF_UNIX may send descriptors, and no route asks for them */
        return listener_new_with(b, name, fd, accept_batch, ret);
}

int listener_new_with(Broker *b, const char *name, int fd, void (*on_ready)(Listener *l), Listener **ret) {
        _cleanup_(listener_freep) Listener *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;

        l->broker = b;
        l->fd = -EBADF;
        l->batch = 1;
        l->on_ready = on_ready;
        list_init(&l->link);
        list_init(&l->heads);
        list_init(&l->silent);

        l->name = strdup(name);
        if (!l->name)
                return -ENOMEM;

        /* systemd passes its listeners in blocking mode (NonBlocking=, systemd.service(5)), and a client that
         * left between the event and accept4() would stop us there. */
        r = fd_nonblock(fd, true);
        if (r < 0)
                return r;

        r = head_timer_add(l);
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
        (void) listener_enable(l, false);
        timer_done(&l->head_timer);
        fd_close(l->fd);
        free(l->name);
        free(l);
        return NULL;
}

int listener_enable(Listener *l, bool enable) {
        int r = 0;

        if (l->is_on == enable)
                return 0;

        if (enable)
                r = watch_listener(&l->broker->watch, l);
        else
                unwatch_listener(&l->broker->watch, l);
        if (r >= 0)
                l->is_on = enable;

        return r;
}

/* Returns 0, -EAGAIN where nobody waits any more, or another error that is not the single client's. */
static int accept_one(Listener *l) {
        Broker *b = l->broker;
        _cleanup_close_ int fd = -EBADF;
        ClientAddress address = {};
        socklen_t len = sizeof(address);
        Client *c;

        /* No SOCK_NONBLOCK: that flag lives in the open file description, and would reach the worker. */
        fd = accept4(l->fd, &address.sa, &len, SOCK_CLOEXEC);
        if (fd < 0)
                return errno != EAGAIN && errno_is_accept_again(-errno) ? 0 : -errno;

        b->n.n_accepted++;
        l->n_accepted++;

        c = client_new(&b->clients, l, fd);
        if (!c) /* can't be: there is room, or the listeners are off */
                return -ENOBUFS;

        (void) TAKE_FD(fd);
        c->peer = c->address = address;
        broker_admit(b, c);
        return 0;
}

/*
 * A call of accept4() that finds nobody costs as much as one that does. So a quiet listener gets one call a wake-up, and
 * one that always has somebody waiting twice as many each time. Where a second call was in vain, it is not made for some
 * wake-ups. Where clients come quickly, all that is worth less than that whoever is not in this turn's message is in
 * another one.
 */
static unsigned batch_size(Listener *l) {
        if (l->broker->pace.is_quick)
                return BATCH_MAX;
        if (l->n_alone > 0) {
                l->n_alone--;
                return 1;
        }

        l->batch = MIN(l->batch * 2, BATCH_MAX);
        return l->batch;
}

/* There were @n, and no more. */
static void adapt_batch(Listener *l, unsigned n) {
        l->batch = 1;
        l->patience = n > 1 ? 0 : MIN(l->patience * 2 + 1, PATIENCE_MAX);
        l->n_alone = l->patience;
}

static void accept_batch(Listener *l) {
        unsigned n = batch_size(l);

        for (unsigned i = 0; i < n; i++) {
                int r = accept_one(l);

                if (r == -EAGAIN) {
                        adapt_batch(l, i);
                        return;
                }
                if (r < 0) {
                        /* Not an error to end on: at worst the listener is looked at once in a while. */
                        broker_pause(l->broker, r);
                        return;
                }
                if (l->broker->paused)
                        return;
        }
}
