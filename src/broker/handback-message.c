/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/handback-message.h"

#include "basic/error.h"
#include "broker/admission.h"
#include "broker/returned.h"
#include "handoff/handoff.h"
#include "handoff/message.h"

/* Decodes a message, or the one byte of the stream form. The type of the socket tells which form it is. */
static bool handback_message_decode(const Listener *l, const uint8_t *p, size_t n, Message *ret) {
        if (l->type == SOCK_SEQPACKET)
                return message_decode(p, n, ret) == 0;

        *ret = MESSAGE_NULL;
        return n == 1 && p[0] == 0x00;
}

/*
 * Returns -ENOBUFS if no place is free for a client of the stream form, whose sender could not be told. Its message stays
 * in the queue.
 */
static int handback_message_check_place(const ReturnConn *conn) {
        return conn->listener->type == SOCK_STREAM && admission_free_places(conn->broker) == 0 ? -ENOBUFS : 0;
}

/*
 * Peeks at the next message (handoff_peek_message()). If there is no room for one descriptor, returns that error, and the
 * message stays in the queue. A second look follows if there is room, because the helper may have made it meanwhile.
 */
static int handback_message_peek(ReturnConn *conn, size_t size, size_t *ret_n, int ret_fds[static HANDOFF_RIGHTS_MAX],
                         size_t *ret_n_fds) {
        Broker *b = conn->broker;
        int r;

        r = handoff_peek_message(conn->fd, b->handback->buffer, size, ret_n, ret_fds, ret_n_fds);
        if (r != HANDOFF_NO_FD || *ret_n_fds > 0)
                return r;

        r = handoff_check_room(conn->fd);
        if (r < 0) {
                diag_no_resources(&b->diag, r);
                return r;
        }

        return handoff_peek_message(conn->fd, b->handback->buffer, size, ret_n, ret_fds, ret_n_fds);
}

static bool handback_message_is_client(int fd) {
        return handoff_check_client(fd, /* with_unix= */ false) == 0 && handoff_check_connected(fd) == 0;
}

/*
 * A worker's own connection brings only clients that it was given, and chooses no route for them. So a socket with a
 * seal is a stream of IP, and only needs to be connected still. *ret_cookie is 0 if it is not known.
 */
static bool handback_message_may_take(const ReturnConn *conn, int fd, const Message *m, uint64_t *ret_cookie) {
        *ret_cookie = 0;
        if (conn->worker == 0)
                return handback_message_is_client(fd);
        if (m->name.n > 0 || m->hops > 0)
                return false;

        *ret_cookie = seal_cookie(fd);
        return seal_is_valid(&conn->broker->seal_key, *ret_cookie, m) &&
               (handoff_is_connected(fd) || handback_message_is_client(fd));
}

/* Notes that the worker compares first requests, and forgets NEXT of a sender that is no worker's own connection. */
static void handback_message_note_next(ReturnConn *conn, Message *m) {
        Worker *w;

        if (conn->worker == 0)
                m->next = (Slice){};
        if (m->next.n == 0 || conn->has_told)
                return;

        w = worker_find_number(&conn->broker->workers, conn->worker);
        if (w)
                w->compares_next = true;
        conn->has_told = true;
}

/*
 * Takes the next message, and writes its answer to *ret_answer. First the message is peeked at, which opens its
 * descriptors here. So the kernel never drops the last copy of one. The helper closes all descriptors that are no
 * client. Returns as handback_message_take().
 */
static int handback_message_look_and_take(ReturnConn *conn, uint8_t *ret_answer) {
        bool is_stream = conn->listener->type == SOCK_STREAM, is_told = false;
        Broker *b = conn->broker;
        Handback *h = b->handback;
        int fds[HANDOFF_RIGHTS_MAX], r, k = 0;
        uint64_t cookie;
        size_t n, n_fds;
        Message m;

        r = handback_message_peek(conn, is_stream ? 2 : sizeof(h->buffer), &n, fds, &n_fds);
        if (r == 0 || r == HANDOFF_INVALID)
                k = handoff_discard(conn->fd, n);

        if (k < 0)
                r = k; /* the next look finds it again */
        else if (r == HANDOFF_NO_FD)
                *ret_answer = FDPASS_ANSWER_REFUSED; /* the sender still has it */
        else if (r == 0 && handback_message_decode(conn->listener, h->buffer, n, &m) &&
                 handback_message_may_take(conn, fds[0], &m, &cookie)) {
                handback_message_note_next(conn, &m);
                *ret_answer = returned_take(b, conn->listener, fds[0], cookie, &m, handback_conn_owner(conn));
                is_told = m.next.n > 0;
        }

        for (size_t i = 0; i < n_fds; i++)
                if (i > 0 || *ret_answer != FDPASS_ANSWER_TAKEN)
                        helper_close(b->helper, HELPER_CONNECTIONS, fds[i], handback_conn_owner(conn));

        if ((is_told || conn->wants_drains) && *ret_answer == FDPASS_ANSWER_TAKEN)
                *ret_answer = 0; /* its sender does not want to know */

        if (r >= 0 && r != HANDOFF_NO_FD && r != HANDOFF_CLOSED && *ret_answer == FDPASS_ANSWER_ERROR &&
            conn->worker == 0)
                diag_return_refused(&b->diag, &conn->sender);
        return r;
}

int handback_message_take(ReturnConn *conn) {
        uint8_t answer = FDPASS_ANSWER_ERROR;
        int r, k;

        r = handback_conn_give_answer(conn);
        if (r != 0)
                return r;

        r = handback_message_check_place(conn);
        if (r < 0)
                return r;

        r = handback_message_look_and_take(conn, &answer);
        if (r < 0 || r == HANDOFF_CLOSED)
                return r;

        conn->answer = answer;
        k = handback_conn_give_answer(conn);
        if (conn->listener->type == SOCK_STREAM)
                return HANDOFF_CLOSED;
        return k != 0 ? k : r;
}

void handback_message_take_rest(ReturnConn *conn) {
        (void) shutdown(conn->fd, SHUT_RD);

        for (size_t i = 0; i < HANDBACK_REST_MAX && handback_message_take(conn) == 0; i++)
                ;
}
