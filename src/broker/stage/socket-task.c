/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/socket-task.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "broker/stage/answer.h"
#include "broker/stage/socket-options.h"
#include "handoff/handoff.h"
#include "handoff/ktls.h"

/* Bytes of the client that are thrown away. A client that has sent more gets a reset with its answer. */
#define DRAIN_MAX (256 * 1024)

static int socket_task_get_address(int fd, int (*get)(int, struct sockaddr *, socklen_t *), ClientAddress *ret) {
        struct sockaddr_storage ss = {};
        socklen_t len = sizeof(ss);

        if (get(fd, (struct sockaddr *) &ss, &len) < 0)
                return -errno;

        memset(ret, 0, sizeof(*ret));
        memcpy(ret, &ss, MIN(sizeof(*ret), (size_t) len));
        return 0;
}

static in_port_t socket_task_port(const ClientAddress *a) {
        return a->sa.sa_family == AF_INET ? a->in.sin_port : a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : 0;
}

/*
 * True if @local is still the address of our end. If the broker does not know that address, the port of the listener is
 * compared, because a socket that a worker connected anew has another port.
 */
static bool socket_task_is_local(const SocketTask *t, const ClientAddress *local) {
        ClientAddress listener;

        if (t->local.sa.sa_family != AF_UNSPEC)
                return client_address_equal(&t->local, local);

        return t->listener_fd < 0 || socket_task_get_address(t->listener_fd, getsockname, &listener) < 0 ||
               socket_task_port(&listener) == socket_task_port(local);
}

/* True if a worker has shut the socket down for reading. That raises POLLRDHUP although the client has sent no FIN. */
static bool socket_task_is_shut(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLRDHUP };

        return poll(&p, 1, 0) > 0 && p.revents & POLLRDHUP && !byte_counts_has_fin(fd);
}

/*
 * Returns 0 if the socket still has the same connection, or a negative errno. A worker may have disconnected it
 * (connect(2), AF_UNSPEC) and connected it anew. Then TCP counts from 0 again, and our end has another port, even if
 * the peer is the same.
 */
static int socket_task_same(SocketTask *t, int fd) {
        ClientAddress peer, local;
        ByteCounts now;
        int r;

        r = socket_task_get_address(fd, getpeername, &peer);
        if (r >= 0)
                r = socket_task_get_address(fd, getsockname, &local);
        if (r >= 0)
                r = byte_counts_get(fd, &now);
        if (r < 0)
                return r;

        if (socket_task_is_shut(fd) || !client_address_equal(&t->peer, &peer) || !socket_task_is_local(t, &local) ||
            now.n_received < t->before.n_received)
                return -ESTALE;

        t->local = local;
        return 0;
}

static int socket_task_connected(SocketTask *t, int fd) {
        int r;

        r = socket_task_get_address(fd, getpeername, &t->peer);
        if (r >= 0)
                r = socket_task_get_address(fd, getsockname, &t->local);
        if (r < 0)
                return r;

        /* A socket other than TCP's never counts as untouched. */
        if (byte_counts_get(fd, &t->counts) < 0)
                t->counts = BYTE_COUNTS_UNKNOWN;
        return 0;
}

static int socket_task_untouched(SocketTask *t, int fd) {
        ByteCounts now;
        int r;

        if (t->is_ktls)
                return byte_counts_keep_mark(fd, &t->before, t->head, sizeof(t->head)) ? 0 : -ESTALE;

        r = byte_counts_get(fd, &now);
        if (r < 0)
                return r;

        return now.n_read == t->before.n_read && now.n_written == t->before.n_written ? 0 : -ESTALE;
}

/* With the kernel's TLS, recvmsg(2) sets MSG_CTRUNC for each record, which handoff_recv() takes for lost descriptors. */
static ssize_t socket_task_recv(const SocketTask *t, int fd, void *p, size_t size) {
        return t->is_ktls ? recv(fd, p, size, MSG_DONTWAIT) : handoff_recv(fd, p, size, MSG_DONTWAIT);
}

static int socket_task_consume(SocketTask *t, int fd) {
        ssize_t n = socket_task_recv(t, fd, t->head, MIN(t->n_consume, sizeof(t->head)));

        t->n_head = n > 0 ? (size_t) n : 0;
        return n < 0 ? -errno : t->n_head == t->n_consume ? 0 : -EPIPE;
}

/*
 * The error of a broken TLS record, which a peek does not tell if it finds bytes before the record (tls_sw_recvmsg(),
 * seen on Linux 6.1 to 6.12). Each such peek raises the error again, and with it an event of the socket. So without this
 * the next peek would follow at once, for ever.
 */
static int socket_task_hidden_error(int fd) {
        int r = fd_option(fd, SO_ERROR);

        return r > 0 ? -r : r;
}

static int socket_task_peek(SocketTask *t, int fd) {
        size_t max = MIN(t->head_max, sizeof(t->head));
        ssize_t n;

        t->n_head = t->n_prefix;
        n = ktls_recv(fd, t->head + t->n_prefix, max - MIN(t->n_prefix, max), MSG_PEEK | MSG_DONTWAIT);
        if (n < 0)
                return errno_is_transient((int) n) ? 0 : (int) n;

        t->n_head += (size_t) n;
        t->is_end = n == 0 && max > t->n_prefix;
        return t->is_ktls && n > 0 ? socket_task_hidden_error(fd) : 0;
}

