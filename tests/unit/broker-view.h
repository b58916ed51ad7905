/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The broker's inside for tests. Only broker-view.c reads the fields of struct Broker and of the structs in it. Tests,
 * the fuzzer and the benchmark call these functions, so no cmocka is in here.
 */

#include "broker/broker.h"
#include "broker/live.h"
#include "helper/helper.h"

typedef struct BrokerFixture {
        sd_event *event;
        Log *log;
        Helper *helper;          /* NULL: the broker makes calls that may wait by itself */
        Broker *broker;          /* the one that the functions below are about */
        Broker *other;           /* a second broker with its own event loop; NULL: none */
        char directory[32];      /* for sockets; below /tmp */
        unsigned max_per_source; /* MaxClientsPerSource= of the next configuration; 0: the default */
} BrokerFixture;

extern BrokerFixture t;

/* Makes the broker poll for receipts in its next turn, or wait for them. */
void set_polling(bool is_polling);
/* Keeps the broker from polling for receipts, however fast clients come. */
void never_poll(void);

/* Counters of the broker, since its start. */
uint64_t n_accepted(void);
uint64_t n_taken(void);
uint64_t n_unread(void);
uint64_t n_refused(Refusal reason);
uint64_t n_refused_in_all(void);
uint64_t n_gone(void);
uint64_t n_returned(void);
uint64_t n_handed_over(void);
uint64_t n_flushed(void);
uint64_t n_flush_whole(void);
uint64_t n_flush_waits(void);
uint64_t n_flush_again(void);
uint64_t n_flush_lost(void);

/* Every client that came is in the broker, or has left in one of the ways that are counted. */
bool is_account_even(void);

/* The broker as it is now. */
size_t n_in_broker(void);    /* clients, parked and refused ones too */
size_t n_parked(void);
size_t n_pools(void);
size_t n_workers(void);
size_t n_fds(void);          /* for clients */
size_t max_clients(void);
size_t n_free_places(void);
bool is_paused(void);        /* listeners are off */
bool is_stopping(void);
bool awaits_receipts(void);
bool is_judging(void);       /* the helper looks at clients that a worker left */
bool holds_back_lines(void); /* the log has lines to come */
uint32_t instance(void);
const void *routing(void);   /* differs after each change of configuration */

void set_max_clients(size_t n);
void set_max_parked(size_t n);
void set_park_timeout(usec_t usec);
void observe(Observer observer);
/* Has the broker track connections, whose table is returned. It never looks for those that the kernel does not have. */
ConnectionTable *track_connections(void);

/* A pool, by the name of one of its units. */
size_t queued(const char *unit);
/* As if the log's last line about the full pool were @usec older. */
void age_line_of_full_pool(const char *unit, usec_t usec);

/* A route, by the name of its unit. */
uint64_t route_n_taken(const char *unit);
uint64_t route_n_rerouted(const char *unit);
uint64_t route_n_declined(const char *unit);
uint64_t route_n_refused(const char *unit, Refusal reason);
uint64_t route_n_timed(const char *unit); /* handoffs whose time was taken */

/* A worker, by the name of its socket in the fixture's directory. */
size_t n_pending(const char *worker);
size_t n_connections(const char *worker); /* persistent ones */
uint64_t worker_n_taken(const char *worker);
uint64_t worker_n_rerouted(const char *worker);
bool is_gone(const char *worker);
int gone_error(const char *worker);
bool is_private(const char *worker);      /* only root can change the way to it */
/* worker_stuck_for() at @later from now. */
usec_t stuck_for(const char *worker, usec_t later);
bool is_drained(const char *worker);
bool is_retried_later(const char *worker);
void retry_now(const char *worker);
void drain(const char *worker, bool is_drained);

/* A listener, by its name. */
uint64_t listener_n_accepted(const char *name);
uint64_t listener_n_refused(const char *name, Refusal reason);
/* SilentTimeoutSec= is over for all of its clients, and its timer comes before their events. */
void end_silence(const char *listener);
bool listener_needs_head(const char *name); /* some route for its clients asks for their first bytes */

/* The first client of the table. */
ClientState first_client_state(void);
bool first_client_has_route(void);
bool first_client_was_received(void); /* a look into the queue found that its worker had received it */

/* Live connections. @store is consumed. Returns as live_new(). */
int start_live(int fd, ConnectionStore *store);
const ConnectionTable *connections(void);
/* Has the kernel's sockets listed now. */
void sweep_now(void);

/* The other broker. */
uint64_t other_n_taken(void);
uint64_t other_n_returned(void);
size_t other_n_in_broker(void);
void set_other_max_clients(size_t n);
