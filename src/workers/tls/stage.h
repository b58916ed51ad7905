/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * fdpass-tls: a stage. It takes TLS off, and hands each client back to the broker, which routes it by what is inside.
 *
 *     service.h ── client ──▶ stage-handshake.c ── handshake.h, policy.h, certificate.h: no I/O
 *                                  │ done
 *                                  ▼
 *                             stage-kernel.c ── keys.h, kernel.h: the client's own socket, if the kernel can do TLS
 *                                  │
 *                                  ▼
 *                             stage-return.c ── learned.h: message ── pair.h: or another socket
 *                                  │
 *                                  ▼
 *                             stage-broker.c ── one connection for all clients ──▶ (broker)
 *                                  │ taken, not in the kernel
 *                                  ▼
 *     stage-prepare.c ── certificates and options; stage-renewal.c ── new certificates
 *     stage-loop.c ── event ──▶ stage-flow.c: bytes between the client and the worker's socket
 *
 * There is one thread.
 */

#include <sys/epoll.h>
#include <sys/un.h>

#include "basic/list.h"
#include "handoff/handoff.h"
#include "workers/service.h"
#include "workers/tls/certificate-report.h"
#include "workers/tls/handshake.h"
#include "workers/tls/kernel.h"
#include "workers/tls/keys.h"
#include "workers/tls/pair.h"
#include "workers/tls/policy.h"

typedef struct TlsConnection TlsConnection;

/* The phases of a connection. Each has one time limit. */
typedef enum TlsPhase {
        TLS_HANDSHAKE,
        TLS_RETURNING, /* the broker was sent the worker's socket, and has not answered yet */
        TLS_RETRY,     /* the broker had no room: waits for the next attempt */
        TLS_OPEN,
        TLS_ENDING,    /* one direction has ended */
        TLS_LINGER,    /* was refused, and may read the answer before it is closed */
        _TLS_PHASE_MAX,
} TlsPhase;

/* One socket of a connection. Its epoll is edge-triggered, so events are recorded here until they are used. */
typedef struct TlsSide {
        TlsConnection *connection; /* NULL: StageBroker.side */
        int fd;
        bool can_read;
        bool can_write;
} TlsSide;

/* Messages without an answer that the broker is sent at most. Further clients wait in TLS_RETRY. */
#define STAGE_SENT_MAX 128

/* The connection to the broker. */
typedef struct StageBroker {
        TlsSide side;                        /* its fd is -EBADF while there is none */
        TlsConnection *sent[STAGE_SENT_MAX]; /* a ring: clients without an answer. NULL: that client has ended */
        size_t first;                        /* index of the one whose answer comes next */
        size_t n_sent;
        void (*settle)(TlsConnection *c, Receipt receipt); /* what follows from an answer */
} StageBroker;

typedef struct TlsStage {
        Service service;
        PolicyOptions policy;
        const char *certificates;  /* directory; borrowed */
        const char *credential;    /* prefix of the files in it (certificate_files_read()); NULL: none. Borrowed */
        const char *return_path;   /* the broker's return socket; borrowed */
        const char *seed_path;     /* of the keys of session tickets; NULL: they end with this process. Borrowed */
        const char *status_path;   /* of the report on the certificates; NULL: none is written. Borrowed */
        const char *renewal_path;  /* of a socket for new certificates (renewal.h); NULL: none. Borrowed */
        bool is_check;             /* it only prints what is in @certificates */
        bool is_sender;            /* it only sends the files of @certificates there */
        unsigned n_processes;      /* that serve clients (supervisor.h) */
        unsigned handshakes_max;   /* handshakes at once; the next clients wait */
        unsigned source_max;       /* handshakes at once of one source; further ones are refused */
        KernelUse kernel_use;
        usec_t drain_usec;         /* time that connections have after SIGTERM */

        int renewal_fd;            /* listens at @renewal_path; -EBADF: none */
        sd_event_source *renewal;
        int control_fd;            /* of the supervisor, which sends new certificates; -EBADF: there is none. Owned */
        sd_event_source *control;
        sd_event_source *beat;     /* the next sign of life for the supervisor */
        usec_t beat_usec;          /* time between two of them; USEC_INFINITY: none */
        CertificateReport report;
        int status_fd;             /* @status_path, with its lock; -EBADF: none */
        CertificateSet set;
        TicketKeys tickets;
        SSL_CTX *ctx;
        PairMaker pairs;
        bool has_kernel;           /* the kernel can do TLS, and is to do it */
        bool kernel_fails;         /* it refused it for the last client */
        struct sockaddr_un broker; /* address of @return_path */
        socklen_t broker_length;
        StageBroker to_broker;

        usec_t limits[_TLS_PHASE_MAX]; /* USEC_INFINITY: none */
        int epoll_fd;              /* all sockets of connections; data: TlsSide */
        sd_event_source *io;       /* @epoll_fd */
        sd_event_source *more;     /* on while @busy has connections */
        sd_event_source *timer;
        usec_t timer_at;           /* when @timer is due; USEC_INFINITY: off */
        sd_event_source *drained;  /* end of @drain_usec */
        List phases[_TLS_PHASE_MAX]; /* TlsConnection.link, earliest end first */
        List busy;                 /* TlsConnection.busy: used their turn up, and can go on */
        List dead;                 /* TlsConnection.link: freed after the turn, whose events may refer to them */
        unsigned n_handshakes;     /* length of phases[TLS_HANDSHAKE] */
        usec_t now;                /* time of this turn; CLOCK_MONOTONIC */
        uint8_t *scratch;          /* FLOW_SIZE bytes, for copies */
} TlsStage;

