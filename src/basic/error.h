/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Results of functions in the whole tree:
 *
 *   negative   a negative errno: a fault of the program or of the kernel. Callers pass it on, and one function up the
 *              stack logs it. Callers compare it only by the classes below.
 *   zero       success.
 *   positive   a documented condition of that function, for instance a full backlog. The caller has to handle it.
 *
 * A function logs an error or returns it, never both.
 *
 * A class is a set of errnos, so that no such list is written twice. Each takes a negative errno.
 */

#include <errno.h>
#include <stdbool.h>

/* The call could not finish now and may be repeated. */
static inline bool errno_is_transient(int r) {
        return r == -EAGAIN || r == -EINTR;
}

/* The process or the machine has too little of something. It comes back, so the call is repeated after a pause. */
static inline bool errno_is_resource(int r) {
        return r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -ENOBUFS || r == -ETOOMANYREFS ||
               r == -ENOSPC;
}

/* accept(2) also returns errors of the new connection. They end this connection only (accept(2), "Error handling"). */
static inline bool errno_is_accept_again(int r) {
        return errno_is_transient(r) || r == -ECONNABORTED || r == -ECONNRESET || r == -ENETDOWN ||
               r == -EPROTO || r == -ENOPROTOOPT || r == -EHOSTDOWN || r == -ENONET ||
               r == -EHOSTUNREACH || r == -ENETUNREACH || r == -EOPNOTSUPP || r == -ETIMEDOUT ||
               r == -EPERM;
}

/* There is no file of that name. */
static inline bool errno_is_missing(int r) {
        return r == -ENOENT;
}
