/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Connections that bring clients: their lists, their answers, and what workers are told. handback.c opens them. */

#include <sys/socket.h>

#include "broker/core.h"
#include "handoff/protocol.h"

/* Largest number of accepted connections. Further ones wait in the backlog. */
#define HANDBACK_CONNS_MAX 64

/* A connection that brings clients: any number of messages, or one byte in the stream form. */
typedef struct ReturnConn {
        Broker *broker;
        Listener *listener;
        List link;              /* Handback.conns, the longest silent one first; or Handback.ways */
        uint32_t worker;        /* Worker.number of the worker whose own it is; 0: it was accepted */
        int fd;
        sd_event_source *io;    /* NULL: it is a worker's own, whose events the loop reports (watch_return()) */
        usec_t active_at;
        bool has_told;          /* Worker.compares_next was set */
        bool wants_drains;      /* the worker is told of drains, and does not want to know what was taken */
        bool is_drained;        /* what the worker was told last */
        bool has_more;          /* several messages were there at the last event */
        uint8_t answer;         /* an answer that the socket had no room for yet; 0: none */
        struct ucred sender;
} ReturnConn;

struct Handback {
        Listener *self;         /* the first return socket with messages; NULL: none */
        List conns;             /* ReturnConn.link */
        size_t n_conns;
        List ways;              /* ReturnConn.link: return connections of workers */
        size_t n_ways;
        Timer timer;            /* turns on connections and listeners that wait for a place */
        Timer tell_timer;       /* tells workers of drains whose sockets were full */
        uint8_t buffer[FDPASS_MESSAGE_MAX];
};

/*
 * Initialises the lists and timers of b->handback. Returns 0 or a negative errno. In both cases handback_conns_done() is
 * to be called.
 */
int handback_conns_init(Broker *b);
void handback_conns_done(Broker *b);

/*
 * Takes messages on @fd, which is consumed on success. @worker is ReturnConn.worker. sd-event calls @handler for accepted
 * connections. Returns 0 and the connection, or a negative errno.
 */
int handback_conn_new(Broker *b, Listener *l, int fd, uint32_t worker, sd_event_io_handler_t handler, ReturnConn **ret);

/* Ends the connection. The helper closes it, because its queue may hold descriptors. */
void handback_conn_end(ReturnConn *conn);

/*
 * Returns the number by which the helper knows the sender, if a call on a descriptor of it hangs. Numbers of workers
 * are lower. With PrivateUsers= most users have the same number here (user_namespaces(7)).
 */
uint32_t handback_conn_owner(const ReturnConn *conn);

/* Tries again in 250 ms: a connection that had no room for its answer or client, or the listeners (@h alone). */
void handback_conn_pause(ReturnConn *conn);
void handback_conns_arm(Handback *h);

/* Makes the connection the one that was active last. */
void handback_conn_touch(ReturnConn *conn);

/*
 * Sends the answer that is left. Returns 0, HANDOFF_CLOSED if the sender does not read its answers, or a negative
 * errno.
 */
int handback_conn_give_answer(ReturnConn *conn);

/* Tells the worker whether the host or the worker is drained, unless it knows; later if its socket is full. */
void handback_conn_tell_drain(ReturnConn *conn);

/* The same for all workers. */
void handback_conns_tell_drains(Broker *b);