/* Bytes that are moved at a time: the most that a record has (RFC 8446 5.1). */
#define FLOW_SIZE ((size_t) 16384)

/* A sign of life for the supervisor. */
typedef struct StageBeat {
        uint32_t n_busy;  /* clients now */
        uint64_t n_taken; /* clients since the start */
} StageBeat;

/* One direction. */
typedef struct TlsFlow {
        uint8_t *rest;  /* bytes that the destination had no room for; NULL: none. Owned */
        size_t n_rest;  /* length of @rest */
        size_t rest_at; /* bytes of @rest that were written */
        bool has_ended; /* the source has ended */
        bool is_shut;   /* the destination got the end */
        bool is_discarded; /* the destination takes no more bytes; those that come are dropped */
} TlsFlow;

struct TlsConnection {
        TlsStage *stage;
        List link;            /* TlsStage.phases or TlsStage.dead */
        List busy;            /* TlsStage.busy */
        TlsPhase phase;
        usec_t since;         /* begin of the phase, or of the last turn that moved bytes */
        usec_t begin;         /* when it was first offered to the broker */
        TlsSide client;
        TlsSide plain;        /* our end of the pair */
        bool is_sent;         /* it is in StageBroker.sent */
        bool is_prepared;     /* the kernel's TLS is on, without keys, and @seen watches the handshake */
        bool is_in_kernel;    /* it has the keys, so @worker_fd is the client's own socket, and @client has none */
        KeysSeen seen;
        int worker_fd;        /* the worker's end of the pair, or the client's own socket, until the broker has it */
        struct fdpass *info;  /* until the message is made */
        Handshake handshake;
        HandshakeStep step;   /* result of the last handshake_step() */
        SSL *ssl;             /* after the handshake; owned */
        uint8_t *message;     /* header of the message; owned */
        size_t n_message;     /* bytes of @message */
        TlsFlow up;           /* from the client to the worker */
        TlsFlow down;         /* from the worker to the client */
};

/* The defaults of fdpass-tls(8). stage_init() and stage_done() continue from here. */
#define TLS_STAGE_NULL(_log)                                                    \
        {                                                                       \
                .service = {                                                    \
                        .log = (_log),                                          \
                        .what = "clients",                                      \
                        .credits = 32,                                          \
                        .n_max = INT32_MAX,                                     \
                        .exit_idle_usec = USEC_INFINITY,                        \
                },                                                              \
                .policy = POLICY_OPTIONS_NULL,                                  \
                .return_path = FDPASS_RETURN_PATH,                              \
                .n_processes = 1,                                               \
                .handshakes_max = 1024,                                         \
                .source_max = 64,                                               \
                .pairs = { .listen_fd = -EBADF },                               \
                .limits = { [TLS_HANDSHAKE] = 5 * USEC_PER_SEC },               \
                .status_fd = -EBADF,                                            \
                .beat_usec = USEC_INFINITY,                                     \
                .control_fd = -EBADF,                                           \
                .renewal_fd = -EBADF,                                           \
                .epoll_fd = -EBADF,                                             \
        }

/* stage-loop.c */

/*
 * Continues from TLS_STAGE_NULL. Call it after service_init(). The process ignores SIGPIPE from then on. Logs what is
 * wrong, and returns 0 or a negative errno.
 */
int stage_init(TlsStage *s);
void stage_done(TlsStage *s);

/* stage-prepare.c */

/*
 * Reads certificates and options, and listens for new certificates, all without an event loop. stage_init() does it if it
 * was not done before. Logs what is wrong, and returns 0 or a negative errno.
 */
