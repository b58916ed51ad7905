/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pages that make a system call wait which reads or writes them. The call holds its locks meanwhile: send(2) holds the
 * socket's, epoll_wait(2) the epoll's.
 */

#include <stdbool.h>
#include <stddef.h>

#define HOLD_PAGE 4096U
#define HOLD_SKIPPED 77 /* exit status: this machine does not have what is needed */

/* A page on which a fault waits, and how to find out that one does. */
typedef struct HoldPage {
        char *address;
        int wanted_fd;       /* readable once the page is wanted; -1: see punch */
        void (*punch)(void); /* makes faults wait from now on, until it returns; NULL: they wait without it */
} HoldPage;

/* Gives up all rights of root. The process is killed with its parent. */
void hold_become_nobody(void);

/* Each ends the process with HOLD_SKIPPED where the machine can't do it. */

/*
 * A file system in @directory, in a mount namespace of its own, whose server never answers a read or, where @flush says
 * so, a flush. The calling process becomes the server, without @socket_fd; this returns in a child, which ends with it.
 * All waits end with the server. *ret_file_fd is the one file.
 */
void hold_fuse(const char *directory, bool flush, int socket_fd, HoldPage *ret, int *ret_file_fd);

/* A missing page of anonymous memory. */
void hold_userfaultfd(HoldPage *ret);

/* A missing page of a memfd that is punched out: slow, because of many mappings in the processes that it starts. */
void hold_memfd(unsigned n_processes, HoldPage *ret);
