/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The kernel's TLS for tests. Most machines have no kTLS. So the linker puts these functions in front of libc's (--wrap=).
 * On sockets of make_ktls() they do what kTLS does, but do not encrypt.
 */

#include "test.h"

#include <linux/sockios.h>
#include <linux/tls.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

#define N_SOCKETS_MAX 32
#define ALERT '\x15'               /* a client's close_notify, in its bytes */
#define BROKEN "\x18"              /* a record of the client that can't be decrypted */
#define NOTIFIED "[close_notify]"  /* ours, as the client sees it */

/* A socket with kTLS. Its number is that of all its descriptors. */
typedef struct KtlsSocket {
        uint64_t cookie;
        size_t n_decrypted; /* unread bytes that a peek has taken out of TCP's queue */
        bool has_alert;     /* and so has an alert, which is next */
        bool has_error;     /* a record is broken, and bytes before it hid that from the last peek */
} KtlsSocket;

static bool is_noisy; /* each peek raises an event of the socket */
static KtlsSocket sockets[N_SOCKETS_MAX];
static size_t n_sockets;

int __real_getsockopt(int fd, int level, int option, void *value, socklen_t *size);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *size);
ssize_t __real_recv(int fd, void *p, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *p, size_t n, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
int __real_ioctl(int fd, unsigned long what, ...);
int __wrap_ioctl(int fd, unsigned long what, ...);
int __real_connect(int fd, const struct sockaddr *a, socklen_t n);
int __wrap_connect(int fd, const struct sockaddr *a, socklen_t n);

static KtlsSocket *find_ktls(int fd) {
        uint64_t cookie = 0;

        if (__real_getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &(socklen_t){ sizeof(cookie) }) < 0)
                return NULL;

        for (size_t i = 0; i < n_sockets; i++)
                if (sockets[i].cookie == cookie)
                        return &sockets[i];

        return NULL;
}

static void make_ktls(int fd) {
        KtlsSocket *k = &sockets[n_sockets++];

        assert_true(n_sockets <= N_SOCKETS_MAX);
        *k = (KtlsSocket){};
        assert_int_equal(__real_getsockopt(fd, SOL_SOCKET, SO_COOKIE, &k->cookie, &(socklen_t){ sizeof(k->cookie) }), 0);
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *size) {
        int r = __real_getsockopt(fd, level, option, value, size);
        KtlsSocket *k;

        if (level == IPPROTO_TCP && option == TCP_ULP && r >= 0 && find_ktls(fd)) {
                memcpy(value, "tls", sizeof("tls"));
                *size = 16;
        }
        if (level == SOL_SOCKET && option == SO_ERROR && r >= 0 && (k = find_ktls(fd)) && k->has_error) {
                *(int *) value = EBADMSG;
                k->has_error = false;
        }
        return r;
}

/* Reads what is before a broken record, in @n bytes that were peeked at. */
static ssize_t read_before_broken(KtlsSocket *k, const uint8_t *p, ssize_t n) {
        const uint8_t *broken = n > 0 ? memchr(p, BROKEN[0], (size_t) n) : NULL;

        if (!broken)
                return n;
        if (broken == p) {
                errno = EBADMSG;
                return -1;
        }

        k->has_error = true;
        return broken - p;
}

/* Reads up to the alert. An alert at the beginning is an error of each read. */
static ssize_t read_ktls(KtlsSocket *k, int fd, uint8_t *p, size_t size, int flags) {
        ssize_t n = k->has_alert ? 0 : read_before_broken(k, p, __real_recv(fd, p, size, flags | MSG_PEEK));
        const uint8_t *alert = n > 0 ? memchr(p, ALERT, (size_t) n) : NULL;

        if (alert == p)
                k->has_alert = __real_recv(fd, p, 1, MSG_DONTWAIT) == 1;
        if (k->has_alert) {
                errno = EIO;
                return -1;
        }
        if (n <= 0)
                return n;
        if (alert) {
                memset(p + (alert - p), 0, (size_t) (p + n - alert));
                n = alert - p;
        }

        k->n_decrypted = MAX(k->n_decrypted, (size_t) n);
        if (flags & MSG_PEEK)
                return n;

        k->n_decrypted -= (size_t) n;
        return __real_recv(fd, p, (size_t) n, flags);
}

ssize_t __wrap_recv(int fd, void *p, size_t n, int flags) {
        KtlsSocket *k = find_ktls(fd);

        if (is_noisy && flags & MSG_PEEK) /* the kernel looks whether there is something to read now */
                assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &(int){ 1 }, sizeof(int)), 0);
        return k && n > 0 ? read_ktls(k, fd, p, n, flags) : __real_recv(fd, p, n, flags);
}

/* Tells the type of a record, or that there is no room to tell it. */
ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags) {
        KtlsSocket *k = flags & MSG_ERRQUEUE ? NULL : find_ktls(fd);
        struct cmsghdr *c = CMSG_FIRSTHDR(m);
        uint8_t *p;
        ssize_t n;

        if (!k)
                return __real_recvmsg(fd, m, flags);

        p = m->msg_iov[0].iov_base;
        m->msg_flags = c ? 0 : MSG_CTRUNC;
        if (!c)
                return read_ktls(k, fd, p, m->msg_iov[0].iov_len, flags);

        assert_true(flags & MSG_PEEK);
        n = k->has_alert ? 2 : __real_recv(fd, p, 1, flags);
        if (n <= 0)
                return n;

        c->cmsg_level = SOL_TLS;
        c->cmsg_type = TLS_GET_RECORD_TYPE;
        c->cmsg_len = CMSG_LEN(1);
        *CMSG_DATA(c) = k->has_alert ? 21 : 23;
        if (k->has_alert)
                memcpy(p, "\1\0", 2);
        return n;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags) {
        const struct cmsghdr *c = CMSG_FIRSTHDR(m);

        if (!c || c->cmsg_level != SOL_TLS)
                return __real_sendmsg(fd, m, flags);

        assert_non_null(find_ktls(fd));
        assert_true(flags & MSG_DONTWAIT);
        return send(fd, NOTIFIED, strlen(NOTIFIED), flags) < 0 ? -1 : 2;
}

int __wrap_ioctl(int fd, unsigned long what, ...) {
        KtlsSocket *k = what == SIOCINQ ? find_ktls(fd) : NULL;
        va_list ap;
        int *value, r;

        va_start(ap, what);
        value = va_arg(ap, int *);
        va_end(ap);
        r = __real_ioctl(fd, what, value);
        if (k && r >= 0)
                *value -= (int) k->n_decrypted;
        return r;
}

int __wrap_connect(int fd, const struct sockaddr *a, socklen_t n) {
        if (a->sa_family != AF_UNSPEC || !find_ktls(fd))
                return __real_connect(fd, a, n);

        errno = EOPNOTSUPP; /* tls_disconnect() of the kernel */
        return -1;
}