int stage_prepare(TlsStage *s);

/*
 * Reads the certificates, and uses them for new clients. Without any the stage goes on: it refuses clients until there
 * is one. TlsStage.report was begun, and has what was wrong with the files; it is ended and written. Logs, and returns 0 or
 * -ENOMEM.
 */
int stage_load(TlsStage *s, const CertificateFiles *files);

/* stage-renewal.c */

/* Logs why new certificates were not read. */
void stage_complain_of_renewal(TlsStage *s, int error);

/* Takes new certificates from now on. Returns 0 or a negative errno. */
int stage_renewal_init(TlsStage *s);
void stage_renewal_done(TlsStage *s);

/* stage-connection.c */

/* Makes a connection of @client_fd, which is consumed with @info on success. Returns NULL if there is no memory. */
TlsConnection *stage_connection_new(TlsStage *s, int client_fd, struct fdpass *info);
void stage_set_phase(TlsConnection *c, TlsPhase phase);

/* Sets the timer to the end of the phase of @c, unless it is due earlier. */
void stage_arm_timer(TlsConnection *c);

/* When the time of the present phase ends. */
usec_t stage_phase_end(const TlsConnection *c);

/* Sets the socket of a side and waits for its events. @fd is consumed on success. Returns 0 or a negative errno. */
int stage_watch(TlsConnection *c, TlsSide *side, int fd);

/* Waits for no more events. Returns the descriptor of the side, which the caller owns. */
int stage_unwatch(TlsConnection *c, TlsSide *side);
void stage_close_side(TlsConnection *c, TlsSide *side);

/* Gives a connection that is busy one more turn. */
void stage_go_on_later(TlsConnection *c);

void stage_flow_done(TlsFlow *f);

/* Ends a connection. _reset() lets both ends see an error, because the streams are incomplete. */
void stage_connection_free(TlsConnection *c);
void stage_connection_reset(TlsConnection *c);

/* Ends a client after our last bytes to it were written. They would be lost if it were closed with unread bytes. */
void stage_linger(TlsConnection *c);

/* Throws away what a client sends that was ended. */
void stage_discard(TlsConnection *c);

/* stage-handshake.c */

/* Takes a client (Service.take). */
void stage_take(Service *service, int client_fd, struct fdpass *info, const ServiceSocket *from);

/* Goes on with the handshake. May end the connection. */
void stage_handshake(TlsConnection *c);

/* stage-kernel.c */

/* Finds out what the kernel can do, and logs it. */
void stage_kernel_init(TlsStage *s);

/* Prepares a client before its handshake. Returns 0, or -ENOTCONN: it has ended. */
int stage_kernel_prepare(TlsConnection *c);

/* Result of stage_kernel_leave(). */
enum {
        STAGE_KERNEL_PAIR = 1, /* the client needs a pair */
};

/*
 * Leaves a client to the kernel after its handshake. Returns 0 (is_in_kernel), STAGE_KERNEL_PAIR, or a negative errno:
 * its socket can no longer be used.
 */
int stage_kernel_leave(TlsConnection *c);

/* Ends a client that is_in_kernel, with @answer, which may be NULL. */
void stage_kernel_refuse(TlsConnection *c, const char *answer);

/* stage-return.c */

/* Hands the client back after its handshake. May end the connection. */
void stage_return(TlsConnection *c);

/* Tries once more. */
void stage_return_try(TlsConnection *c);

/* Uses the broker's answer. RECEIPT_CLOSED: the broker may have the client. RECEIPT_RESET: it has not. */
void stage_return_settle(TlsConnection *c, Receipt receipt);

/* Ends a client that no worker can get. It has an answer that it understands, if its protocol is HTTP/1. */
void stage_return_refuse(TlsConnection *c);

/* stage-broker.c */

/* @settle is called for each answer. It calls nothing of this file but stage_broker_forget(). */
void stage_broker_init(StageBroker *b, void (*settle)(TlsConnection *c, Receipt receipt));
void stage_broker_done(TlsStage *s);

/*
 * Sends the message of @c with its worker_fd. StageBroker.settle() follows, unless stage_broker_forget() was called.
 * Connects if need be. Returns 0 or a negative errno: nothing was sent. -EAGAIN: later there may be room.
 */
int stage_broker_send(TlsConnection *c);

/* The answer about @c matters no more. */
void stage_broker_forget(TlsConnection *c);

/* The connection has answers, or its other end has gone. */
void stage_broker_on_event(TlsStage *s, bool has_ended);

/* stage-flow.c */

/* Moves bytes in both directions. May end the connection. */
void stage_flow(TlsConnection *c);
