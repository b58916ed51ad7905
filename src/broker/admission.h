/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Admission: is there a place for more clients? Listeners are off while there is none. */

#include "broker/core.h"

/* @n_fds: descriptors that the process may have. Returns 0 or a negative errno. */
int admission_init(Broker *b, size_t n_fds);
void admission_done(Admission *a);

/* Sets MaxClients=; 0: as many as there are descriptors for. */
void admission_set_max_clients(Broker *b, unsigned max_clients);

/* Clients that may come now. */
size_t admission_free_places(const Broker *b);

/* Turns listeners off: there is no place (@error is 0), or accepting failed with @error. */
void admission_pause(Broker *b, int error);

/* Turns them on again if there are places enough. */
void admission_resume_if_possible(Broker *b);

/* Turns on the listeners that are wanted now, and off all others. Returns 0 or a negative errno. */
int admission_enable_listeners(Broker *b);

/* Takes @l, turned on. If that fails @l is freed without its descriptor, which is the caller's again. Returns 0 or a negative errno. */
int admission_add_listener(Broker *b, Listener *l);

/* Counts the client for its source. Returns false, and does not count it, if MaxClientsPerSource= others are there. */
bool admission_take_source(Broker *b, Client *c);

/* A parked client that has to go, because the source of @c, which is counted, has too many clients. NULL: none. */
Client *admission_source_surplus(const Broker *b, const Client *c);
