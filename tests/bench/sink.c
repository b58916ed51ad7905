/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The worker of the measurements: takes a client, closes the handoff's connection, reads one request, sends
 * a fixed reply and closes. One at a time and blocking, so that its own cost is the same for everybody.
 * The AF_UNIX stream listener is inherited as file 3.
 */

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTENER_FD 3

static const char reply[] =
        "HTTP/1.1 200 OK\r\n"
        "Content-Length: 4\r\n"
        "Connection: close\r\n"
        "\r\n"
        "ok!\n";

/* Returns the client, or -EBADF where the sender went away without one. */
static int receive_client(int conn_fd) {
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct iovec iov = { .iov_base = (char[1]){ 0 }, .iov_len = 1 };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        int fd;

        if (recvmsg(conn_fd, &message, MSG_CMSG_CLOEXEC) != 1 ||
            message.msg_controllen < CMSG_LEN(sizeof(fd)))
                return -EBADF;

        memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
        return fd;
}

static void serve(int client_fd) {
        char request[4096];

        /* A client that is gone is the load generator's to count. */
        if (recv(client_fd, request, sizeof(request), 0) > 0)
                (void) send(client_fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL);
}

int main(void) {
        for (;;) {
                int conn_fd = accept4(LISTENER_FD, NULL, NULL, SOCK_CLOEXEC);
                int client_fd;

                if (conn_fd < 0)
                        err(EXIT_FAILURE, "accept4");

                client_fd = receive_client(conn_fd);
                close(conn_fd);
                if (client_fd < 0)
                        continue;

                serve(client_fd);
                close(client_fd);
        }
}
