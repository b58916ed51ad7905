/* SPDX-License-Identifier: MIT-0 */

#include "workers/preload/kept-receive.h"

#include "workers/preload/follow.h"
#include "workers/preload/io.h"

/* The header before the addresses: PROXY protocol, section 2.2. */
#define PREFIX_SIZE 16

/* Room for other control messages, which a socket unit may turn on (PassCredentials=, PassSecurity=, …). */
#define OTHERS_SIZE 512

void kept_answer(Kept *k, uint8_t answer, uint16_t first, uint16_t n) {
        uint16_t limit;

        k->n_answered = (uint16_t) (k->n_answered + n);
        limit = (uint16_t) (k->n_answered + KEPT_CREDITS);
        (void) !io_real.send(k->fd,
                             (uint8_t[FDPASS_ANSWER_PERSISTENT_SIZE]){
                                     FDPASS_ANSWER_PERSISTENT, answer,
                                     (uint8_t) (first >> 8), (uint8_t) first,
                                     (uint8_t) (n >> 8), (uint8_t) n,
                                     (uint8_t) (limit >> 8), (uint8_t) limit,
                             },
                             FDPASS_ANSWER_PERSISTENT_SIZE, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void kept_raise(KeptDoor *d) {
        bool is_due = d->n_waiting > 0 || d->is_to_look;
        uint64_t value = 1;

        if (is_due && !d->is_raised)
                d->is_raised = io_real.write(d->event_fd, &value, sizeof(value)) > 0;
        else if (!is_due && d->is_raised)
                d->is_raised = io_real.read(d->event_fd, &value, sizeof(value)) <= 0;
}

/* Returns the length of the header at @p, or 0 if there is none. */
static size_t kept_header_length(const uint8_t *p, size_t n) {
        size_t length = n >= PREFIX_SIZE ? PREFIX_SIZE + ((size_t) p[14] << 8 | p[15]) : SIZE_MAX;

        return length <= n ? length : 0;
}

/* Finds the headers of the message. Returns their number. 0: the message is none. */
static size_t kept_split(Kept *k, size_t n) {
        size_t at = 0, count = 0;

        while (at < n) {
                size_t length = kept_header_length(k->bytes + at, n - at);

                if (length == 0 || count == FDPASS_PERSISTENT_MAX)
                        return 0;

                k->clients[count++] = (KeptClient){ .fd = -EBADF, .message = k->bytes + at, .n_message = length };
                at += length;
        }

        return count;
}

/* Closes our copy of a client before the answer says that there is none. */
static void kept_refuse(Kept *k, size_t i, uint8_t answer) {
        close_at(&k->clients[i].fd);
        k->clients[i].fd = -EBADF;
        kept_answer(k, answer, (uint16_t) (k->n_received - k->n_clients + i), 1);
}

/* Reads the messages of the clients, and finds the doors for them. */
static void kept_sort(Kept *k, const WorkerSocket *w) {
        for (size_t i = 0; i < k->n_clients; i++) {
                KeptClient *c = &k->clients[i];
                sa_family_t family;
                int answer;

                answer = c->fd < 0 ? FDPASS_ANSWER_REFUSED : receive_read(c->message, c->n_message, false, c->fd, w, &c->info);
                if (answer != 0) {
                        kept_refuse(k, i, (uint8_t) answer);
                        continue;
                }

                family = k->doors[1].cookie != 0 ? receive_client_family(c->fd, &c->info) : AF_UNSPEC;
                c->is_other = is_ip(family) && family != w->family;
                k->doors[c->is_other].n_waiting++;
        }
}

int kept_receive(Kept *k, const WorkerSocket *w, bool is_cloexec) {
        union {
                struct cmsghdr header; /* for its alignment */
                char buffer[OTHERS_SIZE + CMSG_SPACE(sizeof(int) * FDPASS_PERSISTENT_MAX)];
        } control;
        struct iovec iov = { .iov_base = k->bytes, .iov_len = FDPASS_HEADER_MAX };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.buffer,
                .msg_controllen = sizeof(control.buffer),
        };
        int fds[FDPASS_PERSISTENT_MAX];
        size_t n_headers, n_fds;
        ssize_t n;

        n = io_real.recvmsg(k->fd, &message, MSG_DONTWAIT | (is_cloexec ? MSG_CMSG_CLOEXEC : 0));
        if (n < 0 && errno == ECONNRESET) /* the broker died; what it has sent is still there */
                n = io_real.recvmsg(k->fd, &message, MSG_DONTWAIT | (is_cloexec ? MSG_CMSG_CLOEXEC : 0));
        if (n <= 0)
                return n < 0 && (errno == EAGAIN || errno == EINTR) ? -EAGAIN : -EPIPE;

        n_headers = kept_split(k, (size_t) n);
        n_fds = receive_take_fds(&message, fds, n_headers);
        for (size_t i = 0; i < n_fds && i < n_headers; i++)
                k->clients[i].fd = fds[i];
        k->is_cloexec = is_cloexec;
        k->n_clients = n_headers;
        k->n_received = (uint16_t) (k->n_received + n_headers);

        if (n_headers == 0 || message.msg_flags & MSG_TRUNC || n_fds > n_headers ||
            (n_fds < n_headers && !(message.msg_flags & MSG_CTRUNC))) {
                log_once(TOPIC_MESSAGE, "A message on %s was none, or had no client with it.", w->name.sun_path);
                return -EPIPE;
        }

        /* LimitNOFILE= is reached. Those that came without a descriptor are refused, and other workers get them. */
        kept_sort(k, w);
        return n_fds > 0 ? 0 : -EMFILE;
}

int kept_give(Kept *k, size_t door, ClientInfo *ret_info, int *ret_fd) {
        KeptDoor *d = &k->doors[door];
        uint32_t generation;
        size_t i = 0;

        kept_raise(&k->doors[!door]);
        if (d->n_waiting == 0)
                return -EAGAIN;

        while (k->clients[i].fd < 0 || k->clients[i].is_other != (door == 1))
                i++;

        /* The next client on a connection of its own brings the way back. */
        *ret_info = k->clients[i].info;
        if (follow_begin(k->clients[i].fd, ret_info->cookie, k->clients[i].message, k->clients[i].n_message, &generation) &&
            !back_is_there(generation)) {
                follow_forget(k->clients[i].fd);
                return -EPIPE;
        }

        *ret_fd = take_fd(&k->clients[i].fd);
        d->n_waiting--;
        kept_raise(d);
        if (door == 1 && d->n_waiting == 0 && k->doors[0].n_waiting == 0) {
                k->doors[0].is_to_look = true;
                kept_raise(&k->doors[0]);
        }
        kept_answer(k, FDPASS_ANSWER_TAKEN, (uint16_t) (k->n_received - k->n_clients + i), 1);
        return 0;
}
