/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Invalid messages. send_case() sends each of them. */

#include "handoff-fixture.h"

#include <sys/epoll.h>

#define HEADER "\r\n\r\n\0\r\nQUIT\n"
#define GOOD HEADER "\x21\0\0\4\xe0\0\1\1"

/* One byte too long. Truncated to FDPASS_MESSAGE_MAX, it would be valid. */
static uint8_t oversized[FDPASS_MESSAGE_MAX + 1] = HEADER "\x21\0\x3f\xf0\xe0\0\1\1\x30\x3f\xe9";

/* Bytes that are no message, with any descriptors. */
static const struct {
        const void *p;
        size_t n;
} bad_bytes[] = {
        { "x", 1 },
        { "\0\0", 2 },
        { "", 0 },
        { "GET / HTTP/1.1\r\n\r\n", 18 },
        { GOOD, sizeof(GOOD) - 2 },                             /* truncated */
        { HEADER, sizeof(HEADER) - 1 },
        { HEADER "\x20\0\0\4\xe0\0\1\1", sizeof(GOOD) - 1 },    /* LOCAL */
        { HEADER "\x21\0\xff\xff\xe0\0\1\1", sizeof(GOOD) - 1 },
        { HEADER "\x21\0\0\0", sizeof(HEADER) + 3 },            /* no VERSION */
        { oversized, sizeof(oversized) },
};

/* Descriptors that are no client's socket. */
typedef enum Thing {
        PIPE, ORDINARY_FILE, LISTENING_TCP, UDP, UNIX_DGRAM, UNIX_SEQPACKET, UNIX_LISTENING, EPOLL, N_THINGS,
} Thing;

/* Wrong numbers of descriptors. */
static const size_t bad_counts[] = { 0, 2, 3, 8, 9, 253 };

#define N_CASES (ELEMENTSOF(bad_bytes) + N_THINGS + ELEMENTSOF(bad_counts))

static inline int open_thing(Thing thing) {
        struct sockaddr_un unnamed = { .sun_family = AF_UNIX };
        int p[2], fd = -EBADF;

        switch (thing) {

        case PIPE:
                assert_int_equal(pipe2(p, O_CLOEXEC), 0);
                fd_close(p[1]);
                return p[0];

        case ORDINARY_FILE:
                return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

        case LISTENING_TCP:
                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                assert_int_equal(listen(fd, 1), 0);
                return fd;

        case UDP:
                return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        case UNIX_DGRAM:
                return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        case UNIX_SEQPACKET:
                return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        case UNIX_LISTENING:
                fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
                assert_int_equal(bind(fd, (struct sockaddr *) &unnamed, sizeof(sa_family_t)), 0);
                assert_int_equal(listen(fd, 1), 0);
                return fd;

        default:
                return epoll_create1(EPOLL_CLOEXEC);
        }
}

static inline void send_good_bytes(const Fixture *f, int conn, int fd, size_t n_fds) {
        if (f->type == SOCK_STREAM)
                send_raw(conn, "\0", 1, fd, n_fds);
        else
                send_raw(conn, GOOD, sizeof(GOOD) - 1, fd, n_fds);
}

/* Sends one of the cases, from 0 to N_CASES - 1. */
static inline void send_case(const Fixture *f, int conn, int client_fd, size_t i) {
        _cleanup_close_ int thing = -EBADF;

        if (i < ELEMENTSOF(bad_bytes)) {
                send_raw(conn, bad_bytes[i].p, bad_bytes[i].n, client_fd, 1);
                return;
        }

        i -= ELEMENTSOF(bad_bytes);
        if (i < N_THINGS) {
                thing = open_thing((Thing) i);
                assert_true(thing >= 0);
                send_good_bytes(f, conn, thing, 1);
                return;
        }

        send_good_bytes(f, conn, client_fd, bad_counts[i - N_THINGS]);
}
