/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How long the kernel keeps a socket that its holder has closed, and whose client does not send its FIN.
 *
 * By default (tcp_fin_timeout, 60 s) that is no time at all: a minisocket takes over, and nothing says whether the
 * client's FIN is among the counted bytes. With a TCP_LINGER2 above 60 s (TCP_TIMEWAIT_LEN) the socket stays for what
 * is beyond 60 s, and most clients send their FIN meanwhile. Listeners get this option, and their clients inherit it.
 */

#include "basic/time.h"

#define FIN_WAIT_LINGER_SECONDS 62 /* TCP_LINGER2 */

/* A socket that had no segment for this long was given up. The timer of the kernel is for 2 s. */
#define FIN_WAIT_LEAST_MSEC 1500
