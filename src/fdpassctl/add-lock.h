/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One add or remove of a NAME at a time. The lock is a hidden file of ADD_DIRECTORY, which systemd ignores. Only root can
 * open it, so no other user can hold it. One that a killed process left has no holder, and is used again.
 */

#include "fdpassctl/add-types.h"

typedef struct AddLock {
        int directory_fd;         /* ADD_DIRECTORY; borrowed */
        int fd;                   /* -EBADF: not locked */
        char file[sizeof(".#fdpassctl-.lock") + ADD_NAME_MAX];
} AddLock;

#define ADD_LOCK_NULL { .fd = -EBADF }

/*
 * Locks @name. Returns 0, or -EBUSY after a message. If no file can be made or locked there (a read-only
 * directory), nothing is locked and the result is 0, because the next step tells why.
 */
int add_lock_take(AddLock *l, int directory_fd, const char *name);

/* Removes the file. Does nothing if nothing is locked. */
void add_lock_release(AddLock *l);
