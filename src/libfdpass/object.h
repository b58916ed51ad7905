/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What struct fdpass is inside of the library: one allocation, which ends in the message itself. */

#include "basic/macro.h"
#include "handoff/message.h"
#include "libfdpass/fdpass.h"
#include "libfdpass/kept.h"

typedef enum AnswerState {
        ANSWER_GIVEN, /* by closing the connection, or by one of the three functions */
        ANSWER_OPEN,  /* the connection waits for it */
} AnswerState;

struct fdpass {
        AnswerState answer;
        Kept *kept;          /* ANSWER_OPEN: the kept connection where it goes, one reference, or */
        uint16_t number;     /* … for the client of this number */
        int conn_fd;         /* NULL: the one that is for this client alone */
        bool conn_is_theirs; /* Accept=yes: the connection is the caller's, who closes it */

        uid_t sender;
        struct sockaddr_storage peer;
        struct sockaddr_storage local;
        socklen_t peer_length;
        socklen_t local_length;

        /* Copies that end in NUL, behind the message. */
        const char *authority;
        const char *protocol;
        const char *route;
        const char *listener;

        Message message;     /* its slices point into bytes */
        uint8_t bytes[];
};

DEFINE_CLEANUP(struct fdpass *, fdpass_free);

/* Makes one with room for a message of @size bytes; NULL where there is no memory. */
struct fdpass *object_new(size_t size);

/* Gives back what a message of @n bytes doesn't need. Before anything points into the object, which may move. */
struct fdpass *object_shrink(struct fdpass *f, size_t n);

/* Fills in what the decoded message of @n bytes says, and what it leaves out from the client's own socket. */
void object_complete(struct fdpass *f, size_t n, int client_fd);

/*
 * Ends a connection whose message was received, with an answer (FDPASS_ANSWER_…) or with none (0), which
 * says "taken" too. One of the caller's is only shut down: the sender sees the same end.
 */
void connection_finish(int fd, bool is_theirs, uint8_t answer);

/*
 * Is the sender at the other end of @fd one that this socket is for? Root is, and our own user. Otherwise
 * the file that the socket is bound to decides: where not everybody may write to it, the kernel let nobody
 * else connect (unix(7), "Pathname socket ownership and permissions"), and where everybody may, its owner
 * is. 0 or -EPERM; and in any case the sender's user, as far as the kernel knows it.
 *
 * In a user namespace (PrivateUsers=yes) all users that it doesn't map look like 65534, the broker's too:
 * such a number proves nothing, and the file's mode alone decides.
 */
int sender_check(int fd, uid_t *ret_uid);
