/* SPDX-License-Identifier: MIT-0 */
#pragma once

/*
 * Which request of a client is next, and whose it is. A client that came with a scope (handoff/scope.h) is followed
 * from its accept() on: the program's reads give the ends of requests, its writes those of responses. Where the program
 * is about to read the first bytes of a request, these are looked at. If the request is another worker's, the client is
 * handed back to the broker, and the program sees the end of the connection.
 *
 * A client stays with the program for good if its framing is unclear, or if it sends a request before the response to
 * the last one is written. The end of an own request can't be mistaken then, and responses can't be mixed.
 */

#include <sys/epoll.h>

#include "handoff/scope.h"
#include "workers/preload/back.h"
#include "workers/framing.h"
#include "workers/preload/preload.h"

/* A followed client, filed under its descriptor. One thread at a time reads and writes a client. */
typedef struct Follow {
        atomic_bool is_on;
        atomic_bool is_gone;  /* handed back: the program sees the end of the connection */
        atomic_bool is_idle;  /* between two requests: the thread that clears it has the next one, or hands back */
        bool is_head;         /* the request is HEAD */
        bool is_shared;       /* another process has it too */
        bool is_last;         /* the client wants no further request */
        bool has_request;     /* a request was read; the first one is the worker's, because the broker routed it */
        bool is_unseen;       /* the broker has not looked at the first request, so that is compared, too (NEXT) */
        bool is_changed;      /* the program has set options that the next worker is not to have */
        bool is_corked;       /* TCP_CORK is on */
        bool is_replaced;     /* a socket at its end has the client's number (follow_replace()) */
        int fd;               /* its descriptor */
        int n_open;           /* requests read whole, less responses written whole; below 0: the response came first */
        unsigned process;     /* forks_process() of the process that accepted the client */
        unsigned n_forks;     /* forks_count() at that time */
        uint64_t idle_msec;   /* CLOCK_MONOTONIC_COARSE when the client came, or the last response ended */
        atomic_int epoll_fd;  /* where the program waits for the client; -EBADF: nowhere that is known */
        struct epoll_event event; /* what it waits for there */
        uint64_t cookie;      /* of the client's socket */
        Framing in;           /* requests */
        Framing out;          /* responses */
        Scope scope;          /* points into @bytes */
        uint16_t n_header;
        uint8_t bytes[BACK_HEADER_MAX + FDPASS_SCOPE_MAX]; /* the header that goes back, then the scope */
} Follow;

/* Set once a client is followed in this process. Nothing else is looked at before. */
extern atomic_bool follow_is_used;

/*
 * Descriptors of clients that are to go because of a drain, and are between two requests now (idle.h). With a number above
 * the maximum, any client may be one.
 */
#define FOLLOW_LEAVING_MAX 64
extern atomic_uint follow_n_leaving;
extern atomic_int follow_leaving[FOLLOW_LEAVING_MAX];

/* Pages of 256 descriptors, mapped as they are needed. */
#define FOLLOW_PAGE 256
#define FOLLOW_PAGES 4096 /* 1,048,576 descriptors: the default of fs.nr_open, proc_sys_fs(5) */
extern _Atomic(Follow *) follow_pages[FOLLOW_PAGES];

/* Returns what is known of the client @fd, or NULL. */
static inline Follow *follow_find(int fd) {
        Follow *page;

        if (!atomic_load_explicit(&follow_is_used, memory_order_acquire) || fd < 0 ||
            (size_t) fd >= (size_t) FOLLOW_PAGE * FOLLOW_PAGES)
                return NULL;

        page = atomic_load_explicit(&follow_pages[(size_t) fd / FOLLOW_PAGE], memory_order_acquire);
        if (!page || !atomic_load_explicit(&page[(size_t) fd % FOLLOW_PAGE].is_on, memory_order_acquire))
                return NULL;

        return &page[(size_t) fd % FOLLOW_PAGE];
}

/*
 * Begins to follow the client @fd, whose message had the @n bytes @message, if it has a scope. @cookie is that of its
 * socket. Returns true if it is followed; *@ret_generation is that of the scope.
 */
bool follow_begin(int fd, uint64_t cookie, const uint8_t *message, size_t n, uint32_t *ret_generation);

/*
 * Has the first request of the client @fd compared with its scope, too, because the broker has not seen it (NEXT). Returns
 * false if the client is not followed.
 */
bool follow_compare_first(int fd);

/* Forgets what was known under the number @fd, which is another socket now. */
void follow_forget(int fd);

/* Ends the following of a client. It stays with the program. */
void follow_end(Follow *f);

/* Tells that the program has set an option of the client. */
void follow_note_option(Follow *f, int level, int option, const void *value, socklen_t length);

/* True if @fd is a client that was handed back. Forgets it if @fd is another socket by now. */
bool follow_is_gone(Follow *f, int fd);

/*
 * Gives a number whose client was handed back to a socket at its end, so that the program can wait for the end that it has
 * not noticed. Apache, for example, looks for a next request without an event, and takes its end for "not there yet".
 * Returns 0 or a negative errno.
 */
int follow_replace(Follow *f, int fd);

/*
 * Hands the client @fd back instead of closing it. Returns false if it is to be closed: it is not between two requests, has
 * closed its side, wants no further request, or can't be handed back.
 */
bool follow_leave(Follow *f, int fd);

/* True if the client is to go back when it is between two requests, because the host or this worker is drained. */
bool follow_is_drained(const Follow *f);

/*
 * Hands the client @fd back, which waits for nothing. Unlike follow_leave() it stays as it is if that fails. Returns 1; 0: it
 * has sent something, or is to be closed; or a negative errno of back_send().
 */
int follow_leave_idle(Follow *f, int fd);

/*
 * True if the client came just now, or the last response ended just now, and the program keeps clients for further
 * requests. Then it does not close this one for a time-out.
 */
bool follow_is_fresh(const Follow *f);

/* Tells that another process has the client @fd too. It is closed, and not left. */
void follow_note_shared(int fd);

/* Results of follow_before_read(). */
enum {
        FOLLOW_READ = 0, /* the program may read */
        FOLLOW_CLOSED,   /* the program sees the end of the connection */
        FOLLOW_WAIT,     /* the read would fail, or was interrupted: errno is set */
};

/* To be called before the program reads. @flags are those of recv(2). Waits as the read would. */
int follow_before_read(Follow *f, int fd, int flags);

/*
 * Returns how many of @size bytes the program may read. A program may answer before it has read the whole request. Then
 * it may read to the end of that request only: the next one may be there already, and may be another worker's.
 */
size_t follow_limit(const Follow *f, size_t size);

/*
 * To be called after a read that was limited and got all that it might. A program that waits for edges (EPOLLET) takes a
 * short read for an empty socket, and would never read the rest.
 */
void follow_rearm(Follow *f, int fd);

/* Tells that the program has read or written these bytes. */
void follow_on_read(Follow *f, const void *p, size_t n);
void follow_on_written(Follow *f, const void *p, size_t n);

/* The same for @n bytes of a file (sendfile(2)). */
void follow_on_sent(Follow *f, size_t n);

/* stopping.c */

/* Tells that a client was accepted on this descriptor. */
void stopping_note_accept(int listener_fd);

/* To be called before the program closes a descriptor. */
void stopping_before_close(int fd);

/* Hands a client back that is about to be closed because the process stops. Returns as follow_leave(). */
bool stopping_hands_back(Follow *f, int fd);
