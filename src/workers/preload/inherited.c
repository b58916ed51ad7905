/* SPDX-License-Identifier: MIT-0 */

/*
 * A program may listen on its port, and accept on the descriptor that systemd passed in addition. Both are the same
 * socket. uWSGI does this, with another protocol on the descriptor, and each client that came there was lost. So all
 * clients of such a program come to the port. A program that listens on nothing gets them on the descriptor.
 */

#include "workers/preload/preload.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>

/*
 * Refusals after which each further one takes PAUSE_MS, because poll() reports the descriptor readable until a client
 * is taken on the other one. A client in between sets the count to 0.
 */
#define REFUSALS_MAX 16
#define PAUSE_MS 10

static atomic_uint n_refusals;

bool inherited_is_spare(int fd, const WorkerSocket *w) {
        KnownSocket *k = fd == w->passed_fd ? known_find(w->cookie) : NULL;
        int listener_fd = k ? atomic_load(&k->listener_fd) : 0;

        if (listener_fd == 0 || listener_fd == fd)
                return false;

        return atomic_load(&k->has_parent_listener) || socket_cookie(listener_fd) == atomic_load(&k->cookie);
}

void inherited_note_listen(int fd) {
        KnownSocket *k = known_find(socket_cookie(fd));

        if (k && atomic_load(&k->bound_fd) == fd)
                atomic_store(&k->listener_fd, fd);
}

/* accept(2) on a blocking socket returns when a client is there. */
static int inherited_wait(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        return !is_nonblocking(fd) && poll(&p, 1, -1) < 0 ? -errno : 0;
}

static void inherited_warn(int fd, const WorkerSocket *w) {
        char what[32] = "its path";

        if (w->port != 0)
                (void) snprintf(what, sizeof(what), "port %u", (unsigned) ntohs(w->port));

        log_once(TOPIC_INHERITED, "The program accepts on descriptor %i, which systemd has passed, and has bound %s, "
                                  "which is the same socket (%s). Clients come to what it has bound, and none come to "
                                  "the descriptor. The program should use one of the two (uWSGI: --http-socket "
                                  "fd://%i).",
                 fd, what, w->name.sun_path, fd);
}

int inherited_refuse(int fd, const WorkerSocket *w) {
        int r;

        inherited_warn(fd, w);
        r = inherited_wait(fd);
        if (r < 0)
                return r;

        if (atomic_fetch_add(&n_refusals, 1) >= REFUSALS_MAX)
                (void) poll(NULL, 0, PAUSE_MS);

        return is_nonblocking(fd) ? -EAGAIN : -ECONNABORTED;
}

void inherited_note_client(void) {
        if (atomic_load_explicit(&n_refusals, memory_order_relaxed) > 0)
                atomic_store(&n_refusals, 0);
}
