/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/byte-counts.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/*
 * Values of tcpi_state (include/net/tcp_states.h in the kernel). <netinet/tcp.h> has names for them, but lacks newer
 * fields of tcp_info.
 */
enum {
        STATE_ESTABLISHED = 1,
        STATE_CLOSE_WAIT = 8,
};

static int byte_counts_tcp_info(int fd, struct tcp_info *ret) {
        socklen_t len = sizeof(*ret);

        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, ret, &len) < 0)
                return -errno;

        return len < offsetof(struct tcp_info, tcpi_bytes_sent) + sizeof(ret->tcpi_bytes_sent) ? -EOPNOTSUPP : 0;
}

/*
 * Returns the bytes written to the socket in *ret: acknowledged ones and those in the send queue. Bytes that are
 * acknowledged between the two calls would be in neither, so TCP_INFO is read before and after, and both have to agree.
 */
static int byte_counts_written(int fd, struct tcp_info *info, uint64_t *ret) {
        int n_unsent;

        for (unsigned i = 0; i < 3; i++) {
                uint64_t n_acked = info->tcpi_bytes_acked;

                if (ioctl(fd, SIOCOUTQ, &n_unsent) < 0)
                        return -errno;

                if (info->tcpi_bytes_sent == 0) {
                        *ret = (uint64_t) n_unsent;
                        return 0;
                }

                int r = byte_counts_tcp_info(fd, info);
                if (r < 0)
                        return r;

                if (info->tcpi_bytes_acked == n_acked) {
                        *ret = n_acked + (uint64_t) n_unsent;
                        return 0;
                }
        }

        return -EAGAIN;
}

int byte_counts_get(int fd, ByteCounts *ret) {
        struct tcp_info info = {};
        int protocol, n_unread, r;
        uint64_t n_written = 0;
        bool fin;

        /* For MPTCP, TCP_INFO counts one subflow and SIOCINQ the whole connection, so they can't be compared. */
        if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &(socklen_t){ sizeof(protocol) }) < 0)
                return -errno;
        if (protocol != IPPROTO_TCP)
                return -EOPNOTSUPP;

        /*
         * SIOCINQ is called before TCP_INFO. So bytes that arrive in between count as read, and can't hide that a
         * worker read some.
         */
        if (ioctl(fd, SIOCINQ, &n_unread) < 0)
                return -errno;

        r = byte_counts_tcp_info(fd, &info);
        if (r >= 0)
                r = byte_counts_written(fd, &info, &n_written);
        if (r < 0)
                return r;

        if (info.tcpi_state != STATE_ESTABLISHED && info.tcpi_state != STATE_CLOSE_WAIT)
                return -ENOTCONN;

        /* TCP counts the client's FIN as one received byte. */
        fin = info.tcpi_state == STATE_CLOSE_WAIT;
        *ret = (ByteCounts){ info.tcpi_bytes_received - ((uint64_t) n_unread + fin), n_written, info.tcpi_bytes_received - fin, 0 };
        return 0;
}

ByteCounts byte_counts_mark(int fd, size_t n_peeked, size_t size) {
        ByteCounts mark;

        if (n_peeked >= size || byte_counts_get(fd, &mark) < 0)
                return BYTE_COUNTS_UNKNOWN;

        mark.n_peeked = n_peeked;
        return mark;
}

static bool byte_counts_equal(int fd, const ByteCounts *mark) {
        ByteCounts now;

        return byte_counts_get(fd, &now) >= 0 && now.n_read == mark->n_read && now.n_written == mark->n_written;
}

bool byte_counts_keep_mark(int fd, const ByteCounts *mark, void *buffer, size_t size) {
        if (mark->n_peeked > size || !byte_counts_equal(fd, mark))
                return false;
        if (mark->n_peeked == 0)
                return true;

        /* If peeked bytes were read, this peek has to take new ones out of TCP's queue, or returns fewer. */
        return recv(fd, buffer, mark->n_peeked, MSG_PEEK | MSG_DONTWAIT) == (ssize_t) mark->n_peeked &&
               byte_counts_equal(fd, mark);
}

bool byte_counts_has_fin(int fd) {
        struct tcp_info info = {};

        return byte_counts_tcp_info(fd, &info) >= 0 && info.tcpi_state == STATE_CLOSE_WAIT;
}
