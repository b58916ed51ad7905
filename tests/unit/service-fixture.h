/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A worker's program in this process: its socket, and clients that a broker sends there. */

#include "handoff-fixture.h"

#include "workers/service.h"

#define DEADLINE_USEC (10 * USEC_PER_SEC)

/* Turns the loop of @event until @condition holds. */
#define WAIT_FOR(event, condition)                                                          \
        do {                                                                                \
                usec_t _end = usec_now() + DEADLINE_USEC;                                   \
                while (!(condition)) {                                                      \
                        assert_true(usec_now() < _end);                                     \
                        assert_true(sd_event_run((event), 5 * USEC_PER_MSEC) >= 0);         \
                }                                                                           \
        } while (false)

/* One client: its own end, and the broker's connection, where the answer comes. */
typedef struct Guest {
        int fd;
        int conn_fd;
} Guest;

static inline Guest guest_send(const Fixture *f, const Message *m) {
        Guest g;
        int pair[2];

        client_pair(pair);
        g.fd = pair[0];
        g.conn_fd = fixture_connect(f);
        assert_int_equal(m ? send_message(g.conn_fd, m, pair[1]) : send_in_form(f, g.conn_fd, pair[1]), 0);
        fd_close(pair[1]); /* as a broker does with the receipt; a reset would show that no worker has it */
        return g;
}

static inline void guest_leave(Guest *g) {
        g->fd = fd_close(g->fd);
        g->conn_fd = fd_close(g->conn_fd);
}

/* The answer to the broker: a byte, 0 for the bare end, -1 as long as there is none. */
static inline int guest_answer(const Guest *g) {
        uint8_t byte;
        ssize_t n = recv(g->conn_fd, &byte, 1, MSG_DONTWAIT);

        return n < 0 ? -1 : n == 0 ? 0 : byte;
}

static inline bool has_event(int fd, short events) {
        struct pollfd p = { .fd = fd, .events = events };

        return poll(&p, 1, 0) > 0;
}
