/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A worker that answers requests without a body, and keeps its clients. A request of another route goes back. Built on
 * libfdpass, as its users are.
 */

#include <err.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fdpass.h>

#define LISTENER_FD 3

typedef struct Visitor {
        int fd;
        struct fdpass *about;
} Visitor;

/* Byte by byte up to its end, because the next byte may be for another worker. */
static bool read_head(int fd, char *head, size_t size) {
        size_t n = 0;

        while (n < size - 1 && recv(fd, head + n, 1, 0) == 1) {
                head[++n] = '\0';
                if (n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0)
                        return true;
        }

        return false;
}

static bool serve(int fd) {
        char head[8192], path[256], answer[512];
        int n;

        if (!read_head(fd, head, sizeof(head)) || sscanf(head, "GET %255s HTTP/1.1\r\n", path) != 1)
                return false;

        n = snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\nsite %s\n", strlen(path) + 6, path);
        return send(fd, answer, (size_t) n, MSG_NOSIGNAL) == n;
}

static void *attend(void *userdata) {
        Visitor *v = userdata;
        int r = 0;

        while (serve(v->fd) && (r = fdpass_next(v->fd, v->about, NULL)) == FDPASS_NEXT_OWN)
                ;
        if (r < 0)
                warnx("next: %s", strerror(-r));

        close(v->fd);
        fdpass_free(v->about);
        free(v);
        return NULL;
}

int main(void) {
        for (;;) {
                struct fdpass *about = NULL;
                int fd = fdpass_accept(LISTENER_FD, SOCK_CLOEXEC, &about);
                Visitor *v;
                pthread_t thread;

                if (fd < 0) {
                        warnx("accept: %s", strerror(-fd));
                        continue;
                }

                v = malloc(sizeof(*v));
                if (!v)
                        err(EXIT_FAILURE, "malloc");
                *v = (Visitor){ .fd = fd, .about = about };
                if (pthread_create(&thread, NULL, attend, v) != 0)
                        errx(EXIT_FAILURE, "pthread_create");
                pthread_detach(thread);
        }
}
