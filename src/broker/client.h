/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Clients, from accept to receipt, in a table of fixed size. Nothing is allocated for a client: its slot is
 * there from the start (and costs no memory until it is used for the first time).
 */

#include <netinet/in.h>
#include <sys/socket.h>

#include "basic/list.h"
#include "basic/time.h"
#include "broker/progress.h"
#include "handoff/handoff.h"
#include "handoff/message.h"
#include "probe/verdict.h"

typedef struct Channel Channel;
typedef struct Helper Helper;
typedef struct JudgeKind JudgeKind;
typedef struct Listener Listener;
typedef struct Pool Pool;
typedef struct Route Route;
typedef struct Source Source;

/* As much of a socket address as routing needs: IP, or another family without its details. */
typedef union ClientAddress {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
} ClientAddress;

/* Why a client got no worker. */
typedef enum Refusal {
        REFUSAL_NO_ROUTE,     /* no route takes it */
        REFUSAL_NO_HOST,      /* and none knows the host that it wants */
        REFUSAL_MALFORMED,    /* it does not speak its protocol as it should */
        REFUSAL_HEAD_TIMEOUT, /* its head was not there after HeadTimeoutSec= */
        REFUSAL_EVICTED,      /* it was the oldest that had said too little when the room was needed */
        REFUSAL_SOURCE_FULL,  /* MaxClientsPerSource= others are there from the same place */
        REFUSAL_BROKER,       /* the broker is out of something */
        REFUSAL_QUEUE_FULL,   /* MaxQueued= others wait already */
        REFUSAL_TIMEOUT,      /* waited QueueTimeoutSec= */
        REFUSAL_WORKER_GONE,  /* every worker of the pool has been unreachable for a while */
        REFUSAL_WORKER,       /* the worker says that it can't be served */
        REFUSAL_FLUSHER,      /* the flusher says so */
        REFUSAL_SLOW,         /* it left no room for what a flusher wrote */
        REFUSAL_STOPPING,     /* the broker stops, and no backlog had room */
        _REFUSAL_MAX,
} Refusal;

typedef enum ClientState {
        CLIENT_FREE,
        CLIENT_NEW,       /* just accepted, or between two workers */
        CLIENT_HEAD,      /* its first bytes are not all there yet */
        CLIENT_PARKED,    /* was handed back, and waits for its next bytes */
        CLIENT_QUEUED,    /* waits in its pool's queue */
        CLIENT_FLUSHING,  /* has no room at the moment for the rest of what its flusher wrote */
        CLIENT_PENDING, /* was sent to a worker that has given no receipt yet */
        CLIENT_JUDGED,    /* the helper looks at its socket, or waits to do so (judge.h) */
        CLIENT_REFUSED,   /* was answered, and may read the answer before it is closed */
} ClientState;

/*
 * What came with a client that was handed back, or what a flusher's client has said. One allocation, owned by the
 * client.
 */
typedef struct Baggage {
        char *name;          /* of the route that is to have it; NULL: whichever takes it */
        Slice data;          /* for its worker */
        Slice consumed;      /* bytes that precede what the socket still holds */
        Slice unique_id;     /* where it is none that a broker gives: see Client.origin_id */
        Slice ssl;           /* of a TLS stage, with */
        Slice alpn;          /* what that has agreed upon, and */
        Slice authority;     /* the name that it was asked for */
        uint8_t bytes[];
} Baggage;

/*
 * First bytes of a client whose socket another process has as well: the loop does not look into such a socket, because that
 * may wait for the other process. One allocation, owned by the client.
 */
typedef struct HeadCopy {
        size_t n;
        bool is_end;         /* the client's FIN is behind them */
        uint8_t bytes[];
} HeadCopy;

/* What is still to be sent to a client. One allocation, owned by the client. */
typedef struct Unsent {
        size_t n, n_sent;
        bool is_all;         /* the response ends with it: no worker is needed */
        uint8_t bytes[];
} Unsent;

