/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/socket-open.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "basic/parse.h"

/*
 * With DeferAcceptSec= a connection whose client has sent nothing is not established for us, but it is for the client
 * (tcp(7), TCP_DEFER_ACCEPT).
 */
static bool socket_open_is_in_backlog(uint8_t state) {
        return state == SOCKET_ESTABLISHED || state == SOCKET_CLOSE_WAIT || state == SOCKET_SYN_RECV;
}

bool socket_is_open(const struct inet_diag_msg *m) {
        return m->idiag_inode != 0 || socket_open_is_in_backlog(m->idiag_state);
}

uint16_t socket_port(const char *address) {
        const char *colon = strrchr(address, ':');
        unsigned port;

        if (address[0] == '/' || address[0] == '@' || startswith(address, "unix:") || !colon ||
            parse_unsigned(colon + 1, &port) < 0 || port > UINT16_MAX)
                return 0;

        return (uint16_t) port;
}

static int socket_open_take(void *userdata, const struct inet_diag_msg *m, const void *info, size_t n) {
        uint64_t *counts = userdata; /* by port */

        if (socket_is_open(m))
                counts[ntohs(m->id.idiag_sport)]++;
        return 0;
}

int socket_open_add(Value *listeners) {
        _cleanup_free_ uint64_t *counts = calloc((size_t) UINT16_MAX + 1, sizeof(*counts));
        int r;

        if (!counts)
                return -ENOMEM;

        r = socket_dump(SOCKET_OPEN_STATES, socket_open_take, counts);
        if (r < 0) {
                fprintf(stderr, "Failed to ask the kernel for connections: %s.\n", strerror(-r));
                return r;
        }

        for (size_t i = 0; i < listeners->n_items; i++) {
                Value *row = &listeners->items[i], *entry;
                uint16_t port = socket_port(value_string(row, "Address"));

                if (port == 0)
                        continue;
                entry = value_add(row, "Open", VALUE_UNSIGNED);
                if (!entry)
                        return -ENOMEM;
                entry->u = counts[port];
        }

        return 0;
}
