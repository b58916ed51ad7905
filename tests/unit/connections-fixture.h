/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages of the kernel about TCP sockets, as tests make them. Needs no cmocka, so the fuzzer may use it, too. */

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <stdint.h>
#include <string.h>

/* The counts of a connection that ended as most do: both FINs are acknowledged. 100 bytes in, 2000 bytes out. */
#define INFO_ENDED { .tcpi_segs_in = 5, .tcpi_data_segs_in = 1, .tcpi_bytes_received = 101, .tcpi_bytes_acked = 2001, \
                     .tcpi_bytes_sent = 2000, .tcpi_rtt = 700, .tcpi_total_retrans = 3 }

typedef struct DiagMessage {
        struct nlmsghdr header;
        struct inet_diag_msg socket;
        struct nlattr protocol_attribute;
        uint8_t protocol[4];
        struct nlattr info_attribute;
        uint8_t info[sizeof(struct tcp_info)]; /* bytes, because the message has no gap before it */
} DiagMessage;

/* A report that the socket with this cookie is gone. */
static inline DiagMessage diag_message(uint64_t cookie, const struct tcp_info *info) {
        DiagMessage m = {
                .header = { .nlmsg_len = sizeof(m), .nlmsg_type = SOCK_DIAG_BY_FAMILY },
                .socket = { .idiag_family = AF_INET, .idiag_state = 7, .id.idiag_sport = htons(80) },
                .protocol_attribute = { 5, INET_DIAG_PROTOCOL },
                .protocol = { IPPROTO_TCP },
                .info_attribute = { sizeof(struct nlattr) + sizeof(*info), INET_DIAG_INFO },
        };

        memcpy(m.info, info, sizeof(*info));
        m.socket.id.idiag_cookie[0] = (uint32_t) cookie;
        m.socket.id.idiag_cookie[1] = (uint32_t) (cookie >> 32);
        return m;
}

/* The same message as a part of the list @sequence. */
static inline DiagMessage diag_listed(uint64_t cookie, uint32_t sequence, const struct tcp_info *info) {
        DiagMessage m = diag_message(cookie, info);

        m.header.nlmsg_flags = NLM_F_MULTI;
        m.header.nlmsg_seq = sequence;
        m.socket.idiag_state = 1;
        return m;
}

/* The end of that list. */
static inline struct nlmsghdr diag_done(uint32_t sequence) {
        return (struct nlmsghdr){ sizeof(struct nlmsghdr) + 4, NLMSG_DONE, NLM_F_MULTI, sequence, 0 };
}
