/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FDPASS_H
#define FDPASS_H

/*
 * libfdpass: the worker's end of the handoff, see libfdpass(3) and fdpass-protocol(7).
 *
 *      fd = fdpass_accept(SD_LISTEN_FDS_START, SOCK_CLOEXEC, NULL);
 *
 * is to a worker's socket what accept4(2) is to a listening one: it returns the socket of the next client.
 *
 * Errors are returned as negative errno values; errno itself is of no meaning. The library has no state of
 * its own: all functions may be called from several threads at once, as long as each struct fdpass is used
 * by one at a time. No function changes signal handling, and none raises SIGPIPE.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What was told of one client, and with FDPASS_DEFER the connection that waits for the answer. */
struct fdpass;

/* The broker's connections that are kept, and what has come by them. */
struct fdpass_receiver;

/* Flags of fdpass_accept(), beside SOCK_CLOEXEC and SOCK_NONBLOCK of accept4(2). */
enum {
        FDPASS_DEFER = 1,       /* no receipt yet: fdpass_taken(), fdpass_decline() or fdpass_reject() gives it */
        FDPASS_WAIT = 4,       /* fdpass_receive() only: wait for a client */
        FDPASS_ANY_SENDER = 2  /* take clients from whoever can connect, see "SECURITY" in libfdpass(3) */
};

/*
 * Takes the next client from @fd, the socket that systemd passed: a listening AF_UNIX stream or seqpacket
 * socket, or one such connection (Accept=yes). Waits for a client unless @fd has O_NONBLOCK. Having accepted a connection it waits for its message, which the broker sends right behind,
 * up to 1 s where @fd blocks, and 10 ms where not.
 *
 * Returns the client's socket, which the caller owns, and where @ret is not NULL puts an object for
 * fdpass_free() there, which holds no descriptor but with FDPASS_DEFER. O_NONBLOCK and FD_CLOEXEC are as
 * @flags say. Without FDPASS_DEFER the sender has its receipt when this returns.
 *
 *   -EAGAIN           there is no client (@fd has O_NONBLOCK)
 *   -EINTR            a signal came, whose handler was not set with SA_RESTART (signal(7))
 *   -EMFILE, -ENFILE  there is no room for two more descriptors. Nothing was taken; wait until one is closed
 *   -ENOMEM           there is no memory for the object. The client stays with the sender
 *   -ECONNABORTED     a handoff came to nothing: the sender went away or said nothing, or the descriptor was lost
 *                     on the way (the sender is told, and keeps the client)
 *   -EPERM            the sender is not one that this socket is for; nothing was received from it
 *   -EPROTO           the message was none, or had no client's socket with it; all that came was closed
 *   -EPROTONOSUPPORT  the message is of a version that this library doesn't know; the sender is told
 *   -EMSGSIZE         @ret is NULL, and some of the client's bytes came with the message: the sender is told
 *   -ENOTCONN         @fd is a connection (Accept=yes), and will bring no more clients
 *   -EINVAL           unknown flags, or FDPASS_DEFER where @ret is NULL
 *   -ENOTSOCK         @fd is no socket
 *   -EOPNOTSUPP       @fd is a socket of another family, or a datagram socket: that form would have no receipt
 *
 * -ECONNABORTED to -EMSGSIZE concern one handoff only: the next call is for the next client.
 */
int fdpass_accept(int fd, int flags, struct fdpass **ret);

/*
 * The same for many clients a second: a receiver keeps the broker's connections, so that further clients come on them,
 * several at a time, instead of on a new one each. That is for SOCK_SEQPACKET; other sockets work, but are served
 * as by fdpass_accept().
 *
 *      fdpass_receiver_new(SD_LISTEN_FDS_START, 32, &receiver);
 *      fd = fdpass_receive(receiver, SOCK_CLOEXEC | FDPASS_WAIT, NULL);
 *
 * @fd stays the caller's and open for as long as the receiver is used, and gets O_NONBLOCK: nobody may wait on it alone
 * while there are clients on another connection. @credits, up to 256, is how many clients may be
 * on their way to this process beyond the ones that it has taken: as many as it can begin with in a moment. They
 * wait for this process even if another one of the same worker is idle, so processes that serve one client at a time use
 * fdpass_accept(), or 0. A receiver is used by one thread at a time, and not in a forked child; objects of its clients
 * may go to other threads, and outlive it.
 *
 * fdpass_receiver_fd() is to be polled in place of @fd: it is readable (POLLIN) when fdpass_receive() has something to
 * do. It belongs to the receiver. With it, call fdpass_receive() until it returns -EAGAIN: clients that came together
 * are given out one by one, and don't make it readable again.
 *
 * fdpass_receive() is as fdpass_accept() with the receiver's @fd. It waits for a client with FDPASS_WAIT only.
 *
 * fdpass_receiver_free() closes its connections; clients that were sent meanwhile go to another worker, or come again.
 * But the receipt of those that came together is given with the first of them (without FDPASS_DEFER), so call
 * fdpass_receive() until it returns -EAGAIN before: who is left then is lost. NULL is allowed.
 *
 *   -EINVAL           @credits is too high
 *   -ENOMEM, -EMFILE, -ENFILE  there is no memory, or no room for one more descriptor
 *   -EPERM, -EBADF    @fd is no socket
 */
int fdpass_receiver_new(int fd, unsigned credits, struct fdpass_receiver **ret);
void fdpass_receiver_free(struct fdpass_receiver *r);
int fdpass_receiver_fd(const struct fdpass_receiver *r);
int fdpass_receive(struct fdpass_receiver *r, int flags, struct fdpass **ret);

