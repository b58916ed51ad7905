/* SPDX-License-Identifier: MIT-0 */
#pragma once

/*
 * Idle clients of a drained host. The broker says on the way back whether the host or this worker is drained
 * (handoff/protocol.h, TELLING OF DRAINS). Then clients that are between two requests go back to it at once, and others
 * after their responses. The program gets their ends.
 *
 * It works for programs that wait for their clients where they wait for the listener, by epoll_wait(2). The way back is in
 * that epoll instance, too, and its events are taken out of the results. The ends of clients are added to these. A program
 * that begins to wait for a client by epoll_ctl(2) while it is drained gets the end of that client by a socket instead.
 * Other programs keep their clients until the next requests.
 */

#include "workers/preload/follow.h"

/* Set once the way back is in an epoll instance. */
extern atomic_bool idle_is_watching;

/* Looks for events of the way back, which is new, where the program waits for this listener. */
void idle_watch(int listener_fd);

/* Hands a client back for which the program is about to wait, if that is due. Returns true if it is gone. */
bool idle_before_register(Follow *f, int fd, const struct epoll_event *event);

/* The next two for idle_before_wait() and idle_after_wait(). */
int idle_work(int epoll_fd, struct epoll_event *events, int max);
bool idle_take_out(int epoll_fd, struct epoll_event *events, int max, int *n);

/* To be called before epoll_wait(2). Returns the number of events that it has made: then there is no wait. */
static inline int idle_before_wait(int epoll_fd, struct epoll_event *events, int max) {
        return atomic_load_explicit(&follow_n_leaving, memory_order_acquire) > 0 ? idle_work(epoll_fd, events, max) : 0;
}

/*
 * To be called after epoll_wait(2), which returned *@n. Takes our events out, and adds those of clients that went back.
 * Returns true if none is left, and the program is to wait again.
 */
static inline bool idle_after_wait(int epoll_fd, struct epoll_event *events, int max, int *n) {
        return *n > 0 && atomic_load_explicit(&idle_is_watching, memory_order_relaxed) &&
               idle_take_out(epoll_fd, events, max, n);
}
