/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Admission: knows whether there is a place for more clients, and turns listeners off while there is none. */

#include "broker/core.h"

/* Initialises Broker.admission. @n_fds: descriptors that the process may have. Returns 0 or a negative errno. */
int admission_init(Broker *b, size_t n_fds);
void admission_done(Admission *a);

/* Sets MaxClients=. 0: as many as there are descriptors for. */
void admission_set_max_clients(Broker *b, unsigned max_clients);

/* Returns the number of clients that may come now. */
size_t admission_free_places(const Broker *b);

/* Turns listeners off, because there is no place (@error is 0), or accept4(2) failed with @error, a negative errno. */
void admission_pause(Broker *b, int error);

/* Turns listeners on again if they are off and there are places enough. */
void admission_resume_if_possible(Broker *b);

/* Turns each listener on or off, as the state of the broker requires. Returns 0 or a negative errno. */
int admission_enable_listeners(Broker *b);

/*
 * Adds @l, and turns it on. On success @l is owned by the broker. Otherwise @l is freed, and its descriptor is the
 * caller's. Returns 0 or a negative errno.
 */
int admission_add_listener(Broker *b, Listener *l);

/*
 * Counts a new client for RateLimitPerSource=. Returns false, and does not count it, if its source has made as many
 * connections already.
 */
bool admission_take_rate(Broker *b, Client *c);

/* True if the source of the client has less than MaxConnectionsPerSource= clients in the broker and at workers. */
bool admission_has_connections_left(Broker *b, Client *c);

/*
 * Counts the client for its source. Returns false, and does not count it, if the source has MaxClientsPerSource=
 * clients.
 */
bool admission_take_source(Broker *b, Client *c);

/* Returns the oldest parked client of the source of @c if that source has too many clients, or NULL. @c is counted. */
Client *admission_source_surplus(const Broker *b, const Client *c);
