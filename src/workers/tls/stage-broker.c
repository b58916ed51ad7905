/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The connection to the broker, one for all clients of this process. The broker answers the messages on it one after the
 * other, each with one byte (handoff/protocol.h).
 *
 * It ends with the broker's process, or if the broker needs the place. The broker reads all messages of a connection
 * before it ends it, and answers each before it reads the next one. If it is killed instead, this end gets ECONNRESET if
 * messages were unread (unix_release_sock() in Linux). Then the last one was unread for certain, and all between
 * were. The first one without an answer may have been read, so it counts as taken: no client is given twice.
 */

#include <sys/socket.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "handoff/handoff.h"
#include "workers/tls/stage.h"

/* How often a client is tried again at once if the broker ends the connection. */
#define BROKER_TRIES_MAX 3

void stage_broker_init(StageBroker *b, void (*settle)(TlsConnection *c, Receipt receipt)) {
        *b = (StageBroker){ .side.fd = -EBADF, .settle = settle };
}

static TlsConnection *broker_take_first(StageBroker *b) {
        TlsConnection *c = b->sent[b->first];

        b->first = (b->first + 1) % ELEMENTSOF(b->sent);
        b->n_sent--;
        if (c)
                c->is_sent = false;
        return c;
}

void stage_broker_forget(TlsConnection *c) {
        StageBroker *b = &c->stage->to_broker;

        for (size_t i = 0; c->is_sent && i < b->n_sent; i++) {
                TlsConnection **sent = &b->sent[(b->first + i) % ELEMENTSOF(b->sent)];

                if (*sent == c) {
                        *sent = NULL;
                        c->is_sent = false;
                }
        }
}

/* Reads one answer. Returns 0, -EAGAIN, or another negative errno at the end of the connection: -EPIPE, or the error. */
static int broker_read(const StageBroker *b, uint8_t *ret) {
        /* The answer may have more bytes of another version. Descriptors are not expected: the broker is trusted. */
        ssize_t n = recv(b->side.fd, ret, sizeof(*ret), MSG_DONTWAIT);

        return n > 0 ? 0 : n == 0 ? -EPIPE : -errno;
}

/*
 * Closes the connection, and says what became of the clients without an answer. @was_reset: messages were unread. See
 * above.
 */
static void broker_close(TlsStage *s, bool was_reset) {
        StageBroker *b = &s->to_broker;
        size_t n = b->n_sent;

        (void) epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, b->side.fd, NULL);
        b->side.fd = fd_close(b->side.fd);

        for (size_t i = 0; i < n; i++) {
                bool may_be_taken = !was_reset || (i == 0 && n > 1);
                TlsConnection *c = broker_take_first(b);

                if (c)
                        b->settle(c, may_be_taken ? RECEIPT_CLOSED : RECEIPT_RESET);
        }
}

static Receipt broker_receipt(uint8_t answer) {
        return answer == FDPASS_ANSWER_REFUSED ? RECEIPT_REFUSED
             : answer == FDPASS_ANSWER_ERROR   ? RECEIPT_ERROR
                                               : RECEIPT_TAKEN;
}

/*
 * Reads the answers that are there, and the end if @has_ended. An error comes before the answers that the socket still
 * has, and only once; @was_reset: it came before.
 */
static void broker_read_answers(TlsStage *s, bool has_ended, bool was_reset) {
        StageBroker *b = &s->to_broker;
        uint8_t answer;
        int r;

        do {
                r = broker_read(b, &answer);
                if (r == -ECONNRESET && !was_reset)
                        was_reset = has_ended = true;
                else if (errno_is_transient(r) && !was_reset)
                        return;
                else if (r < 0 || b->n_sent == 0)
                        broker_close(s, was_reset);
                else {
                        TlsConnection *c = broker_take_first(b);

                        if (c)
                                b->settle(c, broker_receipt(answer));
                }
        } while (b->side.fd >= 0 && (b->n_sent > 0 || has_ended));
}

void stage_broker_on_event(TlsStage *s, bool has_ended) {
        broker_read_answers(s, has_ended, /* was_reset= */ false);
}

static int broker_connect(TlsStage *s) {
        StageBroker *b = &s->to_broker;
        struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = &b->side };
        _cleanup_close_ int fd = -EBADF;

        fd = handoff_connect_type(&s->broker, s->broker_length, SOCK_SEQPACKET);
        if (fd < 0)
                return fd;
        if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                return -errno;

        b->side.fd = TAKE_FD(fd);
        return 0;
}

static int broker_send(TlsConnection *c) {
        TlsStage *s = c->stage;
        StageBroker *b = &s->to_broker;
        int r;

        if (b->n_sent == ELEMENTSOF(b->sent))
                return -EAGAIN;

        r = b->side.fd < 0 ? broker_connect(s) : 0;
        if (r >= 0)
                r = handoff_send_message(b->side.fd, (Slice){ c->message, c->n_message }, (Slice){}, c->worker_fd);
        if (r < 0)
                return r;

        b->sent[(b->first + b->n_sent) % ELEMENTSOF(b->sent)] = c;
        b->n_sent++;
        c->is_sent = true;
        return 0;
}

/* The broker takes no more messages on the connection. Returns false if it has yet to answer some. */
static bool broker_is_done(TlsStage *s, bool was_reset) {
        StageBroker *b = &s->to_broker;

        if (b->n_sent > 0)
                broker_read_answers(s, /* has_ended= */ false, was_reset);
        if (b->side.fd >= 0 && b->n_sent == 0)
                broker_close(s, was_reset);
        return b->side.fd < 0;
}

int stage_broker_send(TlsConnection *c) {
        int r = -EAGAIN;

        for (unsigned i = 0; i < BROKER_TRIES_MAX; i++) {
                bool had_connection = c->stage->to_broker.side.fd >= 0;

                r = broker_send(c);
                if (r != -EPIPE && r != -ECONNRESET)
                        break;

                /* recv(2) no longer returns the error that sendmsg(2) has returned. */
                if (c->stage->to_broker.side.fd < 0 || !broker_is_done(c->stage, r == -ECONNRESET && had_connection))
                        return -EAGAIN;
        }

        return r;
}

void stage_broker_done(TlsStage *s) {
        s->to_broker.side.fd = fd_close(s->to_broker.side.fd);
}
