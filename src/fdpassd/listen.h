/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The listeners that systemd passed in. */

#include "broker/broker.h"

/*
 * Gives every descriptor of $LISTEN_FDS to the broker, by its name in $LISTEN_FDNAMES. What is no listening
 * stream socket is logged and closed. Returns how many there are, or a negative errno, which it logs.
 *
 * The one that is named "control" is not for clients: *ret_control_fd is that, and the caller's, or -EBADF.
 */
int listen_inherited(Broker *b, int *ret_control_fd);
