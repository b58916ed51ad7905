/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/socket-facts.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "basic/fd.h"
#include "basic/time.h"

/* States in which a connection has not ended (include/net/tcp_states.h). linux/tcp.h does not have them. */
enum {
        SOCKET_ESTABLISHED = 1,
        SOCKET_FIN_WAIT1 = 4,
        SOCKET_FIN_WAIT2 = 5,
        SOCKET_CLOSE_WAIT = 8,
        SOCKET_LAST_ACK = 9,
        SOCKET_CLOSING = 11,
};

#define SOCKET_STATES                                                                                              \
        (1U << SOCKET_ESTABLISHED | 1U << SOCKET_FIN_WAIT1 | 1U << SOCKET_FIN_WAIT2 | 1U << SOCKET_CLOSE_WAIT |     \
         1U << SOCKET_LAST_ACK | 1U << SOCKET_CLOSING)

/* The kernel answers at once, but a dump may be longer than the buffer of a busy host has room for. */
#define SOCKET_TIMEOUT_SEC 10

/* One row, by its cookie. */
typedef struct SocketRow {
        uint64_t cookie;
        Value *row;
} SocketRow;

typedef struct SocketRows {
        SocketRow *rows; /* sorted by cookie */
        size_t n_rows;
} SocketRows;

static int socket_facts_compare(const void *x, const void *y) {
        const SocketRow *a = x, *b = y;

        return a->cookie < b->cookie ? -1 : a->cookie > b->cookie;
}

/* Adds the entries of one connection. @info is at least as long as Linux 4.10 has it, or the row stays as it is. */
static int socket_facts_fill(Value *row, const struct tcp_info *info, size_t n, uint8_t state) {
        /* A FIN counts as a byte: that of the client once it is there, ours once it is acknowledged. */
        bool has_fin_in = state == SOCKET_CLOSE_WAIT || state == SOCKET_LAST_ACK || state == SOCKET_CLOSING;
        bool has_fin_out = state == SOCKET_FIN_WAIT2;
        struct {
                const char *name;
                uint64_t n;
        } entries[] = {
                { "BytesIn", info->tcpi_bytes_received - (has_fin_in && info->tcpi_bytes_received > 0) },
                { "BytesOut", info->tcpi_bytes_acked - (has_fin_out && info->tcpi_bytes_acked > 0) },
                { "IdleUSec", (uint64_t) MIN(info->tcpi_last_data_sent, info->tcpi_last_data_recv) * USEC_PER_MSEC },
                { "RTTUSec", info->tcpi_rtt },
        };

        if (n < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(info->tcpi_bytes_received))
                return 0;

        for (size_t i = 0; i < ELEMENTSOF(entries); i++) {
                Value *entry = value_add(row, entries[i].name, VALUE_UNSIGNED);

                if (!entry)
                        return -ENOMEM;
                entry->u = entries[i].n;
        }

        return 0;
}

/* Returns the struct tcp_info in the attributes at @p, and its length in *ret_n. NULL: there is none. */
static const void *socket_facts_find_info(const uint8_t *p, size_t n, size_t *ret_n) {
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

static int socket_facts_take(const SocketRows *rows, const struct nlmsghdr *h) {
        const struct inet_diag_msg *m = (const void *) (h + 1);
        struct tcp_info info = {};
        SocketRow key, *found;
        const void *p;
        size_t n;

        if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
                return -EBADMSG;

        key.cookie = (uint64_t) m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0];
        found = bsearch(&key, rows->rows, rows->n_rows, sizeof(key), socket_facts_compare);
        if (!found)
                return 0;

        p = socket_facts_find_info((const uint8_t *) (m + 1), h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)), &n);
        if (!p)
                return 0;

        memcpy(&info, p, MIN(n, sizeof(info)));
        return socket_facts_fill(found->row, &info, n, m->idiag_state);
}

static int socket_facts_ask(int fd, uint8_t family) {
        const struct {
                struct nlmsghdr header;
                struct inet_diag_req_v2 request;
        } question = {
                .header = { .nlmsg_len = sizeof(question), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
                .request = { .sdiag_family = family, .sdiag_protocol = IPPROTO_TCP,
                             .idiag_ext = 1 << (INET_DIAG_INFO - 1), .idiag_states = SOCKET_STATES },
        };

        return send(fd, &question, sizeof(question), 0) < 0 ? -errno : 0;
}

/* Reads the answer to one question. Returns 0 at its end, or a negative errno. */
static int socket_facts_read(int fd, const SocketRows *rows) {
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
                                r = socket_facts_take(rows, h);
                        if (r < 0)
                                return r;
                }
        }
}

static int socket_facts_ask_all(const SocketRows *rows) {
        const struct timeval timeout = { .tv_sec = SOCKET_TIMEOUT_SEC };
        static const uint8_t families[] = { AF_INET, AF_INET6 };
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        int r = fd < 0 ? -errno : 0;

        if (r >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
                r = -errno;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(families); i++) {
                r = socket_facts_ask(fd, families[i]);
                if (r >= 0)
                        r = socket_facts_read(fd, rows);
        }

        return r;
}

int socket_facts_add(Value *rows) {
        _cleanup_free_ SocketRow *sorted = calloc(MAX(rows->n_items, (size_t) 1), sizeof(*sorted));
        size_t n = 0;
        int r;

        if (!sorted)
                return -ENOMEM;

        for (size_t i = 0; i < rows->n_items; i++)
                if (value_number(&rows->items[i], "Cookie") > 0)
                        sorted[n++] = (SocketRow){ value_number(&rows->items[i], "Cookie"), &rows->items[i] };
        if (n == 0)
                return 0;

        qsort(sorted, n, sizeof(*sorted), socket_facts_compare);
        r = socket_facts_ask_all(&(SocketRows){ sorted, n });
        if (r < 0)
                fprintf(stderr, "Failed to ask the kernel for bytes and idle times: %s.\n", strerror(-r));

        return r;
}
