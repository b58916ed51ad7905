/* SPDX-License-Identifier: MIT-0 */

/*
 * Wrappers of the functions that read from clients and write to them. A descriptor that is no followed client costs one
 * look at a global variable, and one at the table once there are clients that are followed.
 */

#include <stdlib.h>

#include "workers/preload/follow.h"
#include "workers/preload/io.h"
#include "workers/preload/secure.h"

_public_ ssize_t transfer_read(int fd, void *p, size_t size) __asm__("read");
_public_ ssize_t transfer_read_chk(int fd, void *p, size_t size, size_t room) __asm__("__read_chk");
_public_ ssize_t transfer_readv(int fd, const struct iovec *iov, int count) __asm__("readv");
_public_ ssize_t transfer_recv(int fd, void *p, size_t size, int flags) __asm__("recv");
_public_ ssize_t transfer_recv_chk(int fd, void *p, size_t size, size_t room, int flags) __asm__("__recv_chk");
_public_ ssize_t transfer_recvfrom(int fd, void *p, size_t size, int flags, struct sockaddr *address, socklen_t *length)
        __asm__("recvfrom");
_public_ ssize_t transfer_recvfrom_chk(int fd, void *p, size_t size, size_t room, int flags, struct sockaddr *address,
                                 socklen_t *length) __asm__("__recvfrom_chk");
_public_ ssize_t transfer_recvmsg(int fd, struct msghdr *message, int flags) __asm__("recvmsg");
_public_ int transfer_recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout)
        __asm__("recvmmsg");
_public_ ssize_t transfer_write(int fd, const void *p, size_t size) __asm__("write");
_public_ ssize_t transfer_writev(int fd, const struct iovec *iov, int count) __asm__("writev");
_public_ ssize_t transfer_send(int fd, const void *p, size_t size, int flags) __asm__("send");
_public_ ssize_t transfer_sendto(int fd, const void *p, size_t size, int flags, const struct sockaddr *address,
                           socklen_t length) __asm__("sendto");
_public_ ssize_t transfer_sendmsg(int fd, const struct msghdr *message, int flags) __asm__("sendmsg");
_public_ int transfer_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags) __asm__("sendmmsg");
_public_ ssize_t transfer_sendfile(int fd, int from, off_t *offset, size_t size) __asm__("sendfile");
_public_ ssize_t transfer_sendfile64(int fd, int from, off_t *offset, size_t size) __asm__("sendfile64");
_public_ ssize_t transfer_splice(int from, off_t *from_offset, int to, off_t *to_offset, size_t size, unsigned flags)
        __asm__("splice");

/* Libraries read and write before our constructor. */
static inline void transfer_begin(void) {
        if (!atomic_load_explicit(&io_is_ready, memory_order_acquire))
                io_init();
}

/*
 * Returns the followed client @fd, or NULL. *@ret is what the wrapper returns at once, or 1: the program may read. The
 * first bytes of a request are looked at here.
 */
static inline Follow *transfer_before_read(int fd, int flags, ssize_t *ret) {
        Follow *f;

        transfer_begin();
        *ret = 1;
        f = follow_find(fd);
        if (!f)
                return NULL;

        switch (follow_before_read(f, fd, flags)) {
        case FOLLOW_CLOSED:
                *ret = 0;
                break;
        case FOLLOW_WAIT:
                *ret = -1;
                break;
        default:
                break;
        }

        return f;
}

static inline bool transfer_is_followed(const Follow *f, ssize_t n) {
        return f && n > 0 && atomic_load_explicit(&f->is_on, memory_order_relaxed);
}

/* Limits a read of *size bytes. Returns true if it was limited. */
static bool transfer_limit(const Follow *f, size_t *size, int flags) {
        size_t wanted = *size;

        if (f && !(flags & MSG_PEEK))
                *size = follow_limit(f, wanted);
        return *size < wanted;
}

static void transfer_has_read(Follow *f, int fd, const void *p, ssize_t n, int flags, bool is_limited, size_t size) {
        if (!transfer_is_followed(f, n) || flags & MSG_PEEK)
                return;

        follow_on_read(f, p, (size_t) n);
        if (is_limited && (size_t) n == size)
                follow_rearm(f, fd);
}

typedef void (*TransferSaw)(Follow *, const void *, size_t);

