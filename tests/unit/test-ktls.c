/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Sockets with the kernel's TLS. The linker puts a kernel in front of libc's, because most machines have no kTLS: one
 * socket whose next record is @kernel.
 */

#include "test.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "handoff/ktls.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

#define FD 1000 /* no real descriptor */

static struct {
        const char *ulp;         /* upper layer; NULL: none */
        int type;                /* content type of the next record; 0: there is none */
        const char *bytes;       /* of it */
        size_t n;
        int error;               /* of reads and writes; 0: none */
        unsigned n_stolen;       /* reads by which another process is faster */

        unsigned n_reads, n_looks;
        int sent_type;           /* content type of the record that was sent; 0: none was */
        unsigned char sent[8];
        size_t n_sent;
        int flags;               /* of the last call */
} kernel;

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *size);
ssize_t __wrap_recv(int fd, void *p, size_t n, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);

static ssize_t fail_with(int error) {
        errno = error;
        return -1;
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *size) {
        if (fd != FD)
                return (int) fail_with(EBADF);

        assert_int_equal(level, IPPROTO_TCP);
        assert_int_equal(option, TCP_ULP);
        assert_true(*size >= 16);
        *size = 0;
        if (kernel.ulp) {
                memset(value, 0, 16);
                memcpy(value, kernel.ulp, strlen(kernel.ulp));
                *size = 16;
        }
        return 0;
}

static ssize_t read_record(void *p, size_t size, int flags) {
        size_t n = MIN(size, kernel.n);

        kernel.flags = flags;
        if (kernel.error != 0)
                return fail_with(kernel.error);
        if (kernel.type == 0)
                return fail_with(EAGAIN);

        memcpy(p, kernel.bytes, n);
        return (ssize_t) n;
}

ssize_t __wrap_recv(int fd, void *p, size_t n, int flags) {
        assert_int_equal(fd, FD);
        kernel.n_reads++;
        if (kernel.type != 0 && kernel.type != 23)
                return fail_with(EIO);
        return read_record(p, n, flags);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags) {
        struct cmsghdr *c = CMSG_FIRSTHDR(m);
        ssize_t n;

        assert_int_equal(fd, FD);
        assert_non_null(c);
        kernel.n_looks++;
        if (kernel.n_stolen > 0 && --kernel.n_stolen == 0)
                kernel.type = 23;

        n = read_record(m->msg_iov[0].iov_base, m->msg_iov[0].iov_len, flags);
        m->msg_controllen = 0;
        if (n > 0 && kernel.ulp) {
                c->cmsg_level = SOL_TLS;
                c->cmsg_type = TLS_GET_RECORD_TYPE;
                c->cmsg_len = CMSG_LEN(1);
                *CMSG_DATA(c) = (unsigned char) kernel.type;
                m->msg_controllen = CMSG_SPACE(1);
        }
        return n;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags) {
        const struct cmsghdr *c = CMSG_FIRSTHDR(m);

        assert_int_equal(fd, FD);
        kernel.flags = flags;
        if (kernel.error != 0)
                return fail_with(kernel.error);

        assert_non_null(c);
        assert_int_equal(c->cmsg_level, SOL_TLS);
        assert_int_equal(c->cmsg_type, TLS_SET_RECORD_TYPE);
        assert_int_equal(c->cmsg_len, CMSG_LEN(1));
        kernel.sent_type = *CMSG_DATA(c);
        kernel.n_sent = m->msg_iov[0].iov_len;
        assert_true(kernel.n_sent <= sizeof(kernel.sent));
        memcpy(kernel.sent, m->msg_iov[0].iov_base, kernel.n_sent);
        return (ssize_t) kernel.n_sent;
}

static void begin(int type, const char *bytes, size_t n) {
        memset(&kernel, 0, sizeof(kernel));
        kernel.ulp = "tls";
        kernel.type = type;
        kernel.bytes = bytes;
        kernel.n = n;
}

/* Only the name "tls" counts: there are other upper layers, and descriptors that are no sockets. */
static void test_is_on(void **state) {
        begin(0, NULL, 0);
        assert_true(ktls_is_on(FD, NULL));
        assert_false(ktls_is_on(FD + 1, NULL));
        kernel.ulp = "mptcp";
        assert_false(ktls_is_on(FD, NULL));
        kernel.ulp = "tlsx";
        assert_false(ktls_is_on(FD, NULL));
        kernel.ulp = NULL;
        assert_false(ktls_is_on(FD, NULL));
}

