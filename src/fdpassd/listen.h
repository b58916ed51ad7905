/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The sockets that systemd passed in. */

#include "fdpassd/reports.h"

/*
 * Gives each socket of $LISTEN_FDS to the broker, by its name in $LISTEN_FDNAMES (sd_listen_fds(3)). A descriptor that
 * is not a listening stream socket is logged and closed.
 *
 * A stream socket with the name "control" is not for clients. The caller gets and owns it in @ret_control_fd; -EBADF:
 * there is none. The same holds for @ret_drained_fd and @ret_seal_fd, the files that drained.h and seal-store.h describe,
 * and for @reports. Returns how many sockets clients can come by, or a negative errno, which it logs.
 */
int listen_inherited(Broker *b, int *ret_control_fd, int *ret_drained_fd, int *ret_seal_fd, Reports *reports);
