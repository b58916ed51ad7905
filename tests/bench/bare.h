/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Common parts of the bare loops: the look at a request, and the message that carries a client. */

#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTENER_FD 3
#define FDS_MAX 16

/*
 * A message as the broker would send it (fdpass-protocol(7)), with the same facts in it and so of the same length. All
 * but the client's address is always the same.
 */
#define HEADER_LENGTH 15
#define HEADER_SOURCE 16
#define HEADER_SOURCE_PORT 24

static const char header_start[] =
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\0"
        "\x7f\0\0\1\x7f\0\0\1\0\0\x1f\x90"
        "\xe0\0\1\1"
        "\x02\0\15bench.example"
        "\x05\0\22" "deadbeef-000000042"
        "\xe1\0\15server.socket"
        "\xe2\0\6public"
        "\xe5\0\4http"
        "\xe8\0\1\1";

/* For the first message of a persistent connection. */
static const char header_persistent[] = "\xe7\0\1\x10";

static inline size_t write_header(char *p, const struct sockaddr_in *client, bool is_persistent) {
        size_t n = sizeof(header_start) - 1;

        memcpy(p, header_start, n);
        memcpy(p + HEADER_SOURCE, &client->sin_addr, sizeof(client->sin_addr));
        memcpy(p + HEADER_SOURCE_PORT, &client->sin_port, sizeof(client->sin_port));
        if (is_persistent) {
                memcpy(p + n, header_persistent, sizeof(header_persistent) - 1);
                n += sizeof(header_persistent) - 1;
        }
        p[HEADER_LENGTH] = (char) (n - HEADER_SOURCE);
        return n;
}

/* Ends the process if the client did not send the expected request. */
static inline void look_at(int client_fd) {
        char head[16384];
        ssize_t n = recv(client_fd, head, sizeof(head), MSG_PEEK);

        if (n <= 0 || !memmem(head, (size_t) n, "\r\nHost: bench.example\r\n", 23))
                errx(EXIT_FAILURE, "A client without a request.");
}

static inline void send_fds(int fd, const char *bytes, size_t n, const int *fds, size_t n_fds) {
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof(int) * FDS_MAX)];
        } control = {
                .header = {
                        .cmsg_len = CMSG_LEN(sizeof(int) * n_fds),
                        .cmsg_level = SOL_SOCKET,
                        .cmsg_type = SCM_RIGHTS,
                },
        };
        struct iovec iov = { .iov_base = (void *) (uintptr_t) bytes, .iov_len = n };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = CMSG_SPACE(sizeof(int) * n_fds),
        };

        memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * n_fds);
        if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
                err(EXIT_FAILURE, "sendmsg");
}

static inline void set_address(struct sockaddr_un *ret, const char *path) {
        if (strlen(path) >= sizeof(ret->sun_path))
                errx(EXIT_FAILURE, "Too long: %s", path);

        *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
        strcpy(ret->sun_path, path);
}
