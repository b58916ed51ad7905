/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The kernel's TLS for test-secure.c, because most machines have none. It is loaded behind fdpass-preload.so, whose calls
 * come here. Each socket of TCP has TLS. Data are as they are. Another record is three bytes: its content type, which is
 * no text of HTTP, and two bytes of it. Reads without a control buffer fail with EIO at such a record.
 */

#include <dlfcn.h>
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

#define _public_ __attribute__((visibility("default")))

#define RECORD 3 /* bytes of a record that is not data */

static void *next(const char *name) {
        return dlsym(RTLD_NEXT, name);
}

static ssize_t next_recv(int fd, void *p, size_t n, int flags) {
        ssize_t (*f)(int, void *, size_t, int);
        void *symbol = next("recv");

        memcpy(&f, &symbol, sizeof(f));
        return f(fd, p, n, flags);
}

static ssize_t next_recvmsg(int fd, struct msghdr *m, int flags) {
        ssize_t (*f)(int, struct msghdr *, int);
        void *symbol = next("recvmsg");

        memcpy(&f, &symbol, sizeof(f));
        return f(fd, m, flags);
}

static ssize_t next_sendmsg(int fd, const struct msghdr *m, int flags) {
        ssize_t (*f)(int, const struct msghdr *, int);
        void *symbol = next("sendmsg");

        memcpy(&f, &symbol, sizeof(f));
        return f(fd, m, flags);
}

static int next_getsockopt(int fd, int level, int option, void *value, socklen_t *size) {
        int (*f)(int, int, int, void *, socklen_t *);
        void *symbol = next("getsockopt");

        memcpy(&f, &symbol, sizeof(f));
        return f(fd, level, option, value, size);
}

static int is_tcp(int fd) {
        int saved_errno = errno, protocol = 0;
        socklen_t size = sizeof(protocol);
        int r = next_getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size);

        errno = saved_errno;
        return r == 0 && protocol == IPPROTO_TCP;
}

_public_ int getsockopt(int fd, int level, int option, void *value, socklen_t *size) {
        if (level != IPPROTO_TCP || option != TCP_ULP || !is_tcp(fd))
                return next_getsockopt(fd, level, option, value, size);

        memcpy(value, "tls", 4);
        *size = 16;
        return 0;
}

static int is_type(unsigned char c) {
        return c >= 20 && c <= 24;
}

/* Reads data. Fails with EIO at a record that is none. */
static ssize_t read_data(int fd, void *p, size_t size, int flags) {
        const unsigned char *bytes = p;
        ssize_t n, k = 0;

        n = next_recv(fd, p, size, flags | MSG_PEEK);
        if (n <= 0)
                return n;

        while (k < n && !is_type(bytes[k]))
                k++;
        if (k == 0) {
                errno = EIO;
                return -1;
        }
        return next_recv(fd, p, (size_t) k, flags);
}

static ssize_t read_record(int fd, struct msghdr *m, int flags) {
        unsigned char record[RECORD];
        struct cmsghdr *c = CMSG_FIRSTHDR(m);
        ssize_t n;

        n = next_recv(fd, record, sizeof(record), flags);
        if (n <= 0)
                return n;

        memcpy(m->msg_iov[0].iov_base, record + 1, RECORD - 1);
        c->cmsg_level = SOL_TLS;
        c->cmsg_type = TLS_GET_RECORD_TYPE;
        c->cmsg_len = CMSG_LEN(1);
        *CMSG_DATA(c) = record[0];
        m->msg_controllen = CMSG_SPACE(1);
        return RECORD - 1;
}

_public_ ssize_t recv(int fd, void *p, size_t size, int flags) {
        return is_tcp(fd) ? read_data(fd, p, size, flags) : next_recv(fd, p, size, flags);
}

_public_ ssize_t read(int fd, void *p, size_t size) {
        ssize_t (*f)(int, void *, size_t);
        void *symbol = next("read");

        memcpy(&f, &symbol, sizeof(f));
        return is_tcp(fd) ? read_data(fd, p, size, 0) : f(fd, p, size);
}

_public_ ssize_t recvmsg(int fd, struct msghdr *m, int flags) {
        ssize_t n;

        if (!is_tcp(fd))
                return next_recvmsg(fd, m, flags);

        n = read_data(fd, m->msg_iov[0].iov_base, m->msg_iov[0].iov_len, flags);
        if (n < 0 && errno == EIO && m->msg_controllen > 0)
                return read_record(fd, m, flags);
        m->msg_controllen = 0;
        return n;
}

_public_ ssize_t sendmsg(int fd, const struct msghdr *m, int flags) {
        const struct cmsghdr *c = CMSG_FIRSTHDR(m);
        unsigned char type;
        struct iovec iov[2] = { { &type, 1 }, {} };
        struct msghdr record = { .msg_iov = iov, .msg_iovlen = 2 };

        if (!c || c->cmsg_level != SOL_TLS)
                return next_sendmsg(fd, m, flags);

        type = *CMSG_DATA(c);
        iov[1] = m->msg_iov[0];
        return next_sendmsg(fd, &record, flags) - 1;
}
