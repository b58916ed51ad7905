/* SPDX-License-Identifier: MIT-0 */

/*
 * A server that stops, or reloads, closes the clients that wait for nothing (nginx at SIGQUIT, Apache at a graceful
 * restart, gunicorn at SIGHUP). A client may have its next request on the way by then, and would get no answer. So it is
 * handed back, and the broker gives it to the next process. A server that goes on closes clients for other reasons, as
 * their time-outs. These are closed.
 *
 * A process stops once it closes a socket on which it has accepted clients, or calls exit(3). Apache and gunicorn know a
 * little earlier that they stop, and close clients right after their responses. A server that has another reason to do so,
 * such as a number of requests, says "Connection: close" in the response.
 */

#include "workers/preload/follow.h"

/* Listeners are opened early, and so their numbers are low. One above is not known: its clients are closed. */
#define LISTENERS_MAX 256

static struct {
        atomic_bool is_listener[LISTENERS_MAX]; /* clients were accepted on this descriptor */
        atomic_bool is_on;
        unsigned process; /* that stops; its children may go on */
} stopping;

static bool stopping_is_on(void) {
        return atomic_load_explicit(&stopping.is_on, memory_order_acquire) && stopping.process == forks_process();
}

void stopping_note_accept(int listener_fd) {
        if (listener_fd < LISTENERS_MAX)
                atomic_store_explicit(&stopping.is_listener[listener_fd], true, memory_order_relaxed);
        atomic_store_explicit(&stopping.is_on, false, memory_order_relaxed);
}

bool stopping_hands_back(Follow *f, int fd) {
        return (stopping_is_on() || follow_is_fresh(f)) && follow_leave(f, fd);
}

void stopping_before_close(int fd) {
        int saved_errno = errno;
        Follow *f = follow_find(fd);

        if (f)
                (void) stopping_hands_back(f, fd);
        else if (fd >= 0 && fd < LISTENERS_MAX &&
                 atomic_exchange_explicit(&stopping.is_listener[fd], false, memory_order_relaxed)) {
                stopping.process = forks_process();
                atomic_store_explicit(&stopping.is_on, true, memory_order_release);
        }
        errno = saved_errno;
}

/* Runs in exit(3). Other threads may still serve clients, but have no request of one that is handed back. */
__attribute__((destructor)) static void stopping_on_exit(void) {
        for (size_t i = 0; i < FOLLOW_PAGES * FOLLOW_PAGE; i++) {
                Follow *f;

                if (i % FOLLOW_PAGE == 0 && !atomic_load(&follow_pages[i / FOLLOW_PAGE])) {
                        i += FOLLOW_PAGE - 1;
                        continue;
                }
                f = follow_find((int) i);
                if (f)
                        (void) follow_leave(f, (int) i);
        }
}
