/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The server behind all that `peers` compares: it gets its clients in one of these ways, and serves them alike.
 *
 *         server direct       accepts them from file 3, a listening TCP or AF_UNIX socket
 *         server accept       fdpass_accept() on file 3, any handoff socket
 *         server persistent   fdpass_receive(): one persistent connection of the broker
 *         server body         fdpass_accept(), for clients whose request was read and answered with a head already
 *
 * What came by a handoff it shuts down before it closes it, as libfdpass(3) says: the last copy may be the broker's.
 *
 * It is asked for a small reply, for bulk (GET /bulk: 1 GiB), or to hold a connection (GET /hold: the beginning of a
 * reply, and no more), one client at a time. So its own cost is the same for everybody.
 */

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libfdpass/fdpass.h"

#define LISTENER_FD 3
#define CREDITS 64
#define BULK (UINT64_C(1) << 30)

#define HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
#define BODY "ok!\n"

typedef enum Way { DIRECT, ACCEPT, PERSISTENT, BODY_ONLY, _WAY_MAX } Way;

static const char *const ways[_WAY_MAX] = { "direct", "accept", "persistent", "body" };

static int next_client(Way way, struct fdpass_receiver *receiver) {
        switch (way) {

        case DIRECT: {
                int fd = accept4(LISTENER_FD, NULL, NULL, SOCK_CLOEXEC);

                return fd < 0 ? -errno : fd;
        }

        case PERSISTENT:
                return fdpass_receive(receiver, SOCK_CLOEXEC | FDPASS_WAIT, NULL);

        default:
                return fdpass_accept(LISTENER_FD, SOCK_CLOEXEC, NULL);
        }
}

static void send_bulk(int fd) {
        static char block[1 << 18];
        ssize_t n;

        (void) !send(fd, HEAD, strlen(HEAD), MSG_NOSIGNAL | MSG_MORE);
        for (uint64_t rest = BULK; rest > 0; rest -= (uint64_t) n) {
                n = send(fd, block, rest < sizeof(block) ? (size_t) rest : sizeof(block), MSG_NOSIGNAL);
                if (n < 0)
                        return;
        }
}

/* Returns false if the client stays open. */
static int serve(int fd, Way way) {
        char request[4096];
        ssize_t n;

        if (way == BODY_ONLY) {
                (void) !send(fd, BODY, strlen(BODY), MSG_NOSIGNAL);
                return 1;
        }

        n = recv(fd, request, sizeof(request), 0);
        if (n > 9 && memcmp(request, "GET /bulk", 9) == 0)
                send_bulk(fd);
        else if (n > 9 && memcmp(request, "GET /hold", 9) == 0) {
                (void) !send(fd, HEAD, strlen(HEAD), MSG_NOSIGNAL);
                return 0;
        } else if (n > 0)
                (void) !send(fd, HEAD BODY, strlen(HEAD BODY), MSG_NOSIGNAL);

        return 1;
}

int main(int argc, char *argv[]) {
        struct fdpass_receiver *receiver = NULL;
        Way way = 0;
        int r;

        while (way < _WAY_MAX && (argc != 2 || strcmp(argv[1], ways[way]) != 0))
                way++;
        if (way == _WAY_MAX)
                errx(EXIT_FAILURE, "Usage: server direct|accept|persistent|body");

        if (way == PERSISTENT) {
                r = fdpass_receiver_new(LISTENER_FD, CREDITS, &receiver);
                if (r < 0)
                        errx(EXIT_FAILURE, "fdpass_receiver_new: %s", strerror(-r));
        }

        for (;;) {
                int fd = next_client(way, receiver);

                if (fd == -ECONNABORTED || fd == -EINTR)
                        continue;
                if (fd < 0)
                        errx(EXIT_FAILURE, "No client: %s", strerror(-fd));

                if (serve(fd, way)) {
                        if (way != DIRECT)
                                (void) shutdown(fd, SHUT_WR);
                        close(fd);
                }
        }
}