/*
 * The answers, once per object that FDPASS_DEFER was given for; they close the connection.
 *
 *   fdpass_taken()    the client is ours, we begin with it
 *   fdpass_decline()   another worker should have it. We neither read from nor wrote to it
 *   fdpass_reject()    no worker should have it: the broker tells the client, in its protocol
 *
 * After the latter two the caller closes its descriptor of the client, and uses it no more. -EALREADY: it
 * was answered.
 */
int fdpass_taken(struct fdpass *f);
int fdpass_decline(struct fdpass *f);
int fdpass_reject(struct fdpass *f);

/* Frees the object; what was not answered is taken. NULL is allowed. */
void fdpass_free(struct fdpass *f);

/*
 * What was told of the client. Everything belongs to the object, and lives as long. NULL, with a length of
 * 0, where it was not told. Strings end with NUL and have no control characters.
 */

/* The client's address and the one that it connected to: a proxy's word in front of the broker, or the socket's. */
const struct sockaddr *fdpass_peer(const struct fdpass *f, socklen_t *ret_len);
const struct sockaddr *fdpass_local(const struct fdpass *f, socklen_t *ret_len);

const char *fdpass_authority(const struct fdpass *f); /* host of HTTP, or server name of TLS */
const char *fdpass_protocol(const struct fdpass *f);  /* "http", "tls", … */
const char *fdpass_route(const struct fdpass *f);     /* the unit that the route is from */
const char *fdpass_listener(const struct fdpass *f);  /* FileDescriptorName= of the public socket */

const void *fdpass_alpn(const struct fdpass *f, size_t *ret_len);      /* one protocol's name */
const void *fdpass_unique_id(const struct fdpass *f, size_t *ret_len);
const void *fdpass_data(const struct fdpass *f, size_t *ret_len);      /* from the worker that had it before */

/* What the client has sent already, and its socket doesn't hold any more: read this first. */
const void *fdpass_consumed(const struct fdpass *f, size_t *ret_len);

/* The value of the first TLV of a type 0 to 255 of the PROXY protocol or of fdpass-protocol(7): SSL, for one. */
const void *fdpass_tlv(const struct fdpass *f, unsigned type, size_t *ret_len);

/* When the sender gives the client up, in µs of CLOCK_MONOTONIC; UINT64_MAX where it doesn't. */
uint64_t fdpass_deadline(const struct fdpass *f);

/* Who sent the message: the user's ID, (uid_t) -1 where the kernel doesn't tell. */
uid_t fdpass_sender(const struct fdpass *f);

/* How to hand a client back. All zero but @size is: to the broker, to be parked. */
struct fdpass_return_args {
        size_t size;                /* sizeof(struct fdpass_return_args) */
        const char *path;           /* the broker's return socket; NULL: /run/fdpass/return.sock */
        const char *name;           /* the route that is to have it, by its InternalName=; NULL: park it */
        const void *data;           /* for that route's worker: at most 8192 bytes */
        size_t data_len;
        const void *consumed;       /* what we read from it and the next one is to read: at most 65536 bytes */
        size_t consumed_len;
        const struct fdpass *about; /* what was told of it, to be told again; NULL: nothing */
};

/*
 * Gives @client_fd back to the broker, and clears its O_NONBLOCK. Never waits. The descriptor is not
 * consumed: after success the caller closes it, without having touched the socket again; after an error it
 * is the caller's as before. Success means that the message lies in the broker's queue, which outlives it
 * (systemd holds the socket).
 *
 *   -EAGAIN           the broker's queue is full, or too many descriptors are on their way: try later, or close it
 *   -ENOENT, -ECONNREFUSED  there is no broker
 *   -EACCES           we may not hand back: only root and the return socket's group may
 *   -EPROTOTYPE       @client_fd is not a connected stream socket of an IP family, or the return socket is none
 *   -EMSGSIZE         the name, the data or the consumed bytes are too long
 *   -EINVAL           the name has control characters or is empty, or @size is not ours
 *
 * and those of connect(2) and sendmsg(2).
 */
int fdpass_return(int client_fd, const char *path, const char *name, const void *data, size_t data_len);
int fdpass_return_with(int client_fd, const struct fdpass_return_args *args);

/* What fdpass_confine() leaves. */
enum {
        FDPASS_MAY_CONNECT = 1, /* connect(2) and bind(2), except for TCP: fdpass_return(), a database over AF_UNIX */
        FDPASS_MAY_LISTEN = 2   /* listen(2) */
};

/*
 * Forbids the process the ways by which a client's socket leads into the host's network. A client's socket belongs to
 * the network namespace of the port that it came by, whatever PrivateNetwork= says: after connect(2) with AF_UNSPEC it
 * can be connected there again, or listen there.
 *
 * Refuses connect(2), bind(2), listen(2), sendto(2) and the like with MSG_FASTOPEN, and io_uring_setup(2), with EPERM
 * and for sockets of all families, except for what @flags leaves. With FDPASS_MAY_CONNECT Landlock forbids connect(2)
 * and bind(2) for TCP, with EACCES (Linux 6.7). FDPASS_MAY_LISTEN leaves a client's socket able to listen.
 *
 * This sets no_new_privs, holds for the calling thread and all that it starts, and can't be undone: call it before the
 * first thread and the first client. accept4(2), fdpass_accept(), fdpass_receive() and sd_notify(3) still work.
 * Programs of another architecture than the caller's can't be run any more.
 *
 *   -EOPNOTSUPP       the kernel has no Landlock with rights for TCP, and so connect(2) and bind(2) stay with
 *                     FDPASS_MAY_CONNECT. All else is in force
 *   -ENOSYS           this architecture's calls are not known
 *   -EINVAL           unknown flags; nothing was changed
 *
 * and those of prctl(2) and landlock_restrict_self(2).
 */
int fdpass_confine(unsigned flags);

#ifdef __cplusplus
}
#endif

#endif
