/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The control interface: D-Bus, peer to peer, on a socket of its own. Root and members of the socket's group may use it.
 * Another peer is turned away before a byte of it is read (control/access.h).
 *
 * The interface does not slow the handoffs. Its work has a lower priority and comes in small portions. The number of peers
 * is bounded. A peer that does not read its answers gets no more of them, and is dropped after 10 seconds.
 *
 * The broker's core does not know of it.
 */

#include "broker/broker.h"

typedef struct Control Control;

/* How the units were read the last time. */
typedef struct LoadReport {
        usec_t at;      /* CLOCK_REALTIME */
        usec_t used_at; /* when those were read that are in effect: the same, unless it failed */
        bool failed;    /* the old routes stay */
        char *findings; /* errors and warnings, one a line; NULL: none */
} LoadReport;

/* What the program does for the control interface. */
typedef struct ControlHost {
        const LoadReport *report;
        void (*reload)(void *userdata); /* reads the units again; @report is new then */
        void *userdata;
} ControlHost;

/*
 * Serves peers on @fd, a listening AF_UNIX stream socket, which is consumed on success. @b, and what @host points to,
 * must outlive it.
 */
int control_new(Broker *b, int fd, const ControlHost *host, Control **ret);
Control *control_free(Control *c);
DEFINE_CLEANUP(Control *, control_free);
