/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Clients, from accept to receipt, in a table of fixed size. Nothing is allocated for a client, because its slot is there from
 * the start. A slot costs no memory until it is used for the first time.
 *
 * A client is in one stage at a time: Client.state. Fields that only one stage uses are in a struct with the name of that stage.
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
typedef struct Helper Helper;
typedef struct InspectKind InspectKind;
typedef struct Listener Listener;
typedef struct PersistentConn PersistentConn;
typedef struct Pool Pool;
typedef struct Route Route;
typedef struct Source Source;

/* A socket address as far as routing needs it: IP, or another family without its details. */
typedef union ClientAddress {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
} ClientAddress;

typedef enum ClientState {
        CLIENT_FREE,
        CLIENT_NEW,       /* between two stages */
        CLIENT_HEAD,      /* waits for its first bytes */
        CLIENT_PARKED,    /* was handed back, waits for its next bytes */
        CLIENT_QUEUED,    /* waits in the queue of its pool */
        CLIENT_FLUSHING,  /* waits for room in its send buffer, for the rest of what its flusher wrote */
        CLIENT_PENDING,   /* was sent to a worker, no receipt yet */
        CLIENT_INSPECTED, /* the helper works on its socket, or is about to (stage/inspect.h) */
        CLIENT_REFUSED,   /* was answered, and may read the answer before it is closed */
} ClientState;

/*
 * First bytes of a client whose socket another process holds as well. The loop does not look into such a socket, because the
 * call may wait for the other process. One allocation, owned by the client.
 */
typedef struct HeadCopy {
        size_t n;
        bool is_end;         /* the client's FIN is behind these bytes */
        uint8_t bytes[];
} HeadCopy;

/* Bytes of a response that are still to be sent. One allocation, owned by the client. */
typedef struct Unsent {
        size_t n, n_sent;
        bool is_all;         /* the response ends with these bytes: no worker is needed */
        uint8_t bytes[];
} Unsent;

/* While a worker has it: CLIENT_PENDING, and CLIENT_INSPECTED from there. */
typedef struct ClientSent {
        int conn_fd;         /* connection to the worker for this client alone; -EBADF: none */
        PersistentConn *persistent; /* connection that it shares with others; NULL: none */
        uint16_t persistent_seq;    /* its number on @persistent */
        Route *route;        /* by which it was sent; NULL: by none */
        usec_t at;           /* when it was sent */
        Receipt receipt;     /* outcome of the handoff, as long as nothing was concluded from it */
        uint8_t outcome;     /* what @receipt means if the socket is untouched (Outcome) */
        bool is_settled;     /* a receipt came during an inspection */
        bool may_reuse;      /* the worker was told that it may keep @conn_fd for further clients */
        bool was_persistent; /* it was sent on a persistent connection */
        bool was_received;   /* the worker had received the message when that was looked at last */
        bool is_expired;     /* its QueueTimeoutSec= has passed: its fd is -EBADF, the slot waits for the receipt */
        uint8_t n_deaths;    /* workers that received it and died with it untouched */
} ClientSent;

/* While it waits in a queue. */
typedef struct ClientQueue {
        usec_t expires_at;   /* end of QueueTimeoutSec=, in the queue and in the worker's backlog; USEC_INFINITY: never */
        bool has_waited;     /* it was in a queue: its next worker is told @expires_at */
        unsigned n_fallbacks; /* pools that had no worker for it */
} ClientQueue;

/* From a flusher on. */
typedef struct ClientFlush {
        unsigned status;     /* of the response whose head the client was sent; 0: none */
        size_t head_length;  /* bytes of what it consumed that are the head of its request; with @status */
        Unsent *unsent;      /* NULL: nothing */
} ClientFlush;

/* After a refusal. */
typedef struct ClientRefused {
        Refusal why;
        ProbeReason reason;  /* says more about REFUSAL_MALFORMED */
        unsigned status;     /* HTTP status, with REFUSAL_FLUSHER */
        bool answer_sent;    /* no: its protocol is not clear yet */
        size_t n_discarded;  /* bytes that were read and thrown away */
} ClientRefused;

/* While the helper works on its socket. */
typedef struct ClientInspect {
        const InspectKind *kind;
        int slot;            /* number of the helper's task; -1: it waits for one */
        bool has_news;       /* an event of its socket came meanwhile */
} ClientInspect;

