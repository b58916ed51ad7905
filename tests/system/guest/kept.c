/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A worker built on libfdpass that keeps its clients. It says in X-Worker who it is, and answers as kept.py does: with the
 * request's X-Request, a line feed, and the request's body. A request of another route goes back.
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
#define BODY_MAX (1 << 20)

typedef struct Visitor {
        int fd;
        struct fdpass *about;
        char head[8192], *body;
        size_t n_body;
} Visitor;

/* Byte by byte up to the end of the line or the head, because the next byte may be for another worker. */
static bool read_to(int fd, const char *end, char *p, size_t size) {
        size_t n = 0, n_end = strlen(end);

        while (n < size - 1 && recv(fd, p + n, 1, 0) == 1) {
                p[++n] = '\0';
                if (n >= n_end && memcmp(p + n - n_end, end, n_end) == 0)
                        return true;
        }

        return false;
}

static bool read_bytes(Visitor *v, size_t n) {
        if (n > BODY_MAX - v->n_body || (n > 0 && recv(v->fd, v->body + v->n_body, n, MSG_WAITALL) != (ssize_t) n))
                return false;

        v->n_body += n;
        return true;
}

static const char *field(const Visitor *v, const char *name) {
        const char *at = strcasestr(v->head, name);

        return at ? at + strlen(name) : NULL;
}

static bool read_body(Visitor *v) {
        const char *length = field(v, "\r\nContent-Length: ");
        char line[32];
        size_t n;

        v->n_body = 0;
        if (!field(v, "\r\nTransfer-Encoding: chunked\r\n"))
                return !length || read_bytes(v, strtoul(length, NULL, 10));

        do {
                if (!read_to(v->fd, "\r\n", line, sizeof(line)))
                        return false;
                n = strtoul(line, NULL, 16);
                if (!read_bytes(v, n) || !read_to(v->fd, "\r\n", line, sizeof(line)))
                        return false;
        } while (n > 0);

        return true;
}

static bool serve(Visitor *v) {
        static const char more[] = "HTTP/1.1 100 Continue\r\n\r\n";
        char tag[128] = "", head[512];
        bool is_head;
        int n;

        if (!read_to(v->fd, "\r\n\r\n", v->head, sizeof(v->head)))
                return false;
        if (field(v, "\r\nExpect: ") && send(v->fd, more, strlen(more), MSG_NOSIGNAL) < 0)
                return false;
        if (!read_body(v))
                return false;

        if (field(v, "\r\nX-Request: "))
                (void) sscanf(field(v, "\r\nX-Request: "), "%127s", tag);
        is_head = strncmp(v->head, "HEAD ", 5) == 0;
        n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nX-Worker: libfdpass\r\nX-Request: %s\r\nX-Echo: yes\r\n"
                     "Content-Length: %zu\r\n\r\n%s%s", tag, strlen(tag) + 1 + v->n_body, is_head ? "" : tag,
                     is_head ? "" : "\n");
        if (send(v->fd, head, (size_t) n, MSG_NOSIGNAL) != n)
                return false;

        return is_head || send(v->fd, v->body, v->n_body, MSG_NOSIGNAL) == (ssize_t) v->n_body;
}

static void *attend(void *userdata) {
        Visitor *v = userdata;
        int r = 0;

        while (serve(v) && (r = fdpass_next(v->fd, v->about, NULL)) == FDPASS_NEXT_OWN)
                ;
        if (r < 0)
                warnx("next: %s", strerror(-r));

        close(v->fd);
        fdpass_free(v->about);
        free(v->body);
        free(v);
        return NULL;
}

int main(void) {
        for (;;) {
                Visitor *v = calloc(1, sizeof(*v));
                pthread_t thread;

                if (!v || !(v->body = malloc(BODY_MAX)))
                        err(EXIT_FAILURE, "malloc");
                v->fd = fdpass_accept(LISTENER_FD, SOCK_CLOEXEC, &v->about);
                if (v->fd < 0) {
                        warnx("accept: %s", strerror(-v->fd));
                        free(v->body);
                        free(v);
                        continue;
                }

                if (pthread_create(&thread, NULL, attend, v) != 0)
                        errx(EXIT_FAILURE, "pthread_create");
                pthread_detach(thread);
        }
}
