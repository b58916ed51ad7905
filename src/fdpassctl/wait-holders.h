/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which units have sockets, by their inodes. Only root sees the descriptors of others (proc(5)). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct WaitHolders {
        uint32_t *inodes;   /* sorted once they are looked for; owned */
        bool *is_found;     /* for each of @inodes: a process has it; owned; NULL: they were not looked for */
        size_t n;
        size_t n_unaccepted; /* sockets that no process has: they are in a backlog */
} WaitHolders;

/* Adds a socket. @inode is 0 if no process has it. Returns 0 or -ENOMEM. */
int wait_holders_add(WaitHolders *h, uint32_t inode);
void wait_holders_done(WaitHolders *h);

/* Prints the end of a line: ": 3 in a.service, 1 in no process yet." */
void wait_holders_print(WaitHolders *h, FILE *f);
