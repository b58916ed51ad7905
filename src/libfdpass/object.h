/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * struct fdpass inside of the library: the facts about one client, and the connection on which its answer is still due.
 * It is one allocation, which ends in the bytes of the message and in the strings that were copied out of it.
 */

#include "basic/macro.h"
#include "handoff/message.h"
#include "libfdpass/fdpass.h"
#include "libfdpass/persistent.h"

typedef enum AnswerState {
        ANSWER_GIVEN, /* by the end of the connection, or by fdpass_taken(), fdpass_decline() or fdpass_reject() */
        ANSWER_DUE,   /* the sender waits for it */
} AnswerState;

struct fdpass {
        AnswerState answer;
        PersistentConn *persistent; /* where a due answer is sent to; one reference. NULL: @conn_fd */
        uint16_t seq;               /* number of the client on @persistent */
        int conn_fd;                /* connection of this client alone; -EBADF: none */
        bool conn_is_callers;       /* with Accept=yes the caller owns @conn_fd */

        uid_t sender;               /* as from sender_check(); (uid_t) -1: unknown */
        struct sockaddr_storage peer;
        struct sockaddr_storage local;
        socklen_t peer_length;      /* 0: the address is unknown */
        socklen_t local_length;     /* 0: the address is unknown */

        /* Copies that end in NUL, behind the message. NULL: the message lacks this fact. */
        const char *authority;
        const char *protocol;
        const char *route;
        const char *listener;
        const char *tls_version;
        const char *tls_cipher;
        const char *tls_client_name;
        const char *tls_server_name;

        Message message;            /* its slices point into @bytes */
        uint8_t bytes[];
};

DEFINE_CLEANUP(struct fdpass *, fdpass_free);

/* Makes an object with room for a message of @size bytes. Returns NULL if there is no memory. */
struct fdpass *object_new(size_t size);

/*
 * Shrinks @f to a message of @n bytes. The object may move, so nothing may point into it yet. Returns its new place,
 * which is the old one if there is no memory.
 */
struct fdpass *object_shrink(struct fdpass *f, size_t n);

/*
 * Completes @f, whose message of @n bytes is decoded: strings, and the addresses of @client_fd if the message has none.
 */
void object_complete(struct fdpass *f, size_t n, int client_fd);

/*
 * Ends the connection @fd, whose message was received, with an answer (FDPASS_ANSWER_…) or without one (0), which
 * counts as "taken". Consumes @fd. With @is_callers the connection is only shut down, which looks the same to the
 * sender.
 */
void object_end_connection(int fd, bool is_callers, uint8_t answer);
