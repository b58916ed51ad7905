/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FDPASS_H
#define FDPASS_H

/*
 * libfdpass: the worker's end of a handoff, see libfdpass(3) and fdpass-protocol(7).
 *
 *      fd = fdpass_accept(SD_LISTEN_FDS_START, SOCK_CLOEXEC, NULL);
 *
 * is to a worker's socket what accept4(2) is to a listening one: it returns the socket of the next client.
 *
 * Errors are negative errno values; errno itself is undefined. The library has no global state. All functions may be
 * called from several threads at once, as long as one thread at a time uses each object and each receiver. No function
 * changes signal handling, and none raises SIGPIPE.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The facts about one client, and with FDPASS_DEFER the connection on which the answer is due. */
struct fdpass;

/* The persistent connections of a worker, and the clients that came on them and were not given out yet. */
struct fdpass_receiver;

/* Flags of fdpass_accept() and fdpass_receive(), beside SOCK_CLOEXEC and SOCK_NONBLOCK of accept4(2). */
enum {
        FDPASS_DEFER = 1,      /* no receipt yet: fdpass_taken(), fdpass_decline() or fdpass_reject() gives it */
        FDPASS_WAIT = 4,       /* fdpass_receive() only: wait for a client */
        FDPASS_ANY_SENDER = 2  /* take clients from every user that can connect, see SECURITY in libfdpass(3) */
};

/**
 * fdpass_accept() - take the next client
 * @fd:    the socket that systemd passed, *not* consumed: a listening AF_UNIX socket of SOCK_STREAM or SOCK_SEQPACKET,
 *         or one connection of it (Accept=yes)
 * @flags: SOCK_CLOEXEC, SOCK_NONBLOCK and the flags above, without FDPASS_WAIT
 * @ret:   NULL, or where to put the object with the facts about the client. The caller owns it (fdpass_free()). After
 *         an error *ret is unchanged
 *
 * Waits for a client unless @fd has O_NONBLOCK. Then it waits for the message on the accepted connection, which the
 * broker sends at once: for 1 s if @fd blocks, and for 10 ms if not. A connection (Accept=yes) with O_NONBLOCK is not
 * waited for.
 *
 * Without FDPASS_DEFER the sender has its receipt when this returns: the connection is closed, or with Accept=yes shut
 * down (shutdown(2)), and the caller closes @fd. The object holds no descriptor then.
 *
 * Processes and threads may wait on one @fd at once: accept(2) wakes one of them.
 *
 * Return: the client's socket, which the caller owns, with O_NONBLOCK and FD_CLOEXEC as @flags say. Or
 *
 *   -EAGAIN           @fd has O_NONBLOCK, and there is no client
 *   -EINTR            a signal came whose handler was installed without SA_RESTART (signal(7)). No client was taken
 *   -EMFILE, -ENFILE  there is no room for two more descriptors (Accept=yes: one). No client was taken, and @fd may
 *                     stay readable: wait before the next call
 *   -ENOMEM           there is no memory for the object. The client stays with the sender
 *   -ECONNABORTED     the sender went away or sent nothing in time, or a security module or RLIMIT_NOFILE kept the
 *                     descriptor (MSG_CTRUNC, recvmsg(2)). The sender is told, and keeps the client
 *   -EPERM            this socket is not meant for the sender. Nothing was received from it, so it keeps the client
 *   -EPROTO           the message is invalid, or its descriptor is not a client's socket. All that came was closed
 *   -EPROTONOSUPPORT  the message is of a version that this library doesn't know. Another worker may get the client
 *   -EMSGSIZE         @ret is NULL, and the message has consumed bytes. No worker gets the client: the broker answers
 *                     it
 *   -ENOTCONN         @fd is a connection (Accept=yes) and brings no more clients
 *   -EINVAL           a flag is unknown, or FDPASS_DEFER is given and @ret is NULL
 *   -EBADF, -ENOTSOCK  @fd is not open, or is no socket
 *   -EOPNOTSUPP       @fd is no AF_UNIX socket, or is a datagram socket, which the protocol does not use because it has
 *                     no receipt
 *
 * or another error of accept4(2), poll(2) or recvmsg(2). -ECONNABORTED to -EMSGSIZE concern one handoff only: a server
 * calls again for the next client, as after the same errors of accept(2).
 */
