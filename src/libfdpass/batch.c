/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "libfdpass/batch.h"

#include "basic/error.h"
#include "basic/fd.h"
#include "handoff/handoff.h"
#include "libfdpass/accept.h"
#include "libfdpass/object.h"

void batch_clear(Batch *b) {
        for (size_t i = b->n_given; i < b->n_clients; i++) {
                fd_close_socket(b->client_fds[i]);
                fdpass_free(b->objects[i]);
        }

        b->conn = persistent_unref(b->conn);
        b->n_clients = b->n_given = 0;
}

static size_t batch_count_headers(const uint8_t *p, size_t n) {
        size_t count = 0, length;

        for (; (length = message_header_length(p, n)) > 0; count++) {
                p += length;
                n -= length;
        }

        return count;
}

/* Makes the object of one client from its header of @n bytes. Returns 0, a condition of the handoff, or -errno. */
static int batch_make_object(const uint8_t *p, size_t n, int client_fd, uid_t sender, struct fdpass **ret) {
        _cleanup_(fdpass_freep) struct fdpass *f = object_new(n);
        int r;

        if (!f)
                return -ENOMEM;

        memcpy(f->bytes, p, n);
        r = message_decode(f->bytes, n, &f->message);
        if (r != 0)
                return r;

        r = handoff_check_client(client_fd, /* with_unix= */ false);
        if (r != 0)
                return r;

        object_complete(f, n, client_fd);
        f->sender = sender;
        *ret = TAKE_PTR(f);
        return 0;
}

/* Makes all objects. Unless it returns 0, no client of the message has an answer yet. */
static int batch_open(Batch *b, const PersistentConn *c, size_t n) {
        size_t at = 0;

        for (size_t i = 0; i < b->n_clients; i++) {
                size_t length = message_header_length(b->buffer + at, n - at);
                int r;

                if (length == 0)
                        return MESSAGE_INVALID;

                r = batch_make_object(b->buffer + at, length, b->client_fds[i], c->sender, &b->objects[i]);
                if (r != 0)
                        return r;

                at += length;
        }

        return at == n ? 0 : MESSAGE_INVALID;
}

/* Answers for the whole message, because a sender that gets one client wrong can't be trusted with the others. */
static int batch_refuse(Batch *b, PersistentConn *c, size_t n_clients, int condition) {
        bool is_ours = condition < 0 || condition == HANDOFF_NO_FD;
        uint8_t answer = is_ours ? FDPASS_ANSWER_REFUSED : FDPASS_ANSWER_ERROR;

        batch_clear(b);
        persistent_answer(c, answer, c->n_received, (uint16_t) n_clients);
        c->n_received = (uint16_t) (c->n_received + n_clients);

        if (!is_ours)
                return BATCH_INVALID;
        return condition < 0 ? condition : -ECONNABORTED;
}

int batch_receive(Batch *b, PersistentConn *c) {
        size_t n, n_fds = FDPASS_PERSISTENT_MAX;
        int r;

        r = handoff_receive_batch(c->fd, MSG_DONTWAIT, b->buffer, sizeof(b->buffer), &n, b->client_fds, &n_fds);
        if (r == -EAGAIN || r == -EINTR)
                return -EAGAIN;
        if (r == HANDOFF_CLOSED || r < 0)
                return BATCH_CLOSED;
        if (r == HANDOFF_NO_FD)
                return batch_refuse(b, c, batch_count_headers(b->buffer, n), r);
        if (r != 0)
                return batch_refuse(b, c, 0, r);

        b->n_clients = n_fds;
        b->n_given = 0;
        memset(b->objects, 0, sizeof(b->objects));

        r = batch_open(b, c, n);
        if (r != 0)
                return batch_refuse(b, c, n_fds, r);

        b->conn = persistent_ref(c);
        b->is_answered = false;
        b->first = c->n_received;
        c->n_received = (uint16_t) (c->n_received + n_fds);
        return 0;
}

static void batch_answer(Batch *b, size_t i, bool defer, struct fdpass *f) {
        uint16_t seq = (uint16_t) (b->first + i);

        if (b->is_answered)
                return;

        if (defer) {
                f->answer = ANSWER_DUE;
                f->persistent = persistent_ref(b->conn);
                f->seq = seq;
        } else {
                persistent_answer(b->conn, FDPASS_ANSWER_TAKEN, seq, (uint16_t) (b->n_clients - i));
                b->is_answered = true;
        }
}

int batch_give(Batch *b, int flags, struct fdpass **ret) {
        size_t i = b->n_given++;
        int client_fd = b->client_fds[i], r;
        struct fdpass *f = b->objects[i];

        batch_answer(b, i, flags & FDPASS_DEFER, f);
        if (b->n_given == b->n_clients)
                batch_clear(b);

        r = accept_set_flags(client_fd, flags);
        if (r < 0)
                fd_close_socket(client_fd);
        if (r >= 0 && ret)
                *ret = f;
        else
                fdpass_free(f);

        return r < 0 ? r : client_fd;
}