typedef struct Client {
        Wait wait;           /* in the list of its state */
        Wait second;         /* CLIENT_HEAD: Listener.silent. @second.link alone: CLIENT_PARKED: Source.parked; CLIENT_PENDING:
                              * PersistentConn.clients, PersistentTable.settled, or Receipts.unwatched */
        ClientState state;
        uint32_t slot;       /* in ClientTable.slots */
        uint32_t generation; /* number of clients that this slot has had: tells a late event from one of its next client */

        int fd;              /* the client's socket */
        bool is_watched;     /* its events are reported (watch.h) */
        bool is_shared;      /* a worker holds @fd too, or held it: only the helper makes calls that take the socket's lock */
        bool was_returned;   /* a worker or a broker handed it back */
        bool may_park;       /* it is parked if it has no bytes to say */
        bool needs_proxy;    /* a PROXY header has to come first */
        bool has_ended;      /* an event told of the client's FIN */
        uint8_t n_hops;      /* brokers that handed it to us, one after the other */
        uint32_t last_worker; /* Worker.number of the last worker, or a number of the sender; 0: none */

        Listener *listener;
        ClientAddress peer;  /* of the socket, by accept4(2) */
        ClientAddress own;   /* of the socket, by getsockname(2); AF_UNSPEC: not asked yet */
        ClientAddress address; /* where it comes from, by accept4(2) or a PROXY header */
        ClientAddress local; /* where it went to, by a PROXY header; AF_UNSPEC: as getsockname(2) says */
        Source *source;      /* counts its clients; NULL: it is not counted */
        Pool *pool;          /* its routes; keeps that generation of routes; NULL: none yet */

        uint64_t id;         /* from 1, in the order of arrival */
        uint64_t origin_id;  /* id that the first broker gave it, */
        uint32_t origin;     /* and ClientTable.instance of that broker: the client's name (client_id()) */
        usec_t begun_at;     /* when it came, or its next request did */

        ClientContext *context; /* facts that came with it; NULL: none */
        HeadCopy *copy;      /* first bytes, while @is_shared; NULL: the helper has not looked yet */
        ByteCounts baseline; /* as long as TCP has counted no more bytes, no worker has touched it */
        uint64_t n_received; /* bytes of its socket that were seen, read or not: TCP has counted at least as many */

        ClientInspect inspect;
        ClientQueue queue;
        ClientFlush flush;
        ClientSent sent;
        ClientRefused refused;
} Client;

typedef struct ClientTable {
        Client *slots;
        size_t n_slots;
        size_t n_touched;  /* slots from here on were never used */
        size_t n_used;
        uint64_t n_ids;
        uint32_t instance; /* random number of this process; with Client.id it names a client among all processes */
        Helper *helper;    /* closes descriptors whose close(2) may wait; NULL: there is none. Borrowed */
        List free;         /* Client.wait.link */
} ClientTable;

/* Returns 0, -ENOMEM, or an error of getrandom(2). */
int client_table_init(ClientTable *table, size_t n_slots);

/* Closes all clients that are left. */
void client_table_done(ClientTable *table);

/* Takes a slot for @fd, which is consumed. Returns NULL if the table is full; then @fd is still the caller's. */
Client *client_new(ClientTable *table, Listener *listener, int fd);

/* Closes what the client holds, takes it out of its lists, and frees its slot. Only departure.c calls it. */
void client_free(ClientTable *table, Client *c);

/* Closes its connection to the worker. */
void client_close_connection(ClientTable *table, Client *c);

/* Closes its socket. The helper does it if the call may wait. */
void client_close_socket(ClientTable *table, Client *c);

/* True if its socket is one of TCP over IP, whatever a PROXY header said about its address. */
static inline bool client_is_ip(const Client *c) {
        return c->peer.sa.sa_family == AF_INET || c->peer.sa.sa_family == AF_INET6;
}

/* True if family, address and port are equal. */
bool client_address_equal(const ClientAddress *a, const ClientAddress *b);

/* The address of its socket at this end. getsockname(2) is called once, before the first handoff. */
const ClientAddress *client_own_address(Client *c);

/* Keeps the first @n bytes of its socket in Client.copy. Returns 0 or -ENOMEM. */
int client_set_copy(Client *c, const uint8_t *p, size_t n, bool is_end);

/* A number for events: the slot and its generation. */
static inline uint64_t client_token(const Client *c) {
        return (uint64_t) c->slot << 32 | c->generation;
}

/* The client of this token, or NULL if its slot was freed since. */
Client *client_by_token(const ClientTable *table, uint64_t token);

/*
 * True if the connection is dead: reset, or closed by both ends. A half-closed one is alive. So is one with an entry in its
 * error queue, which raises POLLERR (MSG_ZEROCOPY, timestamps). Takes no lock of the socket.
 */
bool client_is_gone(const Client *c);
