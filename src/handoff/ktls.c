/* SPDX-License-Identifier: MIT-0 */

#include "handoff/ktls.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

/* glibc has it since 2.26, other libcs do not. */
#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif

/* Content types of records (RFC 8446 5.1), and two alerts that end the data (6.1). */
enum {
        RECORD_ALERT = 21,
        RECORD_DATA = 23,
        ALERT_LEVEL_WARNING = 1,
        ALERT_CLOSE_NOTIFY = 0,
        ALERT_USER_CANCELED = 90, /* Java's TLS 1.3 sends it before close_notify */
};

/* How often ktls_recv() reads again because another reader has read the record of another type. */
#define AGAIN_MAX 3

/* Control buffer for the content type of a record. */
typedef union RecordControl {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(unsigned char))];
} RecordControl;

static const KtlsCalls ktls_libc = { recvmsg, sendmsg, getsockopt };

bool ktls_is_on(int fd, const KtlsCalls *calls) {
        char name[16] = ""; /* TCP_ULP_NAME_MAX of the kernel */
        socklen_t size = sizeof(name);

        if (!calls)
                calls = &ktls_libc;

        /* Without an upper layer the size is 0. */
        return calls->getsockopt(fd, IPPROTO_TCP, TCP_ULP, name, &size) >= 0 && size > 0 && strncmp(name, "tls", sizeof(name)) == 0;
}

static int ktls_send_close_notify(int fd, const KtlsCalls *calls, int flags) {
        unsigned char alert[2] = { ALERT_LEVEL_WARNING, ALERT_CLOSE_NOTIFY };
        struct iovec iov = { alert, sizeof(alert) };
        RecordControl control = {};
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        struct cmsghdr *type = CMSG_FIRSTHDR(&m);

        if (!calls)
                calls = &ktls_libc;

        /* TCP would send the two bytes as data: it does not know SOL_TLS. */
        if (!ktls_is_on(fd, calls))
                return 0;

        type->cmsg_level = SOL_TLS;
        type->cmsg_type = TLS_SET_RECORD_TYPE;
        type->cmsg_len = CMSG_LEN(sizeof(unsigned char));
        *CMSG_DATA(type) = RECORD_ALERT;

        return calls->sendmsg(fd, &m, flags) < 0 ? -errno : 0;
}

int ktls_close_notify(int fd, const KtlsCalls *calls) {
        return ktls_send_close_notify(fd, calls, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int ktls_close_notify_wait(int fd, const KtlsCalls *calls) {
        return ktls_send_close_notify(fd, calls, MSG_NOSIGNAL);
}

/* Returns the content type of the record that recvmsg(2) read. */
static int ktls_record_type(struct msghdr *m) {
        for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
                if (c->cmsg_level == SOL_TLS && c->cmsg_type == TLS_GET_RECORD_TYPE)
                        return *CMSG_DATA(c);

        return RECORD_DATA;
}

int ktls_explain(int fd, const KtlsCalls *calls) {
        unsigned char bytes[2] = {};
        struct iovec iov = { bytes, sizeof(bytes) };
        RecordControl control = {};
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        ssize_t n;

        if (!calls)
                calls = &ktls_libc;
        if (!ktls_is_on(fd, calls))
                return -EIO;

        n = calls->recvmsg(fd, &m, MSG_PEEK | MSG_DONTWAIT);
        if (n < 0)
                return -errno;
        if (n == 0)
                return 0;

        switch (ktls_record_type(&m)) {

        case RECORD_DATA:
                return -EAGAIN;

        case RECORD_ALERT:
                return n == sizeof(bytes) && (bytes[1] == ALERT_CLOSE_NOTIFY || bytes[1] == ALERT_USER_CANCELED) ? 0 : -ECONNRESET;

        default:
                return -EPROTO;
        }
}

ssize_t ktls_recv(int fd, void *p, size_t size, int flags) {
        for (unsigned i = 0; i < AGAIN_MAX; i++) {
                ssize_t n = recv(fd, p, size, flags);
                int r;

                if (n >= 0)
                        return n;
                if (errno != EIO)
                        return -errno;

                r = ktls_explain(fd, NULL);
                if (r != -EAGAIN)
                        return r;
        }

        return -EIO;
}
