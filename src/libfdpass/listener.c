/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "libfdpass/listener.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "basic/macro.h"

/* Sockets that one thread knows. A program with more than these asks again for some of them. */
#define LISTENERS_MAX 8

/* Each thread has its own, so that none waits for another one. */
static _Thread_local Listener listeners[LISTENERS_MAX];

/*
 * The kernel gives out the lowest free number (open(2)). A process that has all of its descriptors open has had one in
 * the upper half before, unless it made them without this library.
 */
static atomic_int listener_scarce_from;
static atomic_bool listener_scarce;

static uint64_t listener_cookie(int fd) {
        uint64_t cookie = 0;
        socklen_t length = sizeof(cookie);

        return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) < 0 ? 0 : cookie;
}

Listener *listener_find(int fd) {
        uint64_t cookie = listener_cookie(fd);
        Listener *l = &listeners[cookie % LISTENERS_MAX];

        return cookie != 0 && l->cookie == cookie ? l : NULL;
}

Listener *listener_add(int fd, int type) {
        uint64_t cookie = listener_cookie(fd);
        Listener *l = &listeners[cookie % LISTENERS_MAX];
        struct rlimit limit;

        if (cookie == 0)
                return NULL;

        if (getrlimit(RLIMIT_NOFILE, &limit) >= 0)
                atomic_store(&listener_scarce_from, (int) MIN(limit.rlim_cur / 2, (rlim_t) INT32_MAX));
        *l = (Listener){ .cookie = cookie, .type = type };
        return l;
}

bool listener_is_room_scarce(void) {
        return atomic_load_explicit(&listener_scarce, memory_order_relaxed);
}

void listener_note_descriptor(int fd) {
        if (fd == -EMFILE || fd == -ENFILE || fd >= atomic_load_explicit(&listener_scarce_from, memory_order_relaxed))
                atomic_store_explicit(&listener_scarce, true, memory_order_relaxed);
}
