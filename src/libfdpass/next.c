/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass_next(): whose the next request of a client is. */

#include <errno.h>

#include "handoff/ktls.h"
#include "handoff/scope.h"
#include "libfdpass/object.h"
#include "libfdpass/return-conn.h"

/* Longest head that is looked at, in bytes. The default of MaxHeadSize=, so few requests are longer. */
#define NEXT_HEAD_MAX 16384

/*
 * Puts what comes next into @buffer: the received bytes, and those that the socket has. Returns the number of bytes, 0
 * at the client's end, or -errno.
 */
static ssize_t next_peek(int client_fd, Slice received, uint8_t buffer[static NEXT_HEAD_MAX]) {
        size_t n = MIN(received.n, (size_t) NEXT_HEAD_MAX);
        ssize_t k;

        if (n > 0)
                memcpy(buffer, received.p, n);
        if (n == NEXT_HEAD_MAX)
                return (ssize_t) n;

        k = ktls_recv(client_fd, buffer + n, NEXT_HEAD_MAX - n, MSG_PEEK | (n > 0 ? MSG_DONTWAIT : 0));
        if (k < 0 && n == 0)
                return k;

        return (ssize_t) n + MAX(k, 0);
}

static int next_hand_back(int client_fd, const struct fdpass *f, const char *path, Slice received) {
        const struct fdpass_return_args args = {
                .size = sizeof(args),
                .path = path,
                .consumed = received.p,
                .consumed_len = received.n,
                .about = f,
        };
        int r = fdpass_return_with(client_fd, &args);

        /* -EAGAIN would say that there is no request yet. */
        return r == -EAGAIN ? -EBUSY : r < 0 ? r : FDPASS_NEXT_RETURNED;
}

_public_ int fdpass_next(int client_fd, const struct fdpass *f, const struct fdpass_next_args *args) {
        Slice received = args ? (Slice){ args->received, args->received_len } : (Slice){};
        uint8_t buffer[NEXT_HEAD_MAX];
        Scope scope;
        ssize_t n;

        if (args && args->size != sizeof(*args))
                return -EINVAL;

        return_conn_want();

        /* A response that a flusher began ends with the connection. */
        if (f->message.status != 0)
                return FDPASS_NEXT_END;

        (void) scope_decode(f->message.scope, &scope); /* without a scope every client goes back */
        if (scope.is_drained || return_conn_is_drained())
                return next_hand_back(client_fd, f, args ? args->path : NULL, received);

        n = next_peek(client_fd, received, buffer);
        if (n <= 0)
                return n < 0 ? (int) n : FDPASS_NEXT_END;

        if (scope_covers(&scope, (Slice){ buffer, (size_t) n }))
                return FDPASS_NEXT_OWN;

        return next_hand_back(client_fd, f, args ? args->path : NULL, received);
}
