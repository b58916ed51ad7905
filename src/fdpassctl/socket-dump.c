/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/socket-dump.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "basic/fd.h"

/* The kernel answers at once, but a dump may be longer than the buffer of a busy host has room for. */
#define SOCKET_TIMEOUT_SEC 10

/* Returns the struct tcp_info in the attributes at @p, and its length in *ret_n. NULL: there is none. */
static const void *socket_dump_find_info(const uint8_t *p, size_t n, size_t *ret_n) {
        struct rtattr a;

        while (n >= sizeof(a)) {
                memcpy(&a, p, sizeof(a));
                if (a.rta_len < sizeof(a) || a.rta_len > n)
                        return NULL;

                if (a.rta_type == INET_DIAG_INFO) {
                        *ret_n = a.rta_len - sizeof(a);
                        return p + sizeof(a);
                }

                p += MIN((size_t) RTA_ALIGN((size_t) a.rta_len), n);
                n -= MIN((size_t) RTA_ALIGN((size_t) a.rta_len), n);
        }

        return NULL;
}

static int socket_dump_take(const struct nlmsghdr *h, SocketDumpHandler *handler, void *userdata) {
        const struct inet_diag_msg *m = (const void *) (h + 1);
        const void *info;
        size_t n = 0;

        if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
                return -EBADMSG;

        info = socket_dump_find_info((const uint8_t *) (m + 1), h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)), &n);
        return handler(userdata, m, info, n);
}

static int socket_dump_ask(int fd, uint8_t family, uint32_t states) {
        const struct {
                struct nlmsghdr header;
                struct inet_diag_req_v2 request;
        } question = {
                .header = { .nlmsg_len = sizeof(question), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
                .request = { .sdiag_family = family, .sdiag_protocol = IPPROTO_TCP,
                             .idiag_ext = 1 << (INET_DIAG_INFO - 1), .idiag_states = states },
        };

        return send(fd, &question, sizeof(question), 0) < 0 ? -errno : 0;
}

/* Reads the answer to one question. Returns 0 at its end, or a negative errno. */
static int socket_dump_read(int fd, SocketDumpHandler *handler, void *userdata) {
        _Alignas(struct nlmsghdr) char buffer[32768];

        for (;;) {
                ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
                unsigned n_left = (unsigned) MAX(n, 0);

                if (n < 0)
                        return -errno;

                for (struct nlmsghdr *h = (struct nlmsghdr *) buffer; NLMSG_OK(h, n_left); h = NLMSG_NEXT(h, n_left)) {
                        int r = 0;

                        if (h->nlmsg_type == NLMSG_DONE)
                                return 0;
                        if (h->nlmsg_type == NLMSG_ERROR)
                                return h->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr))
                                               ? -EBADMSG
                                               : ((const struct nlmsgerr *) (h + 1))->error;
                        if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY)
                                r = socket_dump_take(h, handler, userdata);
                        if (r < 0)
                                return r;
                }
        }
}

int socket_dump(uint32_t states, SocketDumpHandler *handler, void *userdata) {
        const struct timeval timeout = { .tv_sec = SOCKET_TIMEOUT_SEC };
        static const uint8_t families[] = { AF_INET, AF_INET6 };
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        int r = fd < 0 ? -errno : 0;

        if (r >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
                r = -errno;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(families); i++) {
                r = socket_dump_ask(fd, families[i], states);
                if (r >= 0)
                        r = socket_dump_read(fd, handler, userdata);
        }

        return r;
}