int fdpass_accept(int fd, int flags, struct fdpass **ret);

/**
 * fdpass_receiver_new() - make a receiver, for many clients a second
 * @fd:      the socket that systemd passed, as for fdpass_accept(). *Not* consumed: it has to stay open until
 *           fdpass_receiver_free(). It gets O_NONBLOCK, because a thread that waits on it alone would miss the clients
 *           on other connections
 * @credits: how many clients may be on their way to this process beyond those that it has taken, 0 to 256. 0: no
 *           connection is persistent
 * @ret:     where to put the receiver, which the caller owns
 *
 *      fdpass_receiver_new(SD_LISTEN_FDS_START, 32, &receiver);
 *      fd = fdpass_receive(receiver, SOCK_CLOEXEC | FDPASS_WAIT, NULL);
 *
 * A receiver makes the broker's connections persistent: further clients come on them, several to a message, instead of
 * on a new connection each. This works with SOCK_SEQPACKET only. With SOCK_STREAM, fdpass_receive() does what
 * fdpass_accept() does.
 *
 * @credits should be the number of clients that the process can begin with in a moment. Clients that are on their way
 * wait for this process, even if another process of the same worker is idle. So a process that serves one client at a
 * time uses fdpass_accept(), or 0 credits.
 *
 * One thread at a time uses a receiver, and not a forked child. Objects of its clients may go to other threads, and
 * outlive it.
 *
 * Return: 0, or
 *
 *   -EINVAL           @credits is above 256
 *   -ENOMEM           there is no memory
 *   -EMFILE, -ENFILE  there is no room for one more descriptor
 *   -EBADF            @fd is not open
 *   -EPERM            @fd can't be watched: it is a regular file (epoll_ctl(2))
 *   -ENOSPC           the user's limit of watches is reached (/proc/sys/fs/epoll/max_user_watches)
 */
int fdpass_receiver_new(int fd, unsigned credits, struct fdpass_receiver **ret);

/**
 * fdpass_receiver_free() - free a receiver
 * @r: the receiver, consumed; NULL is allowed
 *
 * Closes the persistent connections, except for those on which answers are due: these close with the last answer.
 * Clients that wait on a connection come again, or go to another worker.
 *
 * Without FDPASS_DEFER, clients that came in one message have their receipt together with the first one. So call
 * fdpass_receive() until it returns -EAGAIN first: those that were not given out are lost otherwise.
 */
void fdpass_receiver_free(struct fdpass_receiver *r);

/**
 * fdpass_receiver_fd() - the descriptor to poll in place of the worker's socket
 * @r: the receiver
 *
 * It is readable (POLLIN) when fdpass_receive() has something to do, or when fdpass_draining() may have changed. Then call fdpass_receive() until it returns
 * -EAGAIN, because clients that came in one message are given out one by one and don't make it readable again.
 *
 * Return: a descriptor of epoll(7), which belongs to the receiver.
 */
int fdpass_receiver_fd(const struct fdpass_receiver *r);

/**
 * fdpass_receive() - take the next client from a receiver
 * @r:     the receiver
 * @flags: as for fdpass_accept(), and FDPASS_WAIT
 * @ret:   as for fdpass_accept()
 *
 * Waits for a client only with FDPASS_WAIT, except for the 10 ms of fdpass_accept() for a message on a new connection.
 *
 * Return: as fdpass_accept(). -EAGAIN: there is no client, and FDPASS_WAIT is not given. -EINTR comes even if the
 * signal's handler has SA_RESTART (signal(7), epoll_wait(2)).
 */
int fdpass_receive(struct fdpass_receiver *r, int flags, struct fdpass **ret);

/**
 * fdpass_taken(), fdpass_decline(), fdpass_reject() - answer the sender
 * @f: an object that FDPASS_DEFER was given for; *not* consumed
 *
 *   fdpass_taken()    the worker begins with the client
 *   fdpass_decline()  another worker should have the client. This one neither read from it nor wrote to it
 *   fdpass_reject()   no worker should have the client: the broker answers it in its protocol. This worker did not
 *                     write to it
 *
 * After fdpass_decline() and fdpass_reject() the caller does nothing with the client but close its descriptor. The
 * first answer counts. It closes the connection unless that is persistent.
 *
 * Return: 0, also if the sender has gone, or
 *
 *   -EALREADY         there was an answer, or FDPASS_DEFER was not given
 */
