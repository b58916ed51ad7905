/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "connections/sock-report.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <arpa/inet.h>

#include "basic/macro.h"
#include "connections/fin-wait.h"

/* The message is in any place of the buffer, so its members are copied. */
#define SOCK_REPORT_COPY(p, n, to) sock_report_copy((p), (n), &(to), sizeof(to))

static bool sock_report_copy(const uint8_t *p, size_t n, void *to, size_t size) {
        if (n < size)
                return false;

        memcpy(to, p, size);
        return true;
}

/* idiag_timer (sock_diag(7)) */
#define TIMER_OF_MINISOCKET 3

/* Length of a message or an attribute, with the bytes that fill it up to a multiple of 4 (netlink(7)). */
static size_t sock_report_align(size_t n) {
        return (n + 3) & ~(size_t) 3;
}

/* True if tcp_info has this member. Older kernels have a shorter one. */
#define HAS_FIELD(n, field) ((n) >= offsetof(struct tcp_info, field) + sizeof(((struct tcp_info *) NULL)->field))

/*
 * True if tcpi_bytes_received counts the client's FIN as a byte. The message does not say it, so it follows from how
 * the socket ended:
 *
 * - Nothing else was received.
 * - Our FIN was acknowledged. The kernel frees the socket then at the client's FIN, before or after ours. The only other
 *   way is to give up after some time without one (fin-wait.h).
 *
 * Otherwise the connection was reset. A client that sends its FIN and a reset later is rare.
 */
static bool sock_report_has_fin(const struct tcp_info *info, bool own_fin) {
        if (info->tcpi_bytes_received == 0)
                return false;
        if (info->tcpi_data_segs_in == 0)
                return true;

        return own_fin && info->tcpi_last_ack_recv < FIN_WAIT_LEAST_MSEC;
}

/* Reads the counts of a socket that is gone. */
static void sock_report_count(const struct tcp_info *info, SockReport *ret) {
        uint64_t n_sent = info->tcpi_bytes_sent - info->tcpi_bytes_retrans;
        bool own_fin = info->tcpi_bytes_acked == n_sent + 1, fin = sock_report_has_fin(info, own_fin);

        /* The kernel clears all counts for a connection that is reset by close(2) (tcp_disconnect()). */
        if (info->tcpi_segs_in == 0)
                return;

        ret->has_counts = true;
        ret->n_in = info->tcpi_bytes_received - (info->tcpi_bytes_received > 0 && fin);
        ret->n_out = info->tcpi_bytes_acked - own_fin;
        ret->rtt = info->tcpi_rtt;
        ret->n_retransmits = info->tcpi_total_retrans;
        if (own_fin && !fin)
                ret->ended_before = info->tcpi_last_ack_recv * USEC_PER_MSEC;
}

/* Looks for INET_DIAG_INFO among the attributes. */
static void sock_report_read_attributes(const uint8_t *p, size_t n, SockReport *ret) {
        struct nlattr attribute;
        struct tcp_info info = {};

        while (SOCK_REPORT_COPY(p, n, attribute)) {
                size_t length = attribute.nla_len, skip = sock_report_align(length);

                if (length < sizeof(attribute) || length > n)
                        return;

                if (attribute.nla_type == INET_DIAG_INFO) {
                        length -= sizeof(attribute);
                        if (!HAS_FIELD(length, tcpi_bytes_retrans))
                                return;

                        memcpy(&info, p + sizeof(attribute), MIN(length, sizeof(info)));
                        sock_report_count(&info, ret);
                        return;
                }

                if (skip >= n)
                        return;
                p += skip;
                n -= skip;
        }
}

static void sock_report_read_socket(const struct nlmsghdr *header, const uint8_t *p, size_t n, SockReport *ret) {
        struct inet_diag_msg socket;
        bool is_end;

        if (!SOCK_REPORT_COPY(p, n, socket))
                return;

        /* A minisocket has the cookie of a socket that is gone (inet_twsk_diag_dump() in the kernel). */
        is_end = !(header->nlmsg_flags & NLM_F_MULTI) && header->nlmsg_seq == 0;
        if (!is_end && socket.idiag_timer == TIMER_OF_MINISOCKET)
                return;

        ret->kind = is_end ? SOCK_REPORT_END : SOCK_REPORT_LISTED;
        ret->cookie = socket.id.idiag_cookie[0] | (uint64_t) socket.id.idiag_cookie[1] << 32;
        ret->port = ntohs(socket.id.idiag_sport);
        if (is_end)
                sock_report_read_attributes(p + sizeof(socket), n - sizeof(socket), ret);
}

static void sock_report_read(const struct nlmsghdr *header, const uint8_t *p, size_t n, SockReport *ret) {
        struct nlmsgerr error;

        switch (header->nlmsg_type) {

        case SOCK_DIAG_BY_FAMILY:
                sock_report_read_socket(header, p, n, ret);
                break;

        case NLMSG_DONE:
                ret->kind = SOCK_REPORT_DONE;
                break;

        case NLMSG_ERROR:
                if (!SOCK_REPORT_COPY(p, n, error))
                        break;
                ret->kind = SOCK_REPORT_FAILED;
                ret->error = error.error < 0 && error.error > -4096 ? error.error : -EIO;
                break;
        }
}

bool sock_report_next(const uint8_t **p, size_t *n, SockReport *ret) {
        struct nlmsghdr header;
        size_t skip;

        if (!SOCK_REPORT_COPY(*p, *n, header) || header.nlmsg_len < sizeof(header) || header.nlmsg_len > *n)
                return false;

        *ret = (SockReport){ .kind = SOCK_REPORT_OTHER, .sequence = header.nlmsg_seq };
        sock_report_read(&header, *p + sizeof(header), header.nlmsg_len - sizeof(header), ret);

        skip = MIN(sock_report_align(header.nlmsg_len), *n);
        *p += skip;
        *n -= skip;
        return true;
}
