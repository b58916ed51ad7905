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
#include "control/host.h"

typedef struct Control Control;

/*
 * Serves peers on @fd, a listening AF_UNIX stream socket. @fd is consumed on success, and stays the caller's after an
 * error. @b, and what @host points to, must outlive the interface. Returns 0 or a negative errno.
 */
int control_new(Broker *b, int fd, const ControlHost *host, Control **ret);
Control *control_free(Control *c);
DEFINE_CLEANUP(Control *, control_free);