int fdpass_taken(struct fdpass *f);
int fdpass_decline(struct fdpass *f);
int fdpass_reject(struct fdpass *f);

/**
 * fdpass_free() - free an object
 * @f: the object, consumed; NULL is allowed
 *
 * An object without an answer counts as taken. The client's socket is not touched.
 */
void fdpass_free(struct fdpass *f);

/*
 * The facts about a client. All pointers belong to the object and are valid until fdpass_free(). A fact that the
 * message lacks is NULL, with a length of 0; @ret_len may be NULL. Strings end with NUL and have no control characters.
 * They come from clients and from other workers, so quote them.
 */

/*
 * The client's address and the one that it connected to: as a trusted proxy told, or else the socket's. NULL: it has
 * left.
 */
const struct sockaddr *fdpass_peer(const struct fdpass *f, socklen_t *ret_len);
const struct sockaddr *fdpass_local(const struct fdpass *f, socklen_t *ret_len);

const char *fdpass_authority(const struct fdpass *f); /* HTTP's Host or TLS's server name, lower case, without port */
const char *fdpass_protocol(const struct fdpass *f);  /* a value of Protocol= in routes: "http", "tls", … */
const char *fdpass_route(const struct fdpass *f);     /* unit of the route, "chat.socket" */
const char *fdpass_listener(const struct fdpass *f);  /* FileDescriptorName= of the public listener */

const void *fdpass_alpn(const struct fdpass *f, size_t *ret_len);      /* one protocol's name (RFC 7301) */
const void *fdpass_unique_id(const struct fdpass *f, size_t *ret_len); /* the client's, from accept(2) to its end */
const void *fdpass_data(const struct fdpass *f, size_t *ret_len);      /* from the worker that handed the client back */

/* Bytes that were read from the client's socket before. The caller reads them before the socket. */
const void *fdpass_consumed(const struct fdpass *f, size_t *ret_len);

/* Value of the first TLV of @type: 0 to 255, as in the PROXY protocol (SSL is 0x20) or in fdpass-protocol(7). */
const void *fdpass_tlv(const struct fdpass *f, unsigned type, size_t *ret_len);

/*
 * Value of the first TLV of @type (0 to 255) in the PROXY header of a trusted proxy in front of the broker. It is as
 * the proxy sent it. Clouds have types of their own: AWS 0xEA, Azure 0xEE, Google Cloud 0xE0. At most 1024 bytes of TLVs
 * are kept, without CRC32C and NOOP. NULL: there is none. For an empty value the pointer is not NULL.
 */
const void *fdpass_proxy_tlv(const struct fdpass *f, unsigned type, size_t *ret_len);

/* When the sender gives the client up, in µs of CLOCK_MONOTONIC; UINT64_MAX: never. */
uint64_t fdpass_deadline(const struct fdpass *f);

/* User ID of the sender (SO_PEERCRED, unix(7)); (uid_t) -1 if the kernel does not tell, 65534 if it is not mapped. */
uid_t fdpass_sender(const struct fdpass *f);

/*
 * The facts about a client's TLS, which a TLS stage (fdpass-tls(8)) or a trusted proxy in front of the broker has ended.
 * They are in TLV SSL, 0x20. A client that sends TLS to the worker itself has none of them.
 */

/* Results of fdpass_tls_client(). */
enum {
        FDPASS_TLS_CLIENT_NONE = 0,       /* the client has shown no certificate, or there was no TLS */
        FDPASS_TLS_CLIENT_VERIFIED = 1,   /* its certificate is valid for the CA that the stage or the proxy has */
        FDPASS_TLS_CLIENT_UNVERIFIED = 2  /* its certificate is not valid, and was let pass all the same */
};

/* 1: the client's TLS was ended before the worker. 0: it was not, or nothing tells. */
int fdpass_is_tls(const struct fdpass *f);

