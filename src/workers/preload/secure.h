/* SPDX-License-Identifier: MIT-0 */
#pragma once

/*
 * Clients whose TLS the kernel does (handoff/ktls.h), because a TLS stage is in front. The program takes them for clients
 * of TCP. So it would see EIO where the client says goodbye, and would close without a goodbye of its own. Here it sees
 * the end, and close_notify goes out before the FIN.
 *
 * A message with FDPASS_TLV_SSL tells that a client may be one: then its socket is asked once. A client of the stream form
 * comes without a message. Its socket is asked after EIO, and close_notify is sent to it from then on. So no such client
 * costs a system call otherwise.
 *
 * close(2) sends close_notify only if no other descriptor of the socket is known. So the process must not have forked since
 * the client came, nor have duplicated its descriptor, nor passed it on. Another holder may still write. The client would
 * not read what comes behind close_notify (RFC 8446 section 6.1).
 */

#include "workers/preload/preload.h"

typedef struct Secure {
        atomic_bool is_on;
        bool is_maybe;   /* the socket was not asked yet */
        bool is_shared;  /* another process, or another descriptor, has it too */
        bool is_told;    /* close_notify was sent */
        pid_t pid;        /* of the process that asked; 0: none has */
        unsigned process; /* forks_process() of the process that accepted the client */
        unsigned n_forks; /* forks_count() at that time */
        uint64_t cookie;  /* of the client's socket; 0: it was not asked yet */
} Secure;

/* Set once such a client came. Nothing else is looked at before. */
extern atomic_bool secure_is_used;

/* Pages of 1,024 descriptors, mapped as they are needed. */
#define SECURE_PAGE 1024
#define SECURE_PAGES 1024 /* 1,048,576 descriptors: the default of fs.nr_open, proc_sys_fs(5) */
extern _Atomic(Secure *) secure_pages[SECURE_PAGES];

/* Returns what is known of the client @fd, or NULL. */
static inline Secure *secure_find(int fd) {
        Secure *page;

        if (!atomic_load_explicit(&secure_is_used, memory_order_acquire) || fd < 0 ||
            (size_t) fd >= (size_t) SECURE_PAGE * SECURE_PAGES)
                return NULL;

        page = atomic_load_explicit(&secure_pages[(size_t) fd / SECURE_PAGE], memory_order_acquire);
        if (!page || !atomic_load_explicit(&page[(size_t) fd % SECURE_PAGE].is_on, memory_order_acquire))
                return NULL;

        return &page[(size_t) fd % SECURE_PAGE];
}

/* Notes the client @fd, which came with these facts. Forgets what was known of the number. */
void secure_begin(int fd, const ClientInfo *info);

/* Forgets what was known under the number @fd: it is another socket now, or another process has the client. */
void secure_forget(int fd);

/* Tells that another descriptor or process has the socket @fd too. */
void secure_note_shared(int fd);

/* True if a control buffer of the program must not reach the kernel: records that are no data would come in it. */
bool secure_takes_no_control(int fd);

/* The number of reads after EIO, when another reader takes the record each time. */
#define SECURE_READS 3

/*
 * To be called after a read of @fd that failed with EIO. @n_reads is their number. Returns true if the program's read is to
 * be done again. Otherwise *ret is what it returns, and errno is set: 0 at the end of the client's data.
 */
bool secure_explain(int fd, unsigned n_reads, ssize_t *ret);

/* The same for all reads. Plain clients pay for a comparison, and for that only if the read failed. */
static inline bool secure_reads_again(int fd, unsigned *n_reads, ssize_t *n) {
        return *n < 0 && errno == EIO && secure_explain(fd, ++*n_reads, n);
}

/* To be called after splice(2) from @fd that failed with EINVAL. Returns what the program's call returns. */
ssize_t secure_explain_splice(int fd);

/* To be called before shutdown(2) of the side that writes. */
void secure_before_shutdown(int fd);

/* To be called before the program closes @fd, or puts another file under its number. Keeps errno. */
void secure_before_close(int fd);
