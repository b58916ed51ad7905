/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handoff/handoff.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "basic/error.h"

int handoff_answer(int conn_fd, uint8_t answer) {
        if (send(conn_fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
                return 0;

        return errno == EPIPE || errno == ECONNRESET ? 0 : -errno;
}

/* Looks for descriptors first only if the kernel does not refuse them. */
static ssize_t receipt_recv(int conn_fd, void *p, size_t size) {
        return handoff_may_bring_rights() ? handoff_recv(conn_fd, p, size, MSG_DONTWAIT)
                                          : recv(conn_fd, p, size, MSG_DONTWAIT);
}

static bool receipt_is_return(Receipt receipt) {
        return receipt == RECEIPT_RETURN || receipt == RECEIPT_RETURN_TELL;
}

static Receipt receipt_from_answer(uint8_t answer) {
        return answer == FDPASS_ANSWER_REFUSED ? RECEIPT_REFUSED
             : answer == FDPASS_ANSWER_ERROR   ? RECEIPT_ERROR
             : answer == FDPASS_ANSWER_RETURN  ? RECEIPT_RETURN
                                               : RECEIPT_TAKEN;
}

/* The kernel's reset overrides the worker's answer, because a worker may answer before it reads the message. */
static bool receipt_was_reset(int conn_fd) {
        char byte;

        return recv(conn_fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) < 0 && errno == ECONNRESET;
}

static uint16_t receipt_read_u16(const uint8_t *p) {
        return (uint16_t) (p[0] << 8 | p[1]);
}

static bool receipt_parse_persistent(const uint8_t *p, size_t n, PersistentAnswer *ret) {
        if (n != FDPASS_ANSWER_PERSISTENT_SIZE || p[0] != FDPASS_ANSWER_PERSISTENT)
                return false;

        *ret = (PersistentAnswer){
                .receipt = receipt_is_return(receipt_from_answer(p[1])) ? RECEIPT_TAKEN : receipt_from_answer(p[1]),
                .first = receipt_read_u16(p + 2),
                .n = receipt_read_u16(p + 4),
                .limit = receipt_read_u16(p + 6),
        };
        return true;
}

/* Does the same as recvmmsg(2), but leaves a message with descriptors unread (EBADMSG). */
static int receipt_recv_singly(int conn_fd, struct mmsghdr messages[static HANDOFF_ANSWERS_MAX]) {
        int n = 0;

        while (n < HANDOFF_ANSWERS_MAX) {
                const struct iovec *iov = messages[n].msg_hdr.msg_iov;
                ssize_t k = handoff_recv(conn_fd, iov->iov_base, iov->iov_len, MSG_DONTWAIT);

                if (k < 0)
                        return n > 0 && errno != EBADMSG ? n : -1;

                messages[n++].msg_len = (unsigned) k;
                if (k == 0)
                        break;
        }

        return n;
}

int handoff_receive_answers(int conn_fd, PersistentAnswer ret[static HANDOFF_ANSWERS_MAX], size_t *ret_n) {
        uint8_t answers[HANDOFF_ANSWERS_MAX][FDPASS_ANSWER_PERSISTENT_SIZE + 1];
        struct iovec iov[HANDOFF_ANSWERS_MAX];
        struct mmsghdr messages[HANDOFF_ANSWERS_MAX];
        int n;

        for (size_t i = 0; i < HANDOFF_ANSWERS_MAX; i++) {
                iov[i] = (struct iovec){ answers[i], sizeof(answers[i]) };
                messages[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
        }

        *ret_n = 0;
        n = handoff_may_bring_rights() ? receipt_recv_singly(conn_fd, messages)
                                       : recvmmsg(conn_fd, messages, HANDOFF_ANSWERS_MAX, MSG_DONTWAIT, NULL);
        if (n < 0)
                return errno == EBADMSG ? HANDOFF_INVALID : -errno;

        /* The next call returns an error behind the first message (recvmmsg(2), "BUGS"). The end is 0 bytes. */
        for (int i = 0; i < n; i++) {
                if (messages[i].msg_len == 0)
                        return HANDOFF_CLOSED;
                if (!receipt_parse_persistent(answers[i], messages[i].msg_len, &ret[*ret_n]))
                        return HANDOFF_INVALID;
                *ret_n += 1;
        }

        return n < HANDOFF_ANSWERS_MAX ? -EAGAIN : 0;
}

int handoff_answer_return(int conn_fd) {
        static const uint8_t bytes[] = { FDPASS_ANSWER_RETURN, FDPASS_RETURN_TELL };

        return send(conn_fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int handoff_answer_persistent(int conn_fd, uint8_t answer, uint16_t first, uint16_t n, uint16_t limit) {
        const uint8_t bytes[FDPASS_ANSWER_PERSISTENT_SIZE] = {
                FDPASS_ANSWER_PERSISTENT, answer,
                (uint8_t) (first >> 8), (uint8_t) first,
                (uint8_t) (n >> 8),     (uint8_t) n,
                (uint8_t) (limit >> 8), (uint8_t) limit,
        };

        return send(conn_fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

Receipt handoff_receipt_or_persistent(int conn_fd, bool look_into_queue, PersistentAnswer *ret_answer) {
        uint8_t answer[FDPASS_ANSWER_PERSISTENT_SIZE + 1];
        int unread = 1;
        ssize_t n;

        /*
         * The queue before the error: a worker that goes away sets ECONNRESET before its queue is emptied. So an empty
         * queue, followed by neither an error nor the end, means that the message was received.
         */
        if (look_into_queue && ioctl(conn_fd, SIOCOUTQ, &unread) < 0)
                unread = 1;

        n = receipt_recv(conn_fd, answer, sizeof(answer));
        if (n < 0 && errno == EBADMSG)
                return RECEIPT_TAKEN; /* with descriptors it is no valid answer, and counts as an unknown one does */
        if (n > 0 && receipt_was_reset(conn_fd))
                return RECEIPT_RESET;
        if (n > 0 && ret_answer && receipt_parse_persistent(answer, (size_t) n, ret_answer))
                return RECEIPT_PERSISTENT;
        if (n > 1 && answer[0] == FDPASS_ANSWER_RETURN && answer[1] & FDPASS_RETURN_TELL)
                return RECEIPT_RETURN_TELL;
        if (n > 0)
                return receipt_from_answer(answer[0]);
        if (n == 0)
                return RECEIPT_CLOSED;
        if (errno_is_transient(-errno))
                return unread == 0 ? RECEIPT_RECEIVED : RECEIPT_NONE;

        /* Another error says nothing about the client. A second worker must not get it for that. */
        return errno == ECONNRESET ? RECEIPT_RESET : RECEIPT_NONE;
}

Receipt handoff_receipt(int conn_fd, bool look_into_queue) {
        Receipt receipt = handoff_receipt_or_persistent(conn_fd, look_into_queue, NULL);

        return receipt_is_return(receipt) ? RECEIPT_TAKEN : receipt;
}