const char *fdpass_tls_version(const struct fdpass *f);     /* "TLSv1.2" or "TLSv1.3" */
const char *fdpass_tls_cipher(const struct fdpass *f);      /* as OpenSSL names it: "TLS_AES_128_GCM_SHA256" */
const char *fdpass_tls_client_name(const struct fdpass *f); /* common name in the client's certificate, verified or not */
int fdpass_tls_client(const struct fdpass *f);              /* FDPASS_TLS_CLIENT_… */

/*
 * The name that the client asked the TLS stage for (SNI, RFC 6066 3), in lower case. "": it gave none. NULL: there was no
 * stage, or it does not tell. A proxy has no such TLV: its name is the first TLV AUTHORITY, fdpass_proxy_tlv(f, 0x02, …).
 */
const char *fdpass_tls_server_name(const struct fdpass *f);

/*
 * Clients that come through fdpass-tls(8) may have the kernel's TLS on their socket (kTLS): the worker reads and writes
 * plain bytes, and the kernel makes records of them. Three things differ from TCP, and the following functions take care
 * of them. On all other sockets they do what recv(2), shutdown(2) and close(2) do.
 *
 * - The client ends by a close_notify alert. recv(2) and read(2) fail with EIO then, and splice(2) with EINVAL.
 * - shutdown(2) and close(2) do not send close_notify. Without it curl with OpenSSL 3.5 and wget report an error if the
 *   end of the connection is the end of a response.
 * - poll(2) on Linux before 6.5 says POLLIN while a record is not complete, and recv(2) has nothing. So a loop over
 *   level-triggered events uses up a CPU while a client withholds the rest of a record. Edge-triggered ones do not.
 */

/**
 * fdpass_recv() - read from a client
 * @client_fd: the client
 * @buffer, @size, @flags: as for recv(2); MSG_PEEK and MSG_DONTWAIT work
 *
 * Return: the number of bytes, 0 at the end of the client's data, or
 *
 *   -ECONNRESET       the client has left, or has ended its TLS by another alert than close_notify
 *   -EPROTO           the client begins a new handshake (TLS 1.2) or changes its keys (TLS 1.3, KeyUpdate), which the
 *                     kernel can't do. Java changes keys after 137 GB. Close the client
 *   -EBADMSG          a record of the client is not valid. Close the client
 *
 * or another error of recv(2). After 0, -ECONNRESET by an alert, -EPROTO and -EBADMSG each further call returns the same.
 */
ssize_t fdpass_recv(int client_fd, void *buffer, size_t size, int flags);

/**
 * fdpass_shutdown() - tell a client that no more data follow
 * @client_fd: the client, *not* consumed
 *
 * Sends close_notify if the socket has the kernel's TLS, and calls shutdown(2) with SHUT_WR. Waits for room for close_notify
 * in the send buffer, as send(2) does: not with O_NONBLOCK, and for SO_SNDTIMEO at most. Without the kernel's TLS it never
 * waits.
 *
 * Return: 0, or
 *
 *   -EAGAIN           there is no room yet, and nothing was done. Wait for POLLOUT, and call again
 *   -ENOTCONN         the connection has ended
 *
 * or another error of shutdown(2).
 */
int fdpass_shutdown(int client_fd);

/**
 * fdpass_close() - end a client
 * @client_fd: the client, consumed
 *
 * Calls fdpass_shutdown() and close(2). So the connection ends also if another process has a copy of the descriptor. To be
 * called when the whole response was written, and not for a client that was handed back: close(2) that one only.
 *
 * If fdpass_shutdown() fails with -EAGAIN, the connection ends without close_notify, and the client may lose the last
 * 16 KB that send(2) has accepted. So a worker with O_NONBLOCK calls fdpass_shutdown() itself until that succeeds.
 *
 * As with TCP, bytes of the client that were not read turn the end into a reset, and the client may lose the end of the
 * response (RFC 1122 4.2.2.13). If there may be some, call fdpass_shutdown(), read them, and call close(2).
 *
 * Return: as close(2), which closes the descriptor in any case
 */
int fdpass_close(int client_fd);

