/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/socket-facts.h"

#include <linux/tcp.h>
#include <stdio.h>

#include "basic/time.h"
#include "fdpassctl/socket-dump.h"

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

static int socket_facts_take(void *userdata, const struct inet_diag_msg *m, const void *info_bytes, size_t n) {
        const SocketRows *rows = userdata;
        struct tcp_info info = {};
        SocketRow key, *found;

        key.cookie = (uint64_t) m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0];
        found = bsearch(&key, rows->rows, rows->n_rows, sizeof(key), socket_facts_compare);
        if (!found)
                return 0;

        if (!info_bytes)
                return 0;

        memcpy(&info, info_bytes, MIN(n, sizeof(info)));
        return socket_facts_fill(found->row, &info, n, m->idiag_state);
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
        r = socket_dump(SOCKET_STATES, socket_facts_take, &(SocketRows){ sorted, n });
        if (r < 0)
                fprintf(stderr, "Failed to ask the kernel for bytes and idle times: %s.\n", strerror(-r));

        return r;
}
