/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The netlink socket on which the kernel reports TCP sockets that are gone, and lists those that are there. systemd
 * opens it in the host's network namespace (fdpass-connections.socket).
 *
 * No call waits. The kernel makes a list piece by piece, one for each recv(2).
 */

#include "connections/sock-report.h"

/* Ports that the filter may have. A socket with more gets the reports of all ports. */
#define DIAG_PORTS_MAX 1024

typedef struct DiagSocket {
        int fd;                /* borrowed */
        bool is_listing;       /* a list was asked for, and its end has not come */
        uint32_t sequence;     /* number of that request */
        uint8_t *buffer;
        struct DiagBatch *batch; /* what recvmmsg(2) needs */
} DiagSocket;

typedef void DiagHandler(void *userdata, const SockReport *report);

/* @fd is borrowed. It becomes non-blocking. Returns 0 or a negative errno. */
int diag_socket_init(DiagSocket *s, int fd);
void diag_socket_done(DiagSocket *s);

/*
 * Lets only reports about these ports of our end through, in host byte order. The kernel drops others before they cost
 * anything here (socket(7), SO_ATTACH_FILTER). Returns 0 or a negative errno.
 */
int diag_socket_filter(const DiagSocket *s, const uint16_t *ports, size_t n_ports);

/*
 * Asks for all sockets of @family with this port. One list can be asked for at a time. Returns 0 or a negative errno: -EAGAIN if the kernel is not ready for it.
 */
int diag_socket_list(DiagSocket *s, int family, uint16_t port);

/* Condition of diag_socket_read() */
enum {
        DIAG_LOST = 1, /* the kernel dropped reports, because they were not read in time */
};

/*
 * Reads what is there, at most 256 reports, or about 128 KiB of a list, and calls @handler for each. Returns 0,
 * DIAG_LOST, or a negative errno: -EAGAIN if there is no more.
 */
int diag_socket_read(DiagSocket *s, DiagHandler *handler, void *userdata);
