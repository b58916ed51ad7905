/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Clients, from accept to receipt, in a table of fixed size. Nothing is allocated for a new client, because its slot is
 * there from the start. A slot uses no memory before its first client.
 *
 * A client is in one stage at a time: Client.state. The fields of a stage are in a struct with the name of that stage.
 */

#include <netinet/in.h>
#include <sys/socket.h>

#include "basic/list.h"
#include "basic/time.h"
#include "broker/state/byte-counts.h"
#include "broker/state/refusal.h"
#include "broker/state/waiting.h"
#include "handoff/handoff.h"
#include "handoff/message.h"
#include "probe/verdict.h"

typedef struct ClientContext ClientContext;
typedef struct ClientRequest ClientRequest;
typedef struct Helper Helper;
typedef struct InspectKind InspectKind;
typedef struct Listener Listener;
typedef struct PersistentConn PersistentConn;
typedef struct Pool Pool;
typedef struct Route Route;
typedef struct Source Source;
typedef struct SourceRates SourceRates;

/* A socket address as routing needs it: an IP address with its port. Of other families only the family is kept. */
typedef union ClientAddress {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
} ClientAddress;

typedef enum ClientState {
        CLIENT_FREE,
        CLIENT_NEW,       /* in no stage: a function of src/broker is moving it */
        CLIENT_HEAD,      /* its head is awaited (stage/head.h) */
        CLIENT_PARKED,    /* was handed back, and its next request is awaited (stage/park.h) */
        CLIENT_QUEUED,    /* waits in the queue of its pool (stage/queue.h) */
        CLIENT_FLUSHING,  /* its send buffer has no room for the rest of the flusher's response (stage/flush.h) */
        CLIENT_PENDING,   /* was sent to a worker, no receipt yet (stage/receipts.h) */
        CLIENT_INSPECTED, /* the helper works on its socket, or is about to (stage/inspect.h) */
        CLIENT_REFUSED,   /* was answered, and may read the answer before it is closed (stage/linger.h) */
} ClientState;

/*
 * Copy of the first bytes of a client whose socket another process holds, too. The broker does not read such a socket,
 * because the call may wait for the other process. One allocation, owned by the client.
 */
typedef struct HeadCopy {
        size_t n;
        bool is_end;         /* the client's FIN follows these bytes */
        uint8_t bytes[];
} HeadCopy;

/* The part of a response that is still to be sent. One allocation, owned by the client. */
typedef struct Unsent {
        size_t n, n_sent;
        bool is_all;         /* the response ends with these bytes, so no worker is needed */
        uint8_t bytes[];
} Unsent;

/* Fields of a client that was sent to a worker: CLIENT_PENDING, or CLIENT_INSPECTED after it. */
typedef struct ClientSent {
        int conn_fd;         /* connection to the worker for this client alone; -EBADF: none */
        PersistentConn *persistent; /* persistent connection; NULL: none */
        uint16_t persistent_seq;    /* number of the client on @persistent */
        Route *route;        /* route by which it was sent; NULL: it was not sent, or its routes are gone */
        uint32_t connection; /* number of its connection and 1, until the receipt (live.h); 0: it was not noted */
        usec_t at;           /* time when it was sent, CLOCK_MONOTONIC */
        Receipt receipt;     /* outcome of the handoff that is not dealt with yet */
        uint8_t outcome;     /* enum Outcome: meaning of @receipt if the socket is untouched */
        bool is_settled;     /* a receipt came while the helper was inspecting the socket */
        bool may_reuse;      /* the worker was told that it may keep @conn_fd for further clients */
        bool was_persistent; /* it was sent on a persistent connection */
        bool was_received;   /* at the last look into the queue the worker had received the message */
        bool is_expired;     /* QueueTimeoutSec= is over: Client.fd is -EBADF, and the slot waits for the receipt */
        uint8_t n_deaths;    /* workers that received it and died, and left it untouched */
} ClientSent;

/* Fields of a client that waits in a queue. */
typedef struct ClientQueue {
        usec_t expires_at;   /* end of QueueTimeoutSec=, also in the worker's backlog; USEC_INFINITY: never */
        bool has_waited;     /* it was in a queue, so its worker is told @expires_at */
        unsigned n_fallbacks; /* pools that had no worker for it */
} ClientQueue;

/* Fields of a client that a flusher wrote to. */
typedef struct ClientFlush {
        unsigned status;     /* HTTP status of the response that was begun; 0: none was */
        size_t head_length;  /* length of the request's head in its consumed bytes; valid with @status */
        Unsent *unsent;      /* owned; NULL: all is sent */
} ClientFlush;

/* Fields of a refused client. */
typedef struct ClientRefused {
        Refusal why;
        ProbeReason reason;  /* detail of REFUSAL_MALFORMED */
        unsigned status;     /* HTTP status of the answer, with REFUSAL_FLUSHER */
        bool answer_sent;    /* false: no answer was sent yet, because its protocol is not clear yet */
        size_t n_discarded;  /* bytes that were read and thrown away since */
} ClientRefused;

/* Fields of a client on whose socket the helper works. */
typedef struct ClientInspect {
        const InspectKind *kind;
        int slot;            /* number of the helper's task; -1: no task is free yet */
        bool has_news;       /* an event of its socket came meanwhile */
} ClientInspect;

