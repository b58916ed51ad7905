/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the broker waits for (loop.c). All that happens once a client is in one epoll of our own: listeners, the receipts of
 * workers, more bytes of a client. What comes seldom is sd-event's: timers, signals, the control interface.
 *
 * An event of a client carries a token, not a pointer, so one that comes too late finds nobody.
 */

#include <systemd/sd-event.h>

#include "broker/client.h"

typedef struct Broker Broker;
typedef struct Listener Listener;

/*
 * In a token: it is a listener, which stays as long as the broker, or the number of a channel. Of a client the slot is
 * there, which is never so high.
 */
#define TOKEN_LISTENER (UINT64_C(1) << 62)
#define TOKEN_CHANNEL (UINT64_C(1) << 63)
#define TOKEN_HELPER UINT64_MAX

typedef struct Watch {
        Broker *broker;
        int epoll_fd;
        int sd_event_fd;   /* sd-event's own, not ours to close */
        bool is_prepared;  /* sd-event has looked at its sources (sd_event_prepare(3)), and none was changed since */
        usec_t polled_at;  /* sd-event's descriptor was looked at last */
} Watch;

int watch_init(Watch *w, Broker *b, sd_event *event);
void watch_done(Watch *w);

/*
 * Where something is changed outside of sd-event's handlers that it finds out only by looking: a timer (timer.h does it), a
 * source without a descriptor, what sd-bus has to write, the end of the loop. Of its descriptors epoll knows at once.
 */
static inline void watch_sd_event_changed(Watch *w) {
        w->is_prepared = false;
}

/* Reports who comes, as long as he waits. @l has to be unwatched before it ends. */
int watch_listener(Watch *w, Listener *l);
void unwatch_listener(Watch *w, Listener *l);

/* Reports once on @conn_fd, the connection to a worker, which is not consumed. Ends when @conn_fd is closed. */
int watch_connection(Watch *w, Client *c, int conn_fd);

/*
 * @conn_fd, which may be watched already, is from now on the channel's of this number. Only its end is reported, or
 * answers too.
 */
int watch_channel(Watch *w, uint32_t channel, int conn_fd, bool answers);
void unwatch_channel(Watch *w, int conn_fd);

/*
 * Reports each arrival of bytes, or of the end, on the client's own socket, edge-triggered: as nothing is
 * consumed, a level-triggered report would never end.
 */
int watch_client(Watch *w, Client *c);

/* The same for room in its send buffer, of one that is not watched. */
int watch_client_for_room(Watch *w, Client *c);

/*
 * Has to come before the client is handed over or closed: epoll knows the open file description, which the
 * worker keeps alive, and would go on reporting it for ever (epoll(7), question 6). Does nothing for a client
 * that is not watched.
 */
void unwatch_client(Watch *w, Client *c);