typedef struct Client {
        List link;           /* ClientTable.free, Listener.heads, Parking.clients, Pool.queue or .again,
                              * Broker.flushing, Receipts.pending, Broker.refused or Judge.waiting, as the state says */
        List second_link;    /* Listener.silent, while it has said nothing; while pending Channel.clients on one, and then
                              * ChannelTable.settled, or Receipts.unwatched; while parked Source.parked */
        ClientState state;
        uint32_t generation; /* how many clients this slot has had: tells a late event from a new one's */

        int fd;              /* the client's socket */
        int conn_fd;         /* the connection to the worker, while pending; or else */
        Channel *channel;    /* the one that it shares with others */
        uint16_t number;     /* among those */
        Receipt receipt;     /* outcome of the handoff, while in ChannelTable.settled or judged */
        uint8_t outcome;     /* while judged: what the receipt means if its socket is as it was */
        bool is_settled;     /* while judged: a receipt came meanwhile, in @receipt */
        bool may_keep;       /* the worker was told that it may keep conn_fd for the next clients */

        bool is_shared;      /* a worker has @fd too, or has had it: only the helper makes calls that take its lock */
        bool was_returned;   /* a worker or a broker has handed it back */
        bool may_park;       /* with it: it is parked if it has nothing to say */
        uint32_t last_worker; /* Worker.number of the last one that it was sent to, or a number of its sender; 0: none */
        HeadCopy *copy;      /* its first bytes, while @is_shared; NULL: the helper has not looked yet */
        uint64_t n_received; /* bytes of its socket that were seen, read or not: TCP must have counted as many */
        const JudgeKind *judge_kind; /* while judged: why */
        int judge_slot;      /* the helper's task; -1: it waits for one */
        bool has_news;       /* an event of @fd came while it was judged */
        bool has_ended;      /* such an event told of the client's FIN */

        bool watched;        /* fd is in Broker.watch */
        Baggage *baggage;    /* NULL: it was not handed back, or with nothing */

        Listener *listener;
        ClientAddress peer;  /* of the socket, by accept(2) */
        ClientAddress own;   /* of the socket, by getsockname(2); AF_UNSPEC: not asked yet */
        ClientAddress address; /* where it comes from, by accept(2) or by a PROXY header */
        ClientAddress local; /* where it went to, by a PROXY header; AF_UNSPEC: as getsockname(2) says */
        Source *source;      /* counts the clients from there; NULL: not counted */
        Pool *pool;          /* whose routes it takes; pins that generation of the routes */
        Route *route;        /* the one it was sent by, while pending */

        uint64_t id;         /* counts from 1 through the life of the broker */
        uint64_t origin_id;  /* the id that the first broker gave it, and that one's Broker.instance: what it is called */
        uint32_t origin;
        uint8_t n_hops;      /* how many brokers have passed it on to us, one after the other */
        usec_t begun_at;     /* when it came, or its next request did */
        usec_t deadline;     /* of what the state waits for: the head, a worker, the end; while pending still the worker */
        usec_t silent_at;    /* while it has said nothing: when it counts as silent */
        usec_t look_at;      /* while pending: when to look for the receipt unasked */
        usec_t sent_at;      /* while pending */
        usec_t expires_at;   /* end of QueueTimeoutSec=, in the queue or in a worker's backlog */
        bool is_expired;     /* while pending: that has come. @fd is -EBADF, and the slot waits for the receipt */
        bool was_received;   /* the worker had the message when that was looked at last */
        bool was_kept;       /* while judged: it was sent on a persistent connection */
        uint8_t n_deaths;    /* handoffs that a worker received, and died with the client untouched */
        unsigned n_failures; /* how many pools had no worker for it */
        Refusal refusal;     /* why it was refused, and */
        ProbeReason refusal_reason;
        bool answered;       /* whether it was told so: its protocol may not have been clear yet */
        size_t n_drained;    /* after a refusal: bytes that were thrown away */
        bool needs_proxy;    /* a PROXY header has to come first */
        Progress untouched;  /* as long as it is no further, no worker has touched it: that header, or what others did
                              * before it was handed back, or a flusher */
        unsigned status;     /* of the response that it was sent the head of; 0: none */
        size_t head_length;  /* then so many bytes of what was consumed are the head of its request */
        Unsent *unsent;      /* while flushing */
        usec_t flush_until;
        unsigned refusal_status; /* with REFUSAL_FLUSHER: what to answer */
} Client;