typedef struct Client {
        Wait wait;           /* place in the list of its state */
        Wait second;         /* place in a second list: Listener.silent (CLIENT_HEAD), or with @second.link only
                              * Source.parked (CLIENT_PARKED), PersistentConn.clients,
                              * PersistentTable.settled or Receipts.unwatched (CLIENT_PENDING) */
        ClientState state;
        uint32_t slot;       /* index in ClientTable.slots */
        uint32_t generation; /* number of clients that this slot has had; part of client_token() */

        int fd;              /* the client's socket; -EBADF: closed, or the helper owns it */
        bool is_watched;     /* events of @fd are reported (watch.h) */
        bool is_shared;      /* a worker has or had @fd, too: only the helper makes calls that take the socket's lock */
        bool was_returned;   /* a worker or a broker handed it back */
        bool is_ktls;        /* the kernel has its TLS records (handoff/ktls.h): @baseline is a mark */
        bool ends_tls;       /* close_notify is due when its socket is closed, if the kernel has its TLS records */
        bool is_rerouted;    /* handed back for its next request; it is parked if it has not sent a byte yet */
        bool is_told;        /* its bytes are what a worker told (NEXT), and the next worker compares them */
        bool needs_proxy;    /* it has to begin with a PROXY header */
        bool has_ended;      /* an event has reported the client's FIN */
        uint8_t n_hops;      /* number of brokers before this one */
        uint32_t reset_worker; /* Worker.number of the worker that last left it unread; 0: none */
        uint32_t reset_line; /* Worker.reset_line at that time */
        uint32_t last_worker; /* Worker.number of the last worker, or number of its sender; 0: none */

        Listener *listener;
        ClientAddress peer;  /* address of the client's end of @fd, by accept4(2) */
        ClientAddress own;   /* address of our end of @fd, by getsockname(2); AF_UNSPEC: not known yet */
        ClientAddress address; /* address that it comes from: @peer, or as a PROXY header says */
        ClientAddress local; /* address that it went to, as a PROXY header says; AF_UNSPEC: @own */
        Source *source;      /* counts it and the other clients of its address; NULL: it is not counted */
        Pool *pool;          /* its routes, with a reference to their generation; NULL: not known yet */

        uint64_t id;         /* from 1, in the order of arrival */
        uint64_t origin_id;  /* @id in the first broker; with @origin the client's name (client_id()) */
        uint32_t origin;     /* ClientTable.instance of the first broker */
        usec_t begun_at;     /* time when it or its next request arrived, CLOCK_MONOTONIC */

        ClientContext *context; /* facts beside its socket, owned; NULL: none */
        ClientRequest *request; /* for the log, owned; NULL: not noted */
        HeadCopy *copy;      /* first bytes, owned, while @is_shared; NULL: the helper has not looked yet */
        ByteCounts baseline; /* counts before a worker had @fd; while TCP counts the same, @fd is untouched */
        uint64_t cookie;     /* seal_cookie() of @fd; 0: not known yet */
        uint64_t n_received; /* largest ByteCounts.n_received that was seen */

        ClientInspect inspect;
        ClientQueue queue;
        ClientFlush flush;
        ClientSent sent;
        ClientRefused refused;
} Client;

typedef struct ClientTable {
        Client *slots;
        size_t n_slots;
        size_t n_touched;  /* slots from this index on were never used */
        size_t n_used;
        uint64_t n_ids;
        uint32_t instance; /* random number of this process; it and Client.id name a client among all processes */
        Helper *helper;    /* closes descriptors if close(2) may wait; NULL: there is none. Borrowed */
        List free;         /* free slots, by Client.wait.link */
} ClientTable;

/* Makes a table of @n_slots slots. Returns 0, -ENOMEM, or an error of getrandom(2). */
int client_table_init(ClientTable *table, size_t n_slots);

/* Closes all clients that are left, and frees the table. */
void client_table_done(ClientTable *table);

/* Takes a slot for @fd, which is consumed on success. Returns NULL if the table is full. */
Client *client_new(ClientTable *table, Listener *listener, int fd);

/* Closes the descriptors of the client, takes it out of its lists, and frees its slot. Only departure.c calls it. */
void client_free(ClientTable *table, Client *c);

/* Closes Client.sent.conn_fd. The helper does it if close(2) may wait. Does nothing if there is none. */
void client_close_connection(ClientTable *table, Client *c);

/* Closes Client.fd. The helper does it if close(2) may wait. Does nothing if there is none. */
void client_close_socket(ClientTable *table, Client *c);

/* True if the client's socket is one of TCP over IP. The address that a PROXY header gave may be of another family. */
static inline bool client_is_ip(const Client *c) {
        return c->peer.sa.sa_family == AF_INET || c->peer.sa.sa_family == AF_INET6;
}

/* True if family, address and port are equal. Of other families than IP only the family is compared. */
bool client_address_equal(const ClientAddress *a, const ClientAddress *b);

/*
 * Returns the address of our end of the socket. getsockname(2) is called once, and only while no worker has the socket.
 */
const ClientAddress *client_own_address(Client *c);

/* Makes Client.copy of the first @n bytes of the socket. Returns 0 or -ENOMEM. */
int client_set_copy(Client *c, const uint8_t *p, size_t n, bool is_end);

/* Returns the number that events of the client carry: slot and generation. */
static inline uint64_t client_token(const Client *c) {
        return (uint64_t) c->slot << 32 | c->generation;
}

/* Returns the client of this token, or NULL if its slot was freed since then. */
Client *client_by_token(const ClientTable *table, uint64_t token);

/*
 * True if the connection is dead: reset, or closed by both ends. A half-closed connection is alive. A connection with
 * an entry in its error queue (MSG_ZEROCOPY, timestamps) is alive, too, although it raises POLLERR. Takes no lock of
 * the socket.
 */
bool client_is_gone(const Client *c);