/* How to hand a client back. With all zero but @size the client is parked, at the broker's usual socket. */
struct fdpass_return_args {
        size_t size;                /* sizeof(struct fdpass_return_args) */
        const char *path;           /* of the broker's return socket; NULL: /run/fdpass/return.sock */
        const char *name;           /* InternalName= of the route that gets the client, 1 to 255 bytes; NULL: park it */
        const void *data;           /* for that route's worker */
        size_t data_len;            /* bytes, at most 8192 */
        const void *consumed;       /* what the caller has read from the client and the next worker is to read */
        size_t consumed_len;        /* bytes, at most 65536 */
        const struct fdpass *about; /* the object that came with the client, whose facts are passed on; NULL: none */
};

/**
 * fdpass_return(), fdpass_return_with() - hand a client back to the broker
 * @client_fd: the client, *not* consumed
 * @args:      as above; the other parameters of fdpass_return() are its fields of the same names
 *
 * Clears O_NONBLOCK of the client, because the next worker shares it (open(2), "open file description"). Never waits.
 *
 * After success the caller does nothing with the client but close its descriptor. The message lies in the broker's
 * queue, which outlives the broker because systemd holds the socket. After an error the client is the caller's, with
 * O_NONBLOCK as it was.
 *
 * Return: 0, or
 *
 *   -EAGAIN           the broker's queue is full, or too many descriptors of this user are in flight (ETOOMANYREFS,
 *                     unix(7)). Try again later, or close the client
 *   -ENOENT, -ECONNREFUSED  no broker listens at the path
 *   -EACCES           this process may not hand back: only root and the return socket's group may
 *   -EPROTOTYPE       @client_fd is not a stream socket of an IP family or listens, or the path is no SOCK_SEQPACKET
 *                     socket. The broker itself refuses a socket that is not connected
 *   -EMSGSIZE         the name, the data, the consumed bytes or all together are too long
 *   -EINVAL           the name is empty or has control characters, the path is not usable, or @size is another
 *                     library's
 *   -EPIPE, -ECONNRESET  three brokers in turn stopped before they received the message
 *
 * or another error of socket(2), connect(2) or sendmsg(2).
 */
int fdpass_return(int client_fd, const char *path, const char *name, const void *data, size_t data_len);
int fdpass_return_with(int client_fd, const struct fdpass_return_args *args);

/* Results of fdpass_next(). */
enum {
        FDPASS_NEXT_END = 0,     /* the client sends nothing more: close its descriptor */
        FDPASS_NEXT_OWN = 1,     /* the next request is this worker's */
        FDPASS_NEXT_RETURNED = 2 /* the broker has the client: close the descriptor, and do nothing else with it */
};

/* Optional arguments of fdpass_next(). All zero but @size is the same as NULL. */
struct fdpass_next_args {
        size_t size;                /* sizeof(struct fdpass_next_args) */
        const char *path;           /* of the broker's return socket; NULL: /run/fdpass/return.sock */
        const void *received;       /* the beginning of the next request, if the caller has read it already */
        size_t received_len;        /* bytes, at most 65536 */
};

/**
 * fdpass_draining() - is this host drained, or this worker?
 *
 * An administrator drains a host (`fdpassctl drain --host`) so that load balancers send its clients to other hosts. A
 * worker ends kept connections meanwhile. It says "Connection: close" in its next response, or calls fdpass_return()
 * between two requests. fdpass_next() hands clients that came while the host was drained back at once.
 *
 * A worker with a receiver that has called fdpass_next() is told by the broker, also if only the worker is drained
 * (`fdpassctl drain WORKER`). fdpass_receiver_fd() becomes readable then. After fdpass_receive() has returned -EAGAIN, the
 * worker asks here. If the result is 1, it calls fdpass_next() for each of its clients that is between two requests, which
 * hands them back without a next request. The end of the drain is told in the same way.
 *
 * It is told once the process has a return connection. That is the connection of a client that comes after the first
 * call of fdpass_next(): of the next one, or, where connections are persistent, of one of the next 1,024. It ends with
 * the broker's process. With FDPASS_WAIT, fdpass_receive() goes on waiting.
 *
 * Unless it was told of a drain, the function looks for the file /run/fdpass/draining, which costs one system call. A
 * worker that does not see /run knows only what it is told.
 *
 * Return: 1 if so, 0 if not, or a negative errno of access(2).
 */
int fdpass_draining(void);

