/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A worker that lets nobody pass without a cookie, and hands all others to the route of the name given: with the head
 * that it has read, and with who they are. It answers the others itself. Built on libfdpass, as its users are.
 *
 *         auth NAME
 */

#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fdpass.h>

#define LISTENER_FD 3

static const char forbidden[] =
        "HTTP/1.1 403 Forbidden\r\n"
        "Connection: close\r\n"
        "Content-Length: 19\r\n"
        "\r\n"
        "No cookie, no pass\n";

/* Byte by byte up to its end: what is behind it is the next worker's. */
static size_t read_head(int fd, char *head, size_t size) {
        size_t n = 0;

        while (n < size - 1 && recv(fd, head + n, 1, 0) == 1) {
                head[++n] = '\0';
                if (n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0)
                        return n;
        }

        return 0;
}

/* Who it is, by the cookie "pass=NAME"; false where there is none. */
static bool check_cookie(const char *head, char name[static 64]) {
        const char *cookie = strstr(head, "\r\nCookie: pass=");

        return cookie && sscanf(cookie, "\r\nCookie: pass=%63[a-z]", name) == 1;
}

static void serve(int fd, const struct fdpass *about, const char *route) {
        char head[8192], name[64], data[80];
        size_t n = read_head(fd, head, sizeof(head));

        if (n == 0)
                return;

        if (!check_cookie(head, name)) {
                (void) !send(fd, forbidden, sizeof(forbidden) - 1, MSG_NOSIGNAL);
                return;
        }

        const struct fdpass_return_args args = {
                .size = sizeof(args),
                .name = route,
                .data = data,
                .data_len = (size_t) snprintf(data, sizeof(data), "user=%s", name),
                .consumed = head,
                .consumed_len = n,
                .about = about,
        };
        int r = fdpass_return_with(fd, &args);

        if (r < 0)
                warnx("hand on: %s", strerror(-r));
}

int main(int argc, char *argv[]) {
        if (argc != 2)
                errx(EXIT_FAILURE, "Usage: auth NAME");

        for (;;) {
                struct fdpass *about = NULL;
                int fd = fdpass_accept(LISTENER_FD, SOCK_CLOEXEC, &about);

                if (fd < 0) {
                        warnx("accept: %s", strerror(-fd));
                        continue;
                }

                serve(fd, about, argv[1]);
                fdpass_free(about);
                close(fd);
        }
}
