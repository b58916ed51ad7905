/* SPDX-License-Identifier: MIT-0 */
#pragma once

/* Messages of a kept connection, and the answers. The caller has the connection for itself (Kept.is_busy). */

#include <stdatomic.h>
#include <sys/epoll.h>

#include "workers/preload/preload.h"

/* Clients that the broker may send before the program has accepted the first of them. */
#define KEPT_CREDITS 16

/* A listener of the program where it waits for clients of the connection. */
typedef struct KeptDoor {
        uint64_t cookie;          /* of the listener; 0: there is no such door */
        int listener_fd;
        int epoll_fd;
        struct epoll_event event; /* of the connection and of @event_fd there */
        atomic_bool is_left;      /* the program does not wait for the listener now */
        int event_fd;             /* eventfd(2), readable while clients wait that were received already */
        bool is_raised;           /* it is readable */
        unsigned n_waiting;       /* these clients */
        bool is_to_look;          /* there may be a next message, which could not be received while the other door had clients */
} KeptDoor;

typedef struct KeptClient {
        int fd;                   /* -EBADF: it was given to the program, or has its answer otherwise */
        bool is_other;            /* it is for the second door */
        ClientInfo info;
        const uint8_t *message;
        size_t n_message;
} KeptClient;

typedef struct Kept {
        atomic_bool is_used;      /* set last */
        atomic_bool is_busy;      /* a thread works with all of what follows */
        atomic_bool is_ending;    /* that thread has to end it */
        atomic_bool is_missed;    /* another thread wanted a client meanwhile */
        int fd;
        pid_t pid;                /* a child that shares our memory (vfork(2)) has descriptors of its own */
        pid_t sender;             /* process that sends on it */
        KeptDoor doors[2];        /* the listener, and the one of the other family (family.c) */
        uint16_t n_received;      /* number of the next client */
        uint16_t n_answered;
        bool is_cloexec;          /* the clients of this message have FD_CLOEXEC */
        size_t n_clients;         /* clients of the last message */
        KeptClient clients[FDPASS_PERSISTENT_MAX];
        uint8_t *bytes;           /* the last message: FDPASS_HEADER_MAX bytes, of mmap(2) */
} Kept;

/*
 * Receives a message. Returns 0; -EAGAIN: there is none; -EPIPE: the connection has to end; or a negative errno of
 * accept4(2).
 */
int kept_receive(Kept *k, const WorkerSocket *w, bool is_cloexec);

/* Gives out a client for this door. Returns 0; -EAGAIN: there is none; or -EPIPE: the connection has to end. */
int kept_give(Kept *k, size_t door, ClientInfo *ret_info, int *ret_fd);

/* Makes the eventfd of a door readable while there is something for the program to accept, and only then. */
void kept_raise(KeptDoor *d);

/* Answers for @n clients from @first on, and gives new credit. */
void kept_answer(Kept *k, uint8_t answer, uint16_t first, uint16_t n);
