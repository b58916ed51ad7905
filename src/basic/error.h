/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a function returns, in the whole tree:
 *
 *   negative   a negative errno: our own fault or the kernel's. It is only passed on, never matched,
 *              except by the classes below; somewhere up the stack one function logs it.
 *   zero       it worked.
 *   positive   a documented condition of that one function (a full backlog, a worker that is gone, a
 *              malformed message …) which its caller has to handle.
 *
 * A function either logs an error or returns it, never both.
 *
 * The classes name *sets* of errnos, so that no list of them is written twice.
 */

#include <errno.h>
#include <stdbool.h>

/* A call that could not finish now: nothing is wrong. */
static inline bool errno_is_transient(int r) {
        return r == -EAGAIN || r == -EINTR;
}

/* We, or the whole machine, are out of something that comes back: wait, never spin. */
static inline bool errno_is_resource(int r) {
        return r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -ENOBUFS || r == -ETOOMANYREFS ||
               r == -ENOSPC;
}

/* accept(2) returns errors of the *new* connection too; they end that one only (accept(2), "Error handling"). */
static inline bool errno_is_accept_again(int r) {
        return errno_is_transient(r) || r == -ECONNABORTED || r == -ECONNRESET || r == -ENETDOWN ||
               r == -EPROTO || r == -ENOPROTOOPT || r == -EHOSTDOWN || r == -ENONET ||
               r == -EHOSTUNREACH || r == -ENETUNREACH || r == -EOPNOTSUPP || r == -ETIMEDOUT ||
               r == -EPERM;
}

/* There is nothing of that name. */
static inline bool errno_is_missing(int r) {
        return r == -ENOENT;
}