/* The alert goes out as a record of its type, without waiting. On a plain socket it would be data. */
static void test_close_notify(void **state) {
        begin(0, NULL, 0);
        assert_int_equal(ktls_close_notify(FD, NULL), 0);
        assert_int_equal(kernel.sent_type, 21);
        assert_int_equal(kernel.n_sent, 2);
        assert_memory_equal(kernel.sent, "\1\0", 2);
        assert_int_equal(kernel.flags, MSG_DONTWAIT | MSG_NOSIGNAL);
        assert_int_equal(ktls_close_notify_wait(FD, NULL), 0);
        assert_int_equal(kernel.flags, MSG_NOSIGNAL);

        begin(0, NULL, 0);
        kernel.ulp = NULL;
        assert_int_equal(ktls_close_notify(FD, NULL), 0);
        assert_int_equal(kernel.sent_type, 0);

        begin(0, NULL, 0);
        kernel.error = EAGAIN;
        assert_int_equal(ktls_close_notify(FD, NULL), -EAGAIN);
        kernel.error = EPIPE;
        assert_int_equal(ktls_close_notify(FD, NULL), -EPIPE);
}

/* A read tells what each record means, and looks for that only after EIO. */
static void test_recv(void **state) {
        static const struct { int type; const char *bytes; size_t n; ssize_t result; } records[] = {
                { 23, "hello", 5, 5 },
                { 0, NULL, 0, -EAGAIN },
                { 21, "\1\0", 2, 0 },            /* close_notify */
                { 21, "\2\0", 2, 0 },            /* its level is ignored in TLS 1.3 (RFC 8446 6) */
                { 21, "\1\132", 2, 0 },          /* user_canceled: close_notify follows */
                { 21, "\2\50", 2, -ECONNRESET }, /* handshake_failure */
                { 21, "\1", 1, -ECONNRESET },    /* half an alert */
                { 22, "\30\0\0\1\0", 5, -EPROTO }, /* KeyUpdate */
                { 22, "\1\0", 2, -EPROTO },      /* ClientHello: renegotiation */
                { 24, "\1\0", 2, -EPROTO },      /* heartbeat */
        };
        char bytes[16];

        for (size_t i = 0; i < ELEMENTSOF(records); i++) {
                begin(records[i].type, records[i].bytes, records[i].n);
                assert_int_equal(ktls_recv(FD, bytes, sizeof(bytes), MSG_WAITALL), records[i].result);
                assert_int_equal(kernel.n_looks, records[i].type == 23 || records[i].type == 0 ? 0 : 1);
                assert_int_equal(kernel.flags, kernel.n_looks > 0 ? MSG_PEEK | MSG_DONTWAIT : MSG_WAITALL);

                /* The record is still there, so the next read says the same. */
                assert_int_equal(ktls_recv(FD, bytes, sizeof(bytes), 0), records[i].result);
        }
}

/* EIO of a socket without the kernel's TLS stays EIO, and no second call is made on it. */
static void test_other_error(void **state) {
        char bytes[16];

        begin(23, "hello", 5);
        kernel.ulp = NULL;
        kernel.error = EIO;
        assert_int_equal(ktls_recv(FD, bytes, sizeof(bytes), 0), -EIO);
        assert_int_equal(kernel.n_looks, 0);

        begin(23, "hello", 5);
        kernel.error = EBADMSG;
        assert_int_equal(ktls_recv(FD, bytes, sizeof(bytes), 0), -EBADMSG);
        assert_int_equal(kernel.n_looks, 0);
}

/* Another process may read the record between the two calls. Then data are read, and nothing repeats for ever. */
static void test_other_reader(void **state) {
        char bytes[16];

        begin(22, "hello", 5);
        kernel.n_stolen = 1;
        assert_int_equal(ktls_recv(FD, bytes, sizeof(bytes), 0), 5);
        assert_int_equal(kernel.n_reads, 2);

        begin(22, "hello", 5);
        kernel.error = EAGAIN;
        assert_int_equal(ktls_explain(FD, NULL), -EAGAIN);
        assert_int_equal(ktls_recv(FD, bytes, sizeof(bytes), 0), -EIO);
        assert_true(kernel.n_reads < 10);
}

static unsigned n_own_calls;

static ssize_t own_recvmsg(int fd, struct msghdr *m, int flags) {
        n_own_calls++;
        return __wrap_recvmsg(fd, m, flags);
}

static ssize_t own_sendmsg(int fd, const struct msghdr *m, int flags) {
        n_own_calls++;
        return __wrap_sendmsg(fd, m, flags);
}

static int own_getsockopt(int fd, int level, int option, void *value, socklen_t *size) {
        n_own_calls++;
        return __wrap_getsockopt(fd, level, option, value, size);
}

/* A program with wrappers of these calls passes the functions behind them. */
static void test_own_calls(void **state) {
        static const KtlsCalls own = { own_recvmsg, own_sendmsg, own_getsockopt };

        begin(21, "\1\0", 2);
        assert_int_equal(ktls_explain(FD, &own), 0);
        assert_int_equal(n_own_calls, 2);
        assert_int_equal(ktls_close_notify(FD, &own), 0);
        assert_int_equal(n_own_calls, 4);
}

TEST_MAIN(TEST(test_is_on), TEST(test_close_notify), TEST(test_recv), TEST(test_other_error), TEST(test_other_reader),
          TEST(test_own_calls))