static void transfer_saw_vector(Follow *f, const struct iovec *iov, size_t count, ssize_t n, TransferSaw saw) {
        size_t left = n > 0 ? (size_t) n : 0;

        for (size_t i = 0; i < count && left > 0 && transfer_is_followed(f, n); i++) {
                size_t k = iov[i].iov_len < left ? iov[i].iov_len : left;

                if (k > 0)
                        saw(f, iov[i].iov_base, k);
                left -= k;
        }
}

ssize_t transfer_read(int fd, void *p, size_t size) {
        bool is_limited;
        unsigned n_reads = 0;
        ssize_t n;
        Follow *f = transfer_before_read(fd, 0, &n);

        if (n <= 0)
                return n;
        is_limited = transfer_limit(f, &size, 0);
        do
                n = io_real.read(fd, p, size);
        while (secure_reads_again(fd, &n_reads, &n));
        transfer_has_read(f, fd, p, n, 0, is_limited, size);
        return n;
}

ssize_t transfer_recv(int fd, void *p, size_t size, int flags) {
        bool is_limited;
        unsigned n_reads = 0;
        ssize_t n;
        Follow *f = transfer_before_read(fd, flags, &n);

        if (n <= 0)
                return n;
        is_limited = transfer_limit(f, &size, flags);
        do
                n = io_real.recv(fd, p, size, flags);
        while (secure_reads_again(fd, &n_reads, &n));
        transfer_has_read(f, fd, p, n, flags, is_limited, size);
        return n;
}

ssize_t transfer_recvfrom(int fd, void *p, size_t size, int flags, struct sockaddr *address, socklen_t *length) {
        bool is_limited;
        unsigned n_reads = 0;
        ssize_t n;
        Follow *f = transfer_before_read(fd, flags, &n);

        if (n <= 0)
                return n;
        is_limited = transfer_limit(f, &size, flags);
        do
                n = io_real.recvfrom(fd, p, size, flags, address, length);
        while (secure_reads_again(fd, &n_reads, &n));
        transfer_has_read(f, fd, p, n, flags, is_limited, size);
        return n;
}

ssize_t transfer_readv(int fd, const struct iovec *iov, int count) {
        unsigned n_reads = 0;
        ssize_t n;
        Follow *f = transfer_before_read(fd, 0, &n);

        if (n <= 0)
                return n;
        if (f && count > 0 && iov[0].iov_len > 0 && follow_limit(f, SIZE_MAX) < SIZE_MAX)
                return transfer_read(fd, iov[0].iov_base, iov[0].iov_len);

        do
                n = io_real.readv(fd, iov, count);
        while (secure_reads_again(fd, &n_reads, &n));
        if (f)
                transfer_saw_vector(f, iov, (size_t) count, n, follow_on_read);
        return n;
}

/* A record of TLS that is no data would come to a program that asks for control messages, and be taken for data. */
static ssize_t transfer_recvmsg_plain(int fd, struct msghdr *message, int flags) {
        bool is_bare = secure_takes_no_control(fd);
        struct msghdr m = *message;
        unsigned n_reads = 0;
        ssize_t n;

        if (is_bare) {
                m.msg_control = NULL;
                m.msg_controllen = 0;
        }

        do
                n = io_real.recvmsg(fd, is_bare ? &m : message, flags);
        while (secure_reads_again(fd, &n_reads, &n));

        if (is_bare) {
                message->msg_controllen = 0;
                message->msg_flags = n >= 0 ? m.msg_flags : message->msg_flags;
        }
        return n;
}

ssize_t transfer_recvmsg(int fd, struct msghdr *message, int flags) {
        ssize_t n;
        Follow *f = transfer_before_read(fd, flags, &n);

        if (n <= 0)
                return n;
        if (f && message->msg_iovlen > 0 && message->msg_iov[0].iov_len > 0 && !message->msg_control &&
            follow_limit(f, SIZE_MAX) < SIZE_MAX)
                return transfer_recv(fd, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len, flags);

        n = transfer_recvmsg_plain(fd, message, flags);
        if (f && !(flags & MSG_PEEK))
                transfer_saw_vector(f, message->msg_iov, message->msg_iovlen, n, follow_on_read);
        return n;
}

/* Programs that are built with _FORTIFY_SOURCE call these, which end the process if the buffer is too small. */
ssize_t transfer_read_chk(int fd, void *p, size_t size, size_t room) {
        if (size > room)
                abort();
        return transfer_read(fd, p, size);
}

ssize_t transfer_recv_chk(int fd, void *p, size_t size, size_t room, int flags) {
        if (size > room)
                abort();
        return transfer_recv(fd, p, size, flags);
}

