/* SPDX-License-Identifier: MIT-0 */
#pragma once

/*
 * Keeps a process from the network that its clients' sockets belong to.
 *
 * connect(2) with AF_UNSPEC disconnects a client's socket. The socket stays in the network namespace of the host. So a
 * process without a network of its own could connect it to another address there, or listen on it.
 *
 * These files need nothing but libc, because the preload links them too.
 */

#include <stdbool.h>

/* The same numbers as FDPASS_MAY_CONNECT and FDPASS_MAY_LISTEN of fdpass.h. */
enum {
        CONFINE_MAY_CONNECT = 1, /* connect(2) and bind(2) stay allowed, except for TCP */
        CONFINE_MAY_LISTEN = 2,  /* listen(2) stays allowed */
};

/*
 * Confines the calling thread, and the threads and processes that it starts from now on, as fdpass_confine() in
 * fdpass.h says. @flags: CONFINE_MAY_…, or 0. Sets no_new_privs (prctl(2)).
 *
 * Returns 0, or a negative errno: -EOPNOTSUPP with CONFINE_MAY_CONNECT if the kernel has no Landlock for TCP (Linux
 * 6.7). Then the rest is in force.
 */
int confine(unsigned flags);

/*
 * Returns whether confine() takes nothing away that the service has: it has NoNewPrivileges=yes, and only loopback
 * interfaces are up (PrivateNetwork=yes). Returns false if this can't be found out. Returns false in a confined process
 * too, because each program that it starts would add a filter.
 */
bool confine_is_due(void);