typedef struct ClientTable {
        Client *slots;
        size_t n_slots;
        size_t n_touched; /* slots from here on were never used */
        size_t n_used;
        uint64_t n_ids;
        uint32_t instance; /* of the clients that are new here */
        Helper *helper;    /* closes what may wait; NULL: nothing may. Borrowed */
        List free;        /* Client.link */
} ClientTable;

int client_table_init(ClientTable *table, size_t n_slots);

/* Closes every client that is left. */
void client_table_done(ClientTable *table);

/* Takes a slot for @fd, which is consumed. NULL, and @fd as it was, where the table is full. */
Client *client_new(ClientTable *table, Listener *listener, int fd);

/* Closes what the client still holds and gives the slot back. The client must be in no list but its state's. */
void client_free(ClientTable *table, Client *c);

/* Closes the connection to the worker. */
void client_close_connection(ClientTable *table, Client *c);

/* Closes its socket, in the helper if that may wait. */
void client_close_socket(ClientTable *table, Client *c);

/* Is its socket one of TCP over IP, whatever a PROXY header said of its address? */
static inline bool client_is_ip(const Client *c) {
        return c->peer.sa.sa_family == AF_INET || c->peer.sa.sa_family == AF_INET6;
}

/* Same family, address and port. */
bool client_address_equal(const ClientAddress *a, const ClientAddress *b);

/* The address of its socket at this end: getsockname(2), asked once and before the first handoff. */
const ClientAddress *client_own_address(Client *c);

/* Keeps the first @n bytes of its socket. Returns 0 or -ENOMEM. */
int client_set_copy(Client *c, const uint8_t *p, size_t n, bool is_end);

/* Notes that @n bytes, which a copy at @p has, were read from its socket. Returns 0 or -ENOMEM. */
int client_add_consumed(Client *c, const uint8_t *p, size_t n);

/* Puts it into a list of those with earlier deadlines before it, from behind: mostly it is the last. */
void client_insert_by_deadline(List *list, Client *c);

/* Room for what client_id() writes: instance and number, or somebody else's UNIQUE_ID. */
#define CLIENT_ID_MAX (FDPASS_UNIQUE_ID_MAX + 1)

/* What the client is called, from its accept to its end, in the log and in messages. Returns its length. */
size_t client_id(const Client *c, char ret[static CLIENT_ID_MAX]);

/* Keeps what was told of a client that came back. Returns 0 or -ENOMEM. */
int client_set_baggage(Client *c, const Message *m);

/* Adds that to what is told of it, where the client itself doesn't say otherwise. Borrowed from the client. */
void client_tell_baggage(const Client *c, Message *m);

/*
 * Looks at the first bytes of the client, without taking them: those that a worker consumed, and then what is in its
 * socket, or in the copy of a shared one. Returns their number, which is at most @size, 0 at its end, or a negative errno.
 */
ssize_t client_peek(const Client *c, uint8_t *buffer, size_t size);

/*
 * Takes the first @n bytes of the client's off its socket, in so far as they are not consumed already, and keeps them:
 * they are consumed then. Returns 0, or a negative errno: -EPIPE where they are not there.
 */
int client_consume(Client *c, size_t n);

/* What an event carries instead of a pointer: the slot and its generation. */
uint64_t client_token(const ClientTable *table, const Client *c);

/* The client a token was made for, or NULL where its slot was given back since. */
Client *client_by_token(const ClientTable *table, uint64_t token);

/*
 * True if the connection is dead: reset, or closed by both ends. A half-closed one is alive, and so is one with an entry in
 * its error queue, which raises POLLERR (MSG_ZEROCOPY, timestamps). Takes no lock of the socket.
 */
bool client_is_gone(const Client *c);
