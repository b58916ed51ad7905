/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The worker of the measurements: takes a client, closes the handoff's connection, reads one request, sends
 * a fixed reply and closes. It serves one client at a time, so its own cost is the same in all measurements.
 * The AF_UNIX socket is inherited as file 3, stream or seqpacket.
 *
 * "sink server" accepts its clients itself, from a listener of any family: the backend of proxies. "sink inetd" has one
 * client, as file 0, and ends with it.
 *
 * With the argument "body" it is one for Flusher=flush, or mod_proxy_fdpass: it reads nothing, and writes the body alone.
 * What were still to be read then would reset the connection, which the load generator counts.
 */

#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTENER_FD 3

#define BODY "ok!\n"

static const char body[] = BODY;
static const char reply[] =
        "HTTP/1.1 200 OK\r\n"
        "Content-Length: 4\r\n"
        "Connection: close\r\n"
        "\r\n"
        BODY;

/* Returns the client, or -EBADF if the sender went away without one. */
static int receive_client(int conn_fd) {
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof(int))];
        } control = {};
        char bytes[4096]; /* the message, which is ignored */
        struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        int fd;

        if (recvmsg(conn_fd, &message, MSG_CMSG_CLOEXEC) <= 0 ||
            message.msg_controllen < CMSG_LEN(sizeof(fd)))
                return -EBADF;

        memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
        return fd;
}

static void serve(int client_fd) {
        char request[4096];

        /* The load generator counts clients that have left. */
        if (recv(client_fd, request, sizeof(request), 0) > 0)
                (void) send(client_fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL);
}

static int accept_client(bool is_server) {
        int conn_fd = accept4(LISTENER_FD, NULL, NULL, SOCK_CLOEXEC);
        int client_fd;

        if (conn_fd < 0)
                err(EXIT_FAILURE, "accept4");
        if (is_server)
                return conn_fd;

        client_fd = receive_client(conn_fd);
        close(conn_fd);
        return client_fd;
}

int main(int argc, char *argv[]) {
        const char *mode = argc > 1 ? argv[1] : "worker";

        if (strcmp(mode, "inetd") == 0) {
                serve(STDIN_FILENO);
                return EXIT_SUCCESS;
        }

        for (;;) {
                int client_fd = accept_client(strcmp(mode, "server") == 0);

                if (client_fd < 0)
                        continue;

                if (strcmp(mode, "body") == 0)
                        (void) !send(client_fd, body, sizeof(body) - 1, MSG_NOSIGNAL);
                else
                        serve(client_fd);
                close(client_fd);
        }
}