ssize_t transfer_recvfrom_chk(int fd, void *p, size_t size, size_t room, int flags, struct sockaddr *address,
                        socklen_t *length) {
        if (size > room)
                abort();
        return transfer_recvfrom(fd, p, size, flags, address, length);
}

/* Returns the followed client @fd, or NULL. *@ret_is_gone: it was handed back, and nothing may be written to it. */
static inline Follow *transfer_before_write(int fd, bool *ret_is_gone) {
        Follow *f;

        transfer_begin();
        f = follow_find(fd);
        *ret_is_gone = f && follow_is_gone(f, fd);
        if (*ret_is_gone)
                errno = EPIPE;
        return f;
}

static void transfer_has_written(Follow *f, const void *p, ssize_t n) {
        if (transfer_is_followed(f, n))
                follow_on_written(f, p, (size_t) n);
}

ssize_t transfer_write(int fd, const void *p, size_t size) {
        bool is_gone;
        Follow *f = transfer_before_write(fd, &is_gone);
        ssize_t n;

        if (is_gone)
                return -1;
        n = io_real.write(fd, p, size);
        transfer_has_written(f, p, n);
        return n;
}

ssize_t transfer_send(int fd, const void *p, size_t size, int flags) {
        bool is_gone;
        Follow *f = transfer_before_write(fd, &is_gone);
        ssize_t n;

        if (is_gone)
                return -1;
        n = io_real.send(fd, p, size, flags);
        transfer_has_written(f, p, n);
        return n;
}

ssize_t transfer_sendto(int fd, const void *p, size_t size, int flags, const struct sockaddr *address, socklen_t length) {
        bool is_gone;
        Follow *f = transfer_before_write(fd, &is_gone);
        ssize_t n;

        if (is_gone)
                return -1;
        n = io_real.sendto(fd, p, size, flags, address, length);
        transfer_has_written(f, p, n);
        return n;
}

ssize_t transfer_writev(int fd, const struct iovec *iov, int count) {
        bool is_gone;
        Follow *f = transfer_before_write(fd, &is_gone);
        ssize_t n;

        if (is_gone)
                return -1;
        n = io_real.writev(fd, iov, count);
        if (f)
                transfer_saw_vector(f, iov, (size_t) count, n, follow_on_written);
        return n;
}

/* The program may pass a client to another process (unix(7)). */
static void transfer_note_passed(const struct msghdr *message) {
        struct msghdr m = *message;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
                for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
                        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
                                follow_note_shared(fd);
                                secure_note_shared(fd);
                        }
                }
}

ssize_t transfer_sendmsg(int fd, const struct msghdr *message, int flags) {
        bool is_gone;
        Follow *f = transfer_before_write(fd, &is_gone);
        ssize_t n;

        if (is_gone)
                return -1;
        if (message->msg_controllen > 0)
                transfer_note_passed(message);
        n = io_real.sendmsg(fd, message, flags);
        if (f)
                transfer_saw_vector(f, message->msg_iov, message->msg_iovlen, n, follow_on_written);
        return n;
}

ssize_t transfer_sendfile(int fd, int from, off_t *offset, size_t size) {
        bool is_gone;
        Follow *f = transfer_before_write(fd, &is_gone);
        ssize_t n;

        if (is_gone)
                return -1;
        n = io_real.sendfile(fd, from, offset, size);
        if (transfer_is_followed(f, n))
                follow_on_sent(f, (size_t) n);
        return n;
}

/* off_t has 64 bits where the library is built with them: the two functions are one then (sendfile(2)). */
ssize_t transfer_sendfile64(int fd, int from, off_t *offset, size_t size) {
        return transfer_sendfile(fd, from, offset, size);
}

/* These are not followed, because no server is known that uses them for HTTP. */
static void transfer_lose(int fd) {
        transfer_begin();
        follow_forget(fd);
}

ssize_t transfer_splice(int from, off_t *from_offset, int to, off_t *to_offset, size_t size, unsigned flags) {
        ssize_t n;

        transfer_lose(from);
        transfer_lose(to);
        n = io_real.splice(from, from_offset, to, to_offset, size, flags);
        return n < 0 && errno == EINVAL && secure_find(from) ? secure_explain_splice(from) : n;
}

int transfer_recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout) {
        transfer_lose(fd);
        return io_real.recvmmsg(fd, messages, n, flags, timeout);
}

int transfer_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags) {
        transfer_lose(fd);
        return io_real.sendmmsg(fd, messages, n, flags);
}
