/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The control interface org.fdpass.Broker1: D-Bus without a bus, on a socket of its own. The mode of the socket's file
 * decides which users may connect.
 *
 * The interface does not delay handoffs: its events have a low priority, and each does a small piece of work. The
 * number of connections is bounded. A peer that does not read its answers gets no more of them, and after 10 s its
 * connection is closed.
 *
 * No file of src/broker uses it.
 */

#include "broker/broker.h"

typedef struct Control Control;

/* Result of the last time that the units were read. */
typedef struct LoadReport {
        usec_t at;       /* CLOCK_REALTIME, when they were read */
        usec_t used_at;  /* CLOCK_REALTIME, when the units in effect were read; the same as @at unless @has_failed */
        bool has_failed; /* they were not put in effect: the old routes stay */
        char *findings;  /* errors and warnings, one a line; NULL: none */
} LoadReport;

/* The program's side of the control interface. */
typedef struct ControlHost {
        const LoadReport *report;       /* borrowed */
        void (*reload)(void *userdata); /* reads the units again and updates @report */
        void *userdata;
} ControlHost;

/*
 * Serves peers on @fd, a listening AF_UNIX stream socket. @fd is consumed on success, and stays the caller's after an
 * error. @b, and what @host points to, must outlive the interface. Returns 0 or a negative errno.
 */
int control_new(Broker *b, int fd, const ControlHost *host, Control **ret);
Control *control_free(Control *c);
DEFINE_CLEANUP(Control *, control_free);
