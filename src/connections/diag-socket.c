/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "connections/diag-socket.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include "basic/fd.h"

/* A report has 380 bytes on Linux 6.18. */
#define REPORT_SIZE 1024
#define BATCH 32
#define BATCHES 8

/* Size of a piece of a list: the kernel makes none above 32 KiB (netlink_dump()). */
#define PIECE_SIZE ((size_t) 32 * 1024)

/* Limits of one call while a list is read. */
#define PIECES_SIZE (4 * PIECE_SIZE)
#define PIECES 64

_Static_assert(REPORT_SIZE * BATCH <= PIECE_SIZE, "both use one buffer");

/* States of sockets that are in use: all but TIME_WAIT, LISTEN and those of a handshake (include/net/tcp_states.h). */
#define STATES_IN_USE (UINT32_C(1) << 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11)

/* The arguments of recvmmsg(2). They are made once, because that costs more than one report. */
typedef struct DiagBatch {
        struct sockaddr_nl senders[BATCH];
        struct mmsghdr headers[BATCH];
        struct iovec iovs[BATCH];
} DiagBatch;

static void diag_batch_init(DiagBatch *batch, uint8_t *buffer) {
        for (size_t i = 0; i < BATCH; i++) {
                batch->iovs[i] = (struct iovec){ buffer + i * REPORT_SIZE, REPORT_SIZE };
                batch->headers[i].msg_hdr = (struct msghdr){
                        .msg_name = &batch->senders[i],
                        .msg_namelen = sizeof(batch->senders[i]),
                        .msg_iov = &batch->iovs[i],
                        .msg_iovlen = 1,
                };
        }
}

int diag_socket_init(DiagSocket *s, int fd) {
        int r = fd_nonblock(fd, true);

        if (r < 0)
                return r;

        *s = (DiagSocket){ .fd = fd, .buffer = malloc(PIECE_SIZE), .batch = calloc(1, sizeof(DiagBatch)) };
        if (!s->buffer || !s->batch) {
                diag_socket_done(s);
                return -ENOMEM;
        }

        diag_batch_init(s->batch, s->buffer);
        return 0;
}

void diag_socket_done(DiagSocket *s) {
        free(TAKE_PTR(s->buffer));
        free(TAKE_PTR(s->batch));
}

/*
 * The filter: a message of another kind passes, and a socket of one of the ports. It sees the first message of a piece
 * only, and a piece has one port. Offsets: nlmsg_type at 4, idiag_sport at 20. Numbers are loaded as big-endian ones.
 */
int diag_socket_filter(const DiagSocket *s, const uint16_t *ports, size_t n_ports) {
        struct sock_filter code[3 + 2 * DIAG_PORTS_MAX + 1];
        struct sock_fprog program = { .filter = code };
        size_t n = 0;

        if (n_ports > DIAG_PORTS_MAX)
                return setsockopt(s->fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){ 0 }, sizeof(int)) < 0 && errno != ENOENT ? -errno : 0;

        code[n++] = (struct sock_filter) BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4);
        code[n++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(SOCK_DIAG_BY_FAMILY), 1, 0);
        code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
        code[n++] = (struct sock_filter) BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 20);
        for (size_t i = 0; i < n_ports; i++) {
                code[n++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ports[i], 0, 1);
                code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
        }
        code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, 0);

        program.len = (unsigned short) n;
        return setsockopt(s->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno : 0;
}

int diag_socket_list(DiagSocket *s, int family, uint16_t port) {
        struct {
                struct nlmsghdr header;
                struct inet_diag_req_v2 request;
        } m = {
                .header = {
                        .nlmsg_len = sizeof(m),
                        .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                        .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                        .nlmsg_seq = s->sequence == UINT32_MAX ? 1 : s->sequence + 1,
                },
                .request = {
                        .sdiag_family = (uint8_t) family,
                        .sdiag_protocol = IPPROTO_TCP,
                        .idiag_states = STATES_IN_USE,
                        .id.idiag_sport = htons(port),
                },
        };
        const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

        if (sendto(s->fd, &m, sizeof(m), MSG_DONTWAIT, (const struct sockaddr *) &kernel, sizeof(kernel)) < 0)
                return -errno;

        s->sequence = m.header.nlmsg_seq;
        s->is_listing = true;
        return 0;
}

/* Handles the messages of one datagram, if the kernel sent it. */
static void diag_socket_handle(DiagSocket *s, const struct sockaddr_nl *sender, const uint8_t *p, size_t n, DiagHandler *handler,
                               void *userdata) {
        SockReport report;

        if (sender->nl_pid != 0)
                return;

        while (sock_report_next(&p, &n, &report)) {
                if (report.kind != SOCK_REPORT_END && report.sequence != s->sequence)
                        continue; /* the rest of a list of another process, which had this socket before */
                if (report.kind == SOCK_REPORT_DONE || report.kind == SOCK_REPORT_FAILED)
                        s->is_listing = false;
                handler(userdata, &report);
        }
}

/* Reads one piece of a list, or one report. Returns its size, 0 after a loss, or a negative errno. */
static ssize_t diag_socket_read_piece(DiagSocket *s, DiagHandler *handler, void *userdata) {
        struct sockaddr_nl sender = {};
        socklen_t len = sizeof(sender);
        ssize_t n = recvfrom(s->fd, s->buffer, PIECE_SIZE, MSG_DONTWAIT, (struct sockaddr *) &sender, &len);

        if (n < 0)
                return errno == ENOBUFS ? 0 : -errno;

        diag_socket_handle(s, &sender, s->buffer, (size_t) n, handler, userdata);
        return n;
}

/* A piece of a list would not fit into the buffer of a report, so each has the whole buffer. */
static int diag_socket_read_pieces(DiagSocket *s, DiagHandler *handler, void *userdata) {
        size_t size = 0;

        for (size_t i = 0; i < PIECES && size < PIECES_SIZE; i++) {
                ssize_t n = diag_socket_read_piece(s, handler, userdata);

                if (n <= 0)
                        return n < 0 ? (int) n : DIAG_LOST;
                size += (size_t) n;
        }

        return 0;
}

static int diag_socket_read_batch(DiagSocket *s, DiagHandler *handler, void *userdata) {
        DiagBatch *batch = s->batch;
        int n = recvmmsg(s->fd, batch->headers, BATCH, MSG_DONTWAIT, NULL);

        if (n < 0)
                return errno == ENOBUFS ? DIAG_LOST : -errno;

        for (int i = 0; i < n; i++) {
                diag_socket_handle(s, &batch->senders[i], batch->iovs[i].iov_base, batch->headers[i].msg_len, handler, userdata);
                batch->headers[i].msg_hdr.msg_namelen = sizeof(batch->senders[i]);
        }

        return n < BATCH ? -EAGAIN : 0;
}

int diag_socket_read(DiagSocket *s, DiagHandler *handler, void *userdata) {
        int r = 0;

        if (s->is_listing)
                return diag_socket_read_pieces(s, handler, userdata);

        for (size_t i = 0; i < BATCHES && r == 0; i++)
                r = diag_socket_read_batch(s, handler, userdata);

        return r;
}
