/* SPDX-License-Identifier: MIT-0 */
#pragma once

/*
 * Sockets whose TLS records the kernel writes and reads (kTLS, Documentation/networking/tls.rst in the kernel). A TLS
 * stage leaves a client so. Data are read and written as on a TCP socket. Two things differ:
 *
 * - The client ends its data by an alert, close_notify (RFC 8446 6.1). Then each recv(2) and read(2) fails with EIO, also
 *   with MSG_PEEK, and also after the FIN. splice(2) fails with EINVAL.
 * - close(2) and shutdown(2) send a FIN without close_notify. Some clients take that for an attack if nothing else tells
 *   the end of a response.
 *
 * These files need nothing but libc, because the preload links them too.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

/*
 * The calls that are made on a socket. The preload has wrappers with the names of libc's functions, so it passes the
 * functions behind its wrappers. All others pass NULL, which means libc's.
 */
typedef struct KtlsCalls {
        ssize_t (*recvmsg)(int fd, struct msghdr *m, int flags);
        ssize_t (*sendmsg)(int fd, const struct msghdr *m, int flags);
        int (*getsockopt)(int fd, int level, int option, void *value, socklen_t *size);
} KtlsCalls;

/*
 * True if the kernel's TLS is on for @fd (TCP_ULP is "tls"). It is also true before the keys are set. False for all
 * other descriptors. errno is undefined after it.
 */
bool ktls_is_on(int fd, const KtlsCalls *calls);

/*
 * Sends close_notify, if ktls_is_on(). Never waits, and raises no SIGPIPE. The data of a record that MSG_MORE has left
 * open are sent before it. To be called before shutdown(2) with SHUT_WR, and before close(2) of the last descriptor.
 *
 * Returns 0 if it was sent, or if the kernel's TLS is not on. Otherwise a negative errno: the error of a connection that
 * has ended, or -EAGAIN if the send buffer has no room. Then shutdown(2) and close(2) may also lose a record of up to
 * 16 KB that a send(2) without waiting has accepted. That was measured on Linux 6.1, and not on 6.12. So a caller that has
 * data on the way waits for POLLOUT and calls again.
 */
int ktls_close_notify(int fd, const KtlsCalls *calls);

/* The same, but waits for room as send(2) does: not with O_NONBLOCK, and for SO_SNDTIMEO at most (-EAGAIN). */
int ktls_close_notify_wait(int fd, const KtlsCalls *calls);

/*
 * Tells why a read or a peek of @fd failed with EIO, or splice(2) with EINVAL. The record stays in the socket, so that
 * each later read fails in the same way. Never waits. Returns:
 *
 *   0             the client has sent close_notify, so there is no more data
 *   -ECONNRESET   the client has sent another alert, and so given up the connection
 *   -EPROTO       the client has sent a record that only a library of TLS understands: a new handshake (TLS 1.2), or
 *                 new keys (KeyUpdate, TLS 1.3)
 *   -EAGAIN       there is data, or nothing, because another reader has read the record: read again
 *   -EIO          the kernel's TLS is not on, so the error is not about TLS
 *
 * or another error of recvmsg(2).
 */
int ktls_explain(int fd, const KtlsCalls *calls);

/*
 * Does as recv(2), and calls ktls_explain() after EIO. Returns the number of bytes, 0 at the end of the client's data,
 * or a negative errno. Without MSG_DONTWAIT it waits as recv(2) does.
 */
ssize_t ktls_recv(int fd, void *p, size_t size, int flags);
