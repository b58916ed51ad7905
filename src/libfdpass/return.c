/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass_return(): hands a client back to the broker. */

#include <fcntl.h>

#include "basic/address.h"
#include "basic/fd.h"
#include "handoff/handoff.h"
#include "libfdpass/object.h"
#include "libfdpass/return-conn.h"

/* How often to connect again if a broker stops between our connect(2) and our message. */
#define RETURN_TRIES_MAX 3

/* The head that a flusher has answered counts only if it comes back whole, at the beginning of the consumed bytes. */
static uint32_t return_head_length(const Message *m, Slice consumed) {
        return slice_has_prefix(consumed, slice_head(m->consumed, m->head_length)) ? m->head_length : 0;
}

/* Passes on all facts about the client, except for those that concern this worker only. */
static Message return_message(const struct fdpass_return_args *args) {
        Message m = args->about ? args->about->message : MESSAGE_NULL;

        m.route = m.scope = (Slice){};
        m.persistent_max = 0;
        m.deadline = MESSAGE_NO_DEADLINE;
        m.hops = 0;
        m.name = args->name ? slice_from_string(args->name) : (Slice){};
        m.data = (Slice){ args->data, args->data_len };
        m.head_length = return_head_length(&m, (Slice){ args->consumed, args->consumed_len });
        m.consumed = (Slice){ args->consumed, args->consumed_len };
        return m;
}

static int return_try(const struct sockaddr_un *address, socklen_t length, Slice header, Slice consumed,
                      int client_fd) {
        _cleanup_close_ int fd = -EBADF;

        fd = handoff_connect_type(address, length, SOCK_SEQPACKET);
        if (fd < 0)
                return fd;

        return handoff_send_message(fd, header, consumed, client_fd);
}

/* A name, and another path than the usual one, are not for the return connection. */
static bool return_may_use_conn(const struct fdpass_return_args *args, const Message *m) {
        return !args->path && !args->name && m->seal.n > 0;
}

static int return_send(const char *path, Slice header, Slice consumed, int client_fd) {
        struct sockaddr_un address;
        socklen_t length;
        int r;

        r = address_from_path(path, &address, &length);
        if (r < 0)
                return r;

        for (unsigned i = 0; i < RETURN_TRIES_MAX; i++) {
                r = return_try(&address, length, header, consumed, client_fd);
                if (r != -EPIPE && r != -ECONNRESET)
                        break;
        }

        return r;
}

_public_ int fdpass_return_with(int client_fd, const struct fdpass_return_args *args) {
        const char *path = args->path ? args->path : FDPASS_RETURN_PATH;
        uint8_t header[FDPASS_HEADER_MAX];
        Message m = return_message(args);
        int flags, r;
        size_t n;

        if (args->size != sizeof(*args) || (args->name && m.name.n == 0))
                return -EINVAL;

        r = handoff_check_client(client_fd, /* with_unix= */ false);
        if (r != 0)
                return r < 0 ? r : -EPROTOTYPE;

        r = message_encode(&m, header, sizeof(header), &n);
        if (r < 0)
                return r;

        flags = fcntl(client_fd, F_GETFL);
        if (flags < 0)
                return -errno;

        /*
         * Before the message is sent, because O_NONBLOCK belongs to the open file description that the next worker has
         * too.
         */
        r = fd_nonblock(client_fd, false);
        if (r < 0)
                return r;

        r = return_may_use_conn(args, &m) ? return_conn_send((Slice){ header, n }, m.consumed, client_fd) : -ENOTCONN;
        if (r == -ENOTCONN)
                r = return_send(path, (Slice){ header, n }, m.consumed, client_fd);
        if (r == -ETOOMANYREFS)
                r = -EAGAIN;
        if (r < 0 && flags & O_NONBLOCK)
                (void) fd_nonblock(client_fd, true);

        return r;
}

_public_ int fdpass_return(int client_fd, const char *path, const char *name, const void *data,
                           size_t data_len) {
        const struct fdpass_return_args args = {
                .size = sizeof(args),
                .path = path,
                .name = name,
                .data = data,
                .data_len = data_len,
        };

        return fdpass_return_with(client_fd, &args);
}
