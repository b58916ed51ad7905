/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One handoff: one client's socket passed to one worker, over an AF_UNIX connection.
 * handoff/protocol.h describes the forms, handoff/message.h writes and reads the metadata.
 *
 * The stream form is as mod_proxy_fdpass, OpenSSH's mm_send_fd() and `nc -F` send it: exactly one byte 0x00
 * with exactly one file descriptor, cmsg_len = CMSG_LEN(sizeof(int)), and nothing before or behind it.
 *
 * The receipt is the kernel's: once the worker has closed the connection, or died, the sender reads
 *
 *   EOF           the message was received: the client is the worker's;
 *   ECONNRESET    it was still unread (unix_release_sock() in the kernel sets it in just that case, and
 *                 before it throws the message away): the client is still ours;
 *   one byte      the worker's own answer (protocol.h), whatever comes behind it.
 */

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "basic/macro.h"
#include "handoff/protocol.h"
#include "probe/slice.h"

/*
 * Has the kernel refuse descriptors on this AF_UNIX socket, and on what is accepted from it: the sender gets EPERM. -ENOPROTOOPT
 * before Linux 6.16 (SO_PASSRIGHTS).
 *
 * A descriptor that is received and not wanted has to be closed, and that may wait for ever: by SO_LINGER, by FUSE, or by what
 * is in flight inside the descriptor. It is the kernel that closes it, inside recv(2), if the receiver has no room for it.
 */
int handoff_refuse_rights(int fd);

/* True if the kernel can't do that. */
bool handoff_may_bring_rights(void);

/*
 * recv(2) from a sender that may send descriptors along. A message with descriptors stays unread: -1, and errno is EBADMSG.
 * Then the connection has to be closed elsewhere (helper/helper.h).
 */
ssize_t handoff_recv(int fd, void *p, size_t size, int flags);

/* What a worker's connection tells of the message that was sent on it. */
typedef enum Receipt {
        RECEIPT_NONE,     /* it is still in the worker's backlog, or in its connection */
        RECEIPT_RECEIVED, /* the worker has it, and keeps the connection */
        RECEIPT_CLOSED,   /* the worker had it, and closed the connection without an answer */
        RECEIPT_TAKEN,    /* it says so itself, or something unheard of */
        RECEIPT_REFUSED,  /* … that another worker should have it */
        RECEIPT_ERROR,    /* … that no worker should */
        RECEIPT_RESET,    /* the worker went away without it */
        RECEIPT_PERSISTENT,     /* an answer about clients of a connection that the worker wants to keep */
} Receipt;

/* One answer on a kept connection. */
typedef struct PersistentAnswer {
        Receipt receipt;  /* RECEIPT_TAKEN, _REFUSED or _ERROR */
        uint16_t first;   /* the first client that it is about, */
        uint16_t n;       /* and how many from there on */
        uint16_t limit;   /* clients with numbers below it may be sent */
} PersistentAnswer;

/*
 * Connects to a worker. Never blocks: where the worker's backlog is full this returns -EAGAIN at once
 * (connect(2) on AF_UNIX knows no EINPROGRESS, and no poll event tells of a free place). Other errors are
 * connect(2)'s: -ENOENT and -ECONNREFUSED (nobody listens), -EACCES, -EPROTOTYPE (another socket type) ….
 * Returns an owned, non-blocking fd.
 */
int handoff_connect(const struct sockaddr_un *worker, socklen_t len);

/* The same with SOCK_STREAM or SOCK_SEQPACKET for @type. */
int handoff_connect_type(const struct sockaddr_un *worker, socklen_t len, int type);

/*
 * Sends @client_fd on @conn_fd. The descriptor is *not* consumed: the worker gets a duplicate, and the
 * sender keeps its copy for as long as it has no receipt. Returns 0 or a negative errno; then nothing was
 * sent.
 */
int handoff_send(int conn_fd, int client_fd);

/*
 * The same for the forms with metadata, from two places: a @header (message_encode()) and the @consumed
 * bytes behind it, of which there may be none. -EMSGSIZE: more than the socket's send buffer lets through in one message.
 */
int handoff_send_message(int conn_fd, Slice header, Slice consumed, int client_fd);

/* Sends @n clients, at most FDPASS_PERSISTENT_MAX, on a kept connection, with their @headers one behind the other. */
int handoff_send_batch(int conn_fd, Slice headers, const int *client_fds, size_t n);

/*
 * Looks for the receipt without waiting. Where the worker keeps the connection open this tells by the
 * amount of unread bytes (SIOCOUTQ) that the message was received, if @look_into_queue asks for that
 * second system call; without it, such a worker's receipt only comes with its close().
 */