static int socket_task_answer(SocketTask *t) {
        Answer answer;

        (void) answer_to_head((Slice){ t->head, t->n_head }, t->head_max, t->refusal, t->refusal_reason, t->refusal_status, &answer);
        t->n_text = MIN(answer.n, sizeof(t->text));
        memcpy(t->text, answer.bytes, t->n_text);
        return 0;
}

static int socket_task_drain(const SocketTask *t, int fd) {
        uint8_t bytes[16384];
        size_t n_drained = 0;
        ssize_t n;

        while (n_drained < DRAIN_MAX && (n = socket_task_recv(t, fd, bytes, sizeof(bytes))) > 0)
                n_drained += (size_t) n;

        return 0;
}

static int socket_task_send(SocketTask *t, int fd) {
        while (t->n_sent < t->n_text) {
                ssize_t n = send(fd, t->text + t->n_sent, t->n_text - t->n_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0)
                        return errno_is_transient(-errno) ? 0 : -errno;
                t->n_sent += (size_t) n;
        }

        return 0;
}

static int socket_task_shutdown(const SocketTask *t, int fd) {
        if (t->is_ktls)
                (void) ktls_close_notify(fd, NULL);

        return shutdown(fd, t->how) < 0 ? -errno : 0;
}

/*
 * Resets the connection. close(2) would not do that, because another process holds the socket, but disconnecting it
 * does (connect(2), AF_UNSPEC). A socket with the kernel's TLS can't be disconnected (EOPNOTSUPP since Linux 6.15 and
 * in updates of older ones). Its FIN without close_notify tells the client that a part is missing (RFC 8446 6.1).
 */
static int socket_task_reset(const SocketTask *t, int fd) {
        const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

        if (connect(fd, &nowhere, sizeof(nowhere)) >= 0)
                return 0;
        if (!t->is_ktls)
                return -errno;

        return shutdown(fd, SHUT_RDWR) < 0 ? -errno : 0;
}

static int socket_task_do(SocketTask *t, SocketStep step, int fd) {
        switch (step) {

        case SOCKET_STEP_SAME:
                return socket_task_same(t, fd);

        case SOCKET_STEP_CONNECTED:
                return socket_task_connected(t, fd);

        case SOCKET_STEP_UNTOUCHED:
                return socket_task_untouched(t, fd);

        case SOCKET_STEP_RESTORE:
                return socket_options_restore(fd, t->listener_fd, t->may_have_ulp);

        case SOCKET_STEP_CONSUME:
                return socket_task_consume(t, fd);

        case SOCKET_STEP_PEEK:
                return socket_task_peek(t, fd);

        case SOCKET_STEP_ANSWER:
                return socket_task_answer(t);

        case SOCKET_STEP_DRAIN:
                return socket_task_drain(t, fd);

        case SOCKET_STEP_SEND:
                return socket_task_send(t, fd);

        case SOCKET_STEP_SHUTDOWN:
                return socket_task_shutdown(t, fd);

        case SOCKET_STEP_RESET:
                return socket_task_reset(t, fd);
        }

        return -EINVAL;
}

/*
 * Takes the mark of a socket with the kernel's TLS anew, because these steps have moved it. A step that only peeked says
 * how many bytes there are. The others need another peek, whose bytes go behind those in @head.
 */
static void socket_task_mark(SocketTask *t, int fd) {
        size_t size = t->steps & SOCKET_STEP_PEEK ? MIN(t->head_max, sizeof(t->head)) - MIN(t->n_prefix, t->head_max)
                                                  : sizeof(t->head) - t->n_head;
        ssize_t n;

        if (t->steps & SOCKET_STEP_PEEK)
                n = (ssize_t) (t->n_head - MIN(t->n_prefix, t->n_head));
        else
                n = ktls_recv(fd, t->head + t->n_head, size, MSG_PEEK | MSG_DONTWAIT);

        t->counts = byte_counts_mark(fd, n > 0 ? (size_t) n : 0, size);
        t->is_marked = true;
}

void socket_task_run(void *memory, int fd) {
        SocketTask *t = memory;

        t->is_ktls = t->may_have_ulp && ktls_is_on(fd, NULL);

        for (uint32_t step = SOCKET_STEP_SAME; step <= SOCKET_STEP_RESET; step <<= 1) {
                int r = t->steps & step ? socket_task_do(t, (SocketStep) step, fd) : 0;

                if (r < 0) {
                        t->failed = step;
                        t->error = r;
                        return;
                }
        }

        if (t->is_ktls && t->steps & (SOCKET_STEP_CONSUME | SOCKET_STEP_PEEK | SOCKET_STEP_SEND))
                socket_task_mark(t, fd);
}

void socket_task_init(SocketTask *ret) {
        memset(ret, 0, offsetof(SocketTask, text));
        ret->listener_fd = -EBADF;
}
