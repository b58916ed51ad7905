/* SPDX-License-Identifier: MIT-0 */
#pragma once

/*
 * Takes a process the ways by which a client's socket leads into the network that the socket is from.
 *
 * connect(2) with AF_UNSPEC makes an unconnected socket of a client's. It stays in the host's network namespace, so the
 * process can connect it there, or listen, whatever network the process itself has. Needs nothing but libc, because the
 * preload has it too.
 */

#include <stdbool.h>

/* The same numbers as FDPASS_MAY_CONNECT and FDPASS_MAY_LISTEN of fdpass.h. */
enum {
        CONFINE_MAY_CONNECT = 1, /* connect(2) and bind(2) stay, except for TCP */
        CONFINE_MAY_LISTEN = 2,  /* listen(2) stays */
};

/*
 * Confines the calling thread, and what it starts from now on: see fdpass_confine() in fdpass.h. Sets no_new_privs.
 * Returns 0, -EOPNOTSUPP where CONFINE_MAY_CONNECT was given and the kernel can't tell TCP from the rest (what else
 * was asked for is in force then), or another negative errno.
 */
int confine(unsigned flags);

/*
 * True where confining takes nothing that the service was given: it has NoNewPrivileges=yes, and no network interface but
 * a loopback one is up (PrivateNetwork=yes). False also where this can't be found out, and in a process that is confined:
 * filters add up with each program that is started.
 */
bool confine_is_due(void);