Receipt handoff_receipt(int conn_fd, bool look_into_queue);

/* The same where the message had a KEEP: RECEIPT_PERSISTENT comes with its details. */
Receipt handoff_receipt_or_persistent(int conn_fd, bool look_into_queue, PersistentAnswer *ret_kept);

/* Conditions of the functions below. */
enum {
        HANDOFF_CLOSED = 1, /* the sender went away without a message */
        HANDOFF_INVALID,    /* not the bytes and the one descriptor that were expected; all that came was closed */
        HANDOFF_NO_FD,      /* the descriptor was dropped on the way: this process is at its RLIMIT_NOFILE,
                             * or a security module objected (recvmsg(2), MSG_CTRUNC) */
        HANDOFF_NO_CLIENT,  /* it is not a client's socket */
};

/*
 * The worker's end: receives one message from @conn_fd, blocking or not as the descriptor is set, and puts
 * the client, an owned fd with FD_CLOEXEC, into *ret_client_fd. Returns 0, one of the conditions above, or
 * a negative errno (-EAGAIN: nothing there yet).
 */
int handoff_receive(int conn_fd, int *ret_client_fd);

/*
 * The same for every form. At most @size bytes of the message go to @p; one that has more is
 * HANDOFF_INVALID, so on a stream, where bytes that follow are no message of their own, @size is 2. @flags
 * are those of recvmsg(2). A message of no bytes and no descriptor is HANDOFF_CLOSED (a SEQPACKET socket
 * doesn't tell it from the end).
 */
int handoff_receive_message(int fd, int flags, uint8_t *p, size_t size, size_t *ret_n, int *ret_client_fd);

/*
 * The same for a kept connection: *n_fds says how much room there is in @ret_fds, and then how many clients
 * came. Those are owned by the caller; after a condition or an error there are none. With HANDOFF_NO_FD the bytes
 * are there, and say how many clients were lost on the way.
 */
int handoff_receive_batch(int fd, int flags, uint8_t *p, size_t size, size_t *ret_n, int *ret_fds, size_t *n_fds);

/* Descriptors of one message, at most (SCM_MAX_FD in the kernel). */
#define HANDOFF_RIGHTS_MAX 253

/*
 * Looks at the next message without taking it. Never waits. Returns 0 if it has bytes, at most @size, and one descriptor; a
 * condition of the above, or a negative errno. The descriptors are copies: in all cases the caller owns *ret_n_fds of them, and
 * has to close them elsewhere. With HANDOFF_NO_FD the message must not be taken, because a descriptor is missing among them.
 */
int handoff_peek_message(int fd, uint8_t *p, size_t size, size_t *ret_n, int ret_fds[static HANDOFF_RIGHTS_MAX], size_t *ret_n_fds);

/* Takes that message, of which a stream socket had @n bytes, while all copies are open. Returns 0 or a negative errno. */
int handoff_discard(int fd, size_t n);

/*
 * Is this TCP socket connected? HANDOFF_NO_CLIENT if it is not, was reset, or is none. It takes no lock of the socket, so
 * another process can't make it wait.
 */
int handoff_check_connected(int client_fd);

/*
 * Is it something that a handoff may carry: a stream socket of an IP family, or where @with_unix says so of
 * AF_UNIX, that doesn't listen? Returns 0, HANDOFF_NO_CLIENT or a negative errno.
 */
int handoff_check_client(int client_fd, bool with_unix);

/*
 * Is there a free descriptor for the client of the next message? -EMFILE where there is none: then it has to
 * stay where it is, because recvmsg(2) would drop the client. Another thread may still be faster.
 */
int handoff_check_room(int any_fd);

/*
 * Gives one of FDPASS_ANSWER_…. The other end may be gone: then nobody wants it. -EAGAIN: so many others were not
 * read that there is no room for it.
 */
int handoff_answer(int conn_fd, uint8_t answer);

/* The same on a kept connection (protocol.h). Returns 0 or a negative errno: then the connection is of no use. */
int handoff_answer_persistent(int conn_fd, uint8_t answer, uint16_t first, uint16_t n, uint16_t limit);

/* So many are taken by one call. */
#define HANDOFF_ANSWERS_MAX 4

/*
 * The sender's end of that: all answers that are there, in so far as there is room for them. They count whatever is
 * returned, and *ret_n may be 0 then: 0 where there may be more, -EAGAIN where there are none for now, HANDOFF_CLOSED,
 * HANDOFF_INVALID, or another negative errno.
 */
int handoff_receive_answers(int conn_fd, PersistentAnswer ret[static HANDOFF_ANSWERS_MAX], size_t *ret_n);
