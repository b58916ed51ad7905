/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A report of the kernel about a TCP socket, by netlink (sock_diag(7)): it is gone, or it is in a list.
 *
 * The kernel frees a socket when its last holder has closed it and TCP needs it no longer. Its last message has struct
 * tcp_info, from which the bytes are found.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basic/time.h"

typedef enum SockReportKind {
        SOCK_REPORT_END,    /* a socket is gone */
        SOCK_REPORT_LISTED, /* a socket of the list that was asked for */
        SOCK_REPORT_DONE,   /* the list ends */
        SOCK_REPORT_FAILED, /* the list can't be had: SockReport.error */
        SOCK_REPORT_OTHER,  /* nothing that is of use */
} SockReportKind;

typedef struct SockReport {
        SockReportKind kind;
        uint32_t sequence;    /* number of the request that is answered; 0: none */
        int error;            /* negative errno */
        uint64_t cookie;      /* SO_COOKIE of the socket */
        uint16_t port;        /* port of our end, in host byte order */

        bool has_counts;      /* the next members are valid; not after close(2) with SO_LINGER of 0 s, which clears them */
        uint64_t n_in, n_out; /* bytes of the client, and bytes that it acknowledged */
        usec_t rtt;           /* smoothed round trip time */
        uint32_t n_retransmits; /* segments that were sent again */
        usec_t ended_before;  /* the connection ended this long ago, because the client did not send its FIN */
} SockReport;

/*
 * Reads the message at *p of *n bytes and moves on to the next one. Returns false at the end, or if the rest is no
 * message.
 */
bool sock_report_next(const uint8_t **p, size_t *n, SockReport *ret);
