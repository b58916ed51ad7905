/* SPDX-License-Identifier: MIT-0 */
#pragma once

/*
 * Persistent connections (fdpass-protocol(7)): a connection on which a client came is kept, and brings further ones. The
 * program does not know of it. It waits for its listener by epoll(7). So the kept connection is in the same epoll
 * instance with the event data of the listener, and accept() on the listener takes clients from it, too.
 *
 * A program that takes its listener out of epoll, or closes it, accepts no clients for now. The kept connection is closed
 * then, and the broker gives the clients on it to other processes. A program that waits otherwise (poll(2), a blocking
 * accept()) gets each client on a connection of its own.
 *
 *     kept.c ── which connections there are, from their first client to their end
 *     kept-receive.c ── their messages, and the answers
 *     kept-watch.c ── what the program does with its listener
 *     place.c ── where the program waits
 */

#include "workers/preload/kept-receive.h"

/* Connections of a process. A worker's socket has one for each broker that sends clients to it (shards). */
#define KEPT_MAX 8

/* Reads the environment. */
void kept_init(void);

/*
 * Keeps @conn_fd, on which a client of @listener_fd came, if the program waits for that in a way that permits it. Returns
 * true if @conn_fd was consumed.
 */
bool kept_begin(int conn_fd, int listener_fd, const WorkerSocket *w);

/* True if the listener is to be asked before kept connections, after many clients in a row from these. */
bool kept_is_other_turn(void);

/*
 * Takes the next client for the listener @w from a kept connection. Returns 0, -EAGAIN if there is none, or a negative
 * errno of accept4(2).
 */
int kept_accept(const WorkerSocket *w, int flags, ClientInfo *ret_info, int *ret_fd);

/* The rest is for kept-watch.c. */

extern Kept kept[KEPT_MAX];
extern atomic_uint n_kept; /* connections in use */

/* Takes a connection for this thread, if it is in use and no other thread has it. */
bool kept_lock(Kept *k);

/* Ends the connection if that is wanted meanwhile. */
void kept_unlock(Kept *k);

/* Ends the connection: now, or when the thread that has it unlocks it. */
void kept_end(Kept *k);

/* The same because the program has stopped to wait for clients. */
void kept_stop(Kept *k);

/* Returns what our descriptors have in epoll for a listener with @event. Only listeners are shared with other processes. */
struct epoll_event kept_event(const struct epoll_event *event);
