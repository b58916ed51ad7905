/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass_return(): the client goes back to the broker. */

#include <fcntl.h>

#include "basic/address.h"
#include "basic/fd.h"
#include "handoff/handoff.h"
#include "libfdpass/object.h"

static Slice slice_from(const void *p, size_t n) {
        return (Slice){ p, n };
}

/* The head that a response answers is still that where it comes back whole, and before anything else. */
static uint32_t head_length_of(const Message *m, Slice consumed) {
        return slice_has_prefix(consumed, slice_head(m->consumed, m->head_length)) ? m->head_length : 0;
}

/* What was told of the client stays true, but for what concerns this worker only. */
static Message message_of(const struct fdpass_return_args *args) {
        Message m = args->about ? args->about->message : MESSAGE_NULL;

        m.route = (Slice){};
        m.keep = 0;
        m.deadline = MESSAGE_NO_DEADLINE;
        m.hops = 0;
        m.name = args->name ? slice_from_string(args->name) : (Slice){};
        m.data = slice_from(args->data, args->data_len);
        m.head_length = head_length_of(&m, slice_from(args->consumed, args->consumed_len));
        m.consumed = slice_from(args->consumed, args->consumed_len);
        return m;
}

/* So often a broker may end between our connect() and the message. */
#define TRIES_MAX 3

static int try_to_send(const struct sockaddr_un *address, socklen_t length, Slice header, Slice consumed, int client_fd) {
        _cleanup_close_ int fd = -EBADF;

        fd = handoff_connect_type(address, length, SOCK_SEQPACKET);
        if (fd < 0)
                return fd;

        return handoff_send_message(fd, header, consumed, client_fd);
}

static int send_to(const char *path, Slice header, Slice consumed, int client_fd) {
        struct sockaddr_un address;
        socklen_t length;
        int r;

        r = address_from_path(path, &address, &length);
        if (r < 0)
                return r;

        for (unsigned i = 0; i < TRIES_MAX; i++) {
                r = try_to_send(&address, length, header, consumed, client_fd);
                if (r != -EPIPE && r != -ECONNRESET)
                        break;
        }

        return r == -ETOOMANYREFS ? -EAGAIN : r;
}

_public_ int fdpass_return_with(int client_fd, const struct fdpass_return_args *args) {
        const char *path = args->path ? args->path : FDPASS_RETURN_PATH;
        uint8_t header[FDPASS_HEADER_MAX];
        Message m = message_of(args);
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

        /* Before it is sent: the next worker has the same open file description, and may be fast. */
        r = fd_nonblock(client_fd, false);
        if (r < 0)
                return r;

        r = send_to(path, (Slice){ header, n }, m.consumed, client_fd);
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
