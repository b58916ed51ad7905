/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One handoff: one client passed to one worker over an AF_UNIX connection. handoff/protocol.h describes the forms, and
 * handoff/message.h writes and reads the metadata.
 *
 *   handoff.c          the sender: connections and messages
 *   receipt.c          answers, and the receipt that the sender reads
 *   receive.c          the receiver: messages, and which descriptors are clients
 *
 * The stream form is the one that mod_proxy_fdpass, OpenSSH's mm_send_fd() and `nc -F` send: exactly one byte 0x00 with
 * exactly one descriptor, cmsg_len = CMSG_LEN(sizeof(int)), and nothing before or behind it.
 *
 * The receipt is the kernel's own. After the worker has closed the connection or died, the sender reads
 *
 *   EOF           the message was received: the client is the worker's;
 *   ECONNRESET    the message was still unread: the client is the sender's. unix_release_sock() in Linux sets this
 *                 error if the receive queue is not empty, and before it frees the queue;
 *   one byte      the worker's own answer (protocol.h). Bytes behind it are ignored.
 *
 * All functions return 0 or a negative errno unless they say otherwise. None of them raises SIGPIPE. No function waits,
 * except for those that receive with flags of the caller.
 */

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "basic/macro.h"
#include "handoff/protocol.h"
#include "probe/slice.h"

/*
 * Has the kernel refuse descriptors on the AF_UNIX socket @fd and on the connections accepted from it: the sender gets
 * EPERM (SO_PASSRIGHTS, Linux 6.16). Returns -ENOPROTOOPT on older kernels.
 *
 * An unwanted descriptor has to be closed, and this close may wait without limit: by SO_LINGER, by FUSE, or by sockets
 * in flight inside the descriptor. If the receiver has no room for it, the kernel closes it, inside recv(2).
 */
int handoff_refuse_rights(int fd);

/* True if the kernel lacks SO_PASSRIGHTS, so that any message may bring descriptors. */
bool handoff_may_bring_rights(void);

/* Undoes handoff_refuse_rights(). Returns 0, also if the kernel never refuses, or a negative errno. */
int handoff_accept_rights(int fd);

/*
 * Does recv(2) from a sender that may send descriptors along. A message with descriptors stays unread: this returns -1
 * with errno EBADMSG, and the caller has to close the connection where a wait does no harm (helper/helper.h).
 */
ssize_t handoff_recv(int fd, void *p, size_t size, int flags);

/*
 * Connects to a worker's socket of @type, SOCK_STREAM or SOCK_SEQPACKET. Returns an owned fd with O_NONBLOCK, or
 * -errno:
 *
 *   -EAGAIN           the worker's backlog is full. AF_UNIX has no EINPROGRESS and no poll event for this (connect(2))
 *   -ENOENT, -ECONNREFUSED  no worker listens
 *   -EACCES           the caller may not write to the socket's file
 *   -EPROTOTYPE       the socket has another type
 *
 * and the others of connect(2).
 */
int handoff_connect_type(const struct sockaddr_un *worker, socklen_t len, int type);

/*
 * Sends @client_fd on @conn_fd in the stream form. The descriptor is *not* consumed: the worker gets a duplicate, and
 * the sender keeps its own until the receipt. After an error nothing was sent. -ETOOMANYREFS: more descriptors of this
 * user are in flight than its RLIMIT_NOFILE (unix(7)).
 */
int handoff_send(int conn_fd, int client_fd);

/*
 * Does the same in the form with metadata: a @header of message_encode() and, behind it, the @consumed bytes, which may
 * be empty.
 *
 *   -EMSGSIZE         the message is larger than the socket's send buffer
 */
int handoff_send_message(int conn_fd, Slice header, Slice consumed, int client_fd);

/*
 * Sends @n clients on a persistent connection, with their @headers one behind the other. -EINVAL: @n is 0 or more than
 * FDPASS_PERSISTENT_MAX.
 */
int handoff_send_batch(int conn_fd, Slice headers, const int *client_fds, size_t n);

/* State of the message that was sent on a connection to a worker. */
typedef enum Receipt {
        RECEIPT_NONE,       /* the message is in the worker's backlog, or unread in its connection */
        RECEIPT_RECEIVED,   /* the worker has read the message, and has not closed the connection */
        RECEIPT_CLOSED,     /* the worker has read the message, and closed the connection without an answer */
        RECEIPT_TAKEN,      /* answer FDPASS_ANSWER_TAKEN, or an unknown one */
        RECEIPT_REFUSED,    /* answer FDPASS_ANSWER_REFUSED: another worker should have the client */
        RECEIPT_ERROR,      /* answer FDPASS_ANSWER_ERROR: no worker should have the client */
        RECEIPT_RESET,      /* the worker has gone without reading the message */
        RECEIPT_RETURN,     /* answer FDPASS_ANSWER_RETURN: taken, and the worker hands clients back on the connection */
        RECEIPT_RETURN_TELL, /* the same with FDPASS_RETURN_TELL */
        RECEIPT_PERSISTENT, /* an answer of eight bytes: the worker makes the connection persistent */
} Receipt;

/* One answer on a persistent connection. */
typedef struct PersistentAnswer {
        Receipt receipt; /* RECEIPT_TAKEN, _REFUSED or _ERROR */
        uint16_t first;  /* number of the first client that the answer is about */
        uint16_t n;      /* number of clients from there on; 0: only @limit is new */
        uint16_t limit;  /* clients with numbers below this one may be sent */
} PersistentAnswer;

