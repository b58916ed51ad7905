/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The facts about a listening socket of a worker that do not change. fdpass_accept() asks the kernel for them only once. */

#include <stdbool.h>

#include "basic/time.h"

typedef struct Listener {
        uint64_t cookie;      /* SO_COOKIE, which no other socket gets before the next boot; 0: an unused entry */
        int type;             /* SOCK_STREAM or SOCK_SEQPACKET */
        usec_t private_until; /* until then only the users that its file admits can have connected, see sender_check() */
} Listener;

/*
 * Finds @fd among the listening sockets that this thread knows, by one system call. Returns NULL if it is not known yet,
 * or if @fd is something else. The result is valid until the next listener_add() of this thread.
 */
Listener *listener_find(int fd);

/* Adds @fd, which is a listening socket of AF_UNIX. Returns NULL if the kernel does not tell sockets apart. */
Listener *listener_add(int fd, int type);

/*
 * True if this process may be short of descriptors. Then a descriptor has to be reserved for a client before anything is
 * received, because recvmsg(2) would drop the client. Nothing makes this false again.
 */
bool listener_is_room_scarce(void);

/* Notes that accept4(2) gave @fd, or a negative errno. */
void listener_note_descriptor(int fd);
