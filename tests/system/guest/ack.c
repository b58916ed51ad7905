/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A worker by libfdpass: answers one request of each client, and says that it has it ("taken") only then. systemd
 * passes the socket as fd 3.
 */

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fdpass.h>

static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nack\n";

int main(void) {
        for (;;) {
                struct fdpass *message;
                char request[4096];
                int fd = fdpass_accept(3, SOCK_CLOEXEC | FDPASS_DEFER, &message);

                if (fd == -EMFILE || fd == -EBADF || fd == -ENOTSOCK)
                        errx(EXIT_FAILURE, "fdpass_accept: %s", strerror(-fd));
                if (fd < 0)
                        continue;

                if (recv(fd, request, sizeof(request), 0) > 0) {
                        fdpass_taken(message);
                        (void) !send(fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL);
                        shutdown(fd, SHUT_WR);
                }
                close(fd);
                fdpass_free(message);
        }
}