/*
 * Reads the receipt. With @look_into_queue one more system call asks for the amount of unread bytes (SIOCOUTQ), which
 * tells RECEIPT_RECEIVED from RECEIPT_NONE. Without it the receipt of a worker that leaves the connection open comes
 * with its close(2).
 */
Receipt handoff_receipt(int conn_fd, bool look_into_queue);

/*
 * The same with the conditions that keep the connection open. *ret_answer is set with RECEIPT_PERSISTENT. It is NULL if the
 * message had no PERSISTENT.
 */
Receipt handoff_receipt_or_persistent(int conn_fd, bool look_into_queue, PersistentAnswer *ret_answer);

/*
 * Sends one of FDPASS_ANSWER_…. Returns 0 also if the other end has gone, because then no sender waits for the answer.
 * -EAGAIN: the send buffer is full of answers that the sender did not read.
 */
int handoff_answer(int conn_fd, uint8_t answer);

/* Keeps the connection as a return connection that is told of drains. Returns 0 or a negative errno. */
int handoff_answer_return(int conn_fd);

/* Sends an answer on a persistent connection, see PersistentAnswer. After an error the connection is of no use. */
int handoff_answer_persistent(int conn_fd, uint8_t answer, uint16_t first, uint16_t n, uint16_t limit);

/* Answers that one call of handoff_receive_answers() takes at most. */
#define HANDOFF_ANSWERS_MAX 4

/*
 * Receives the answers on a persistent connection. The first *ret_n of @ret are valid whatever this returns:
 *
 *   0                 there may be more answers
 *   -EAGAIN           there are no more for now
 *   HANDOFF_CLOSED    the worker has closed the connection
 *   HANDOFF_INVALID   the worker has sent something else than an answer
 *   another -errno    the connection has failed
 */
int handoff_receive_answers(int conn_fd, PersistentAnswer ret[static HANDOFF_ANSWERS_MAX], size_t *ret_n);

/* Conditions of the functions above and below. */
enum {
        HANDOFF_CLOSED = 1, /* the sender has gone without a message */
        HANDOFF_INVALID,    /* the message has wrong bytes or a wrong number of descriptors. All that came was closed */
        HANDOFF_NO_FD,      /* descriptors were lost on the way: this process is at its RLIMIT_NOFILE, or a security
                             * module objected (recvmsg(2), MSG_CTRUNC) */
        HANDOFF_NO_CLIENT,  /* the descriptor is not a client's socket */
};

/*
 * Receives one message of the stream form. @conn_fd waits or not as its O_NONBLOCK says. *ret_client_fd is an owned fd
 * with FD_CLOEXEC. Returns 0, a condition, or -errno (-EAGAIN: no message yet).
 */
int handoff_receive(int conn_fd, int *ret_client_fd);

/*
 * Receives one message of either form, with @flags of recvmsg(2): at most @size bytes into @p, and the client. A longer
 * message is HANDOFF_INVALID, so @size is 2 for a stream, where bytes behind the first are no message of their own. A
 * message of no bytes and no descriptor is HANDOFF_CLOSED, because SOCK_SEQPACKET reads the end of the connection
 * alike.
 */
int handoff_receive_message(int fd, int flags, uint8_t *p, size_t size, size_t *ret_n, int *ret_client_fd);

/*
 * Does the same on a persistent connection. *n_fds is the room in @ret_fds, and then the number of clients, which the
 * caller owns. Unless this returns 0 there are none. With HANDOFF_NO_FD the *ret_n bytes in @p are valid, so that the
 * headers tell how many clients were lost.
 */
int handoff_receive_batch(int fd, int flags, uint8_t *p, size_t size, size_t *ret_n, int *ret_fds, size_t *n_fds);

/* Descriptors that one message may have (SCM_MAX_FD, unix(7)). */
#define HANDOFF_RIGHTS_MAX 253

/*
 * Looks at the next message without taking it. Returns 0 if it has bytes, at most @size, and one descriptor; a
 * condition; or
 * -errno. Whatever this returns, the caller owns *ret_n_fds copies of descriptors, and has to close them where a wait
 * does no harm. With HANDOFF_NO_FD the message must not be taken, because one of the copies is missing: the kernel
 * would close the last one, inside recvmsg(2).
 */
int handoff_peek_message(int fd, uint8_t *p, size_t size, size_t *ret_n, int ret_fds[static HANDOFF_RIGHTS_MAX],
                         size_t *ret_n_fds);

/* Takes that message off @fd while all copies are open. @n: its bytes, which matter on a stream. */
int handoff_discard(int fd, size_t n);

/*
 * Checks that @client_fd is a connected socket of TCP or MPTCP. Returns 0, HANDOFF_NO_CLIENT (also after a reset), or
 * -errno. It takes no lock of the socket, so another process that holds the socket can't make the caller wait.
 */
int handoff_check_connected(int client_fd);

/*
 * True if a socket of TCP or MPTCP is connected for certain, by one call that takes no lock: a socket that listens, or is
 * connecting, is not writable. False also for a connected one whose send buffer is full.
 */
bool handoff_is_connected(int client_fd);

/*
 * Checks that a handoff may carry @client_fd: a stream socket of an IP family, or with @with_unix of AF_UNIX, that does
 * not listen. Returns 0, HANDOFF_NO_CLIENT, or -errno.
 */
int handoff_check_client(int client_fd, bool with_unix);

/*
 * Checks that a descriptor is free for the client of the next message, by a duplicate of @any_fd. Returns 0, or -EMFILE
 * or
 * -ENFILE: then the message has to stay unread, because recvmsg(2) would drop the client. Another thread may still take
 * the free descriptor.
 */
int handoff_check_room(int any_fd);