/**
 * fdpass_next() - await the next request of a client of HTTP/1, and hand it back if it is not this worker's
 * @client_fd: the client, *not* consumed
 * @f:         the object that came with the client
 * @args:      as above, or NULL
 *
 * A connection is handed over once, but each request on it may be for another route. A worker that keeps a client after
 * its response calls this where it would read the next request:
 *
 *      do
 *              serve_one_request(fd, f);
 *      while (fdpass_next(fd, f, NULL) == FDPASS_NEXT_OWN);
 *      close(fd);
 *
 * Before the call the response has to be written in full, and the last request has to be read in full. Then the next byte
 * of the client is the first one of a request.
 *
 * The call peeks at the request (MSG_PEEK), and compares it with the scope of the route, which came with the client
 * (fdpass-protocol(7), SCOPE). The client goes back to the broker in these cases:
 *
 * - Another route may be meant.
 * - The head of the request is not there in full, or is longer than 16384 bytes.
 * - The request is no valid HTTP/1.1.
 *
 * The facts of @f go with the client. Not one byte of the request is read from the socket.
 *
 * The call waits for the first byte unless @client_fd has O_NONBLOCK. It never waits for the broker.
 *
 * A descriptor in an epoll set has to be removed from the set (EPOLL_CTL_DEL) before it is closed. Otherwise the set
 * goes on reporting events, because the broker holds the same open file description (epoll(7)).
 *
 * Return: FDPASS_NEXT_OWN, FDPASS_NEXT_RETURNED, FDPASS_NEXT_END, or
 *
 *   -EAGAIN           @client_fd has O_NONBLOCK and there is no request yet, or SO_RCVTIMEO is over
 *   -EINTR            a signal came (signal(7))
 *   -EBUSY            the request is another route's, and the broker's queue is full. Call again after a moment, or close
 *                     the client
 *   -ECONNRESET       the client has left
 *   -EINVAL           @size is another library's
 *
 * or another error of recv(2) or fdpass_return_with(). After an error other than -EAGAIN, -EINTR and -EBUSY the caller
 * closes the client, and reads no request from it. A client that finds its connection closed between two requests sends
 * the request again on a new one (RFC 9110 9.2.2).
 */
int fdpass_next(int client_fd, const struct fdpass *f, const struct fdpass_next_args *args);

/* Flags of fdpass_confine(): what stays allowed. */
enum {
        FDPASS_MAY_CONNECT = 1, /* connect(2) and bind(2), except for TCP: fdpass_return() needs connect(2) */
        FDPASS_MAY_LISTEN = 2   /* listen(2). A client's socket can listen then */
};

/**
 * fdpass_confine() - forbid the ways by which a client's socket leads into the host's network
 * @flags: what stays allowed, see above
 *
 * A client's socket belongs to the network namespace of the public port, whatever PrivateNetwork= says. After
 * connect(2) with AF_UNSPEC it can be connected there again, or listen there.
 *
 * These calls fail with EPERM afterwards, for sockets of all families (seccomp(2)): connect(2), bind(2), listen(2),
 * sendto(2), sendmsg(2) and sendmmsg(2) with MSG_FASTOPEN, and io_uring_setup(2). With FDPASS_MAY_CONNECT, connect(2)
 * and bind(2) fail for TCP only, with EACCES, by Landlock's rights for TCP (Linux 6.7, landlock(7)). Landlock does not
 * cover MPTCP.
 *
 * accept4(2), fdpass_accept(), fdpass_receive() and sd_notify(3) still work. Programs of another architecture than the
 * caller's fail with all their calls.
 *
 * This sets no_new_privs (prctl(2)). It holds for the calling thread and all that it starts, and can't be undone: call
 * it before the first thread and the first client.
 *
 * Return: 0, or
 *
 *   -EOPNOTSUPP       with FDPASS_MAY_CONNECT: the kernel has no Landlock with rights for TCP, so connect(2) and
 *                     bind(2) stay allowed for TCP. All else is in force
 *   -ENOSYS           the calls of this architecture are unknown. Nothing is confined
 *   -EINVAL           a flag is unknown. Nothing is confined
 *
 * or another error of prctl(2), landlock_create_ruleset(2) or landlock_restrict_self(2).
 */
int fdpass_confine(unsigned flags);

#ifdef __cplusplus
}
#endif

#endif
