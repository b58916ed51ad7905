/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * fdpass-hello(8) answers each HTTP request with a line that says who the client is. It is also the example of a worker
 * in C, to be copied. It needs libfdpass(3) and libsystemd only, and serves each client in a thread.
 */

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "libfdpass/fdpass.h"

#define CLIENTS_MAX 256
#define HEAD_MAX 8192
#define REQUEST_SEC 10 /* for the head of a request */
#define DRAIN_SEC 2    /* from the answer to the end of what the client sends */
#define IDLE_SEC 30    /* without a client before the exit. More than the two above, so that all clients have ended */

typedef struct HelloClient {
        int fd;
        struct fdpass *info;
} HelloClient;

static sem_t places; /* clients that there is still room for */

static time_t hello_now(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec;
}

/* Receives what comes before the time @end. Returns 0 if nothing does: the client is silent, or has left. */
static size_t hello_receive(int fd, void *buffer, size_t size, time_t end) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        time_t left = end - hello_now();
        ssize_t n = 0;

        if (left > 0 && poll(&p, 1, (int) left * 1000) > 0)
                n = recv(fd, buffer, size, MSG_DONTWAIT);

        return n > 0 ? (size_t) n : 0;
}

/* Reads up to the empty line. The broker may have taken the first bytes from the socket: they come with the handoff. */
static bool hello_read_head(const HelloClient *c) {
        char head[HEAD_MAX];
        size_t n, k = 1;
        const void *consumed = fdpass_consumed(c->info, &n);
        time_t end = hello_now() + REQUEST_SEC;

        n = n < HEAD_MAX ? n : HEAD_MAX;
        if (n > 0)
                memcpy(head, consumed, n);
        for (; k > 0 && n < HEAD_MAX && !memmem(head, n, "\r\n\r\n", 4) && !memmem(head, n, "\n\n", 2); n += k)
                k = hello_receive(c->fd, head + n, HEAD_MAX - n, end);

        return k > 0;
}

static void hello_answer(const HelloClient *c) {
        char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?", body[2048], message[4096];
        const char *name = host;
        time_t end = hello_now() + DRAIN_SEC;
        socklen_t length;
        const struct sockaddr *peer = fdpass_peer(c->info, &length); /* the client, and no proxy before the broker */
        int n;

        if (peer)
                (void) getnameinfo(peer, length, host, sizeof(host), port, sizeof(port),
                                   NI_NUMERICHOST | NI_NUMERICSERV);
        if (strncmp(host, "::ffff:", 7) == 0) /* IPv4 on a socket for both families */
                name += 7;
        n = snprintf(body, sizeof(body), "Hello, %s%s%s:%s! This is fdpass-hello (process %i) on your own socket.\n",
                     strchr(name, ':') ? "[" : "", name, strchr(name, ':') ? "]" : "", port, (int) getpid());
        n = snprintf(message, sizeof(message),
                     "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %i\r\n"
                     "Connection: close\r\n\r\n%s", n, body);
        (void) !send(c->fd, message, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL);

        /* close() with unread bytes resets the connection (RFC 1122, 4.2.2.13), and the answer could be lost. */
        (void) shutdown(c->fd, SHUT_WR);
        while (hello_receive(c->fd, message, sizeof(message), end) > 0)
                ;
}

static void *hello_serve(void *userdata) {
        HelloClient *c = userdata;

        (void) fdpass_taken(c->info); /* until here the broker keeps the client */
        if (hello_read_head(c))
                hello_answer(c);

        (void) close(c->fd);
        fdpass_free(c->info);
        free(c);
        (void) sem_post(&places);
        return NULL;
}

/* Starts a thread for a client. If that fails, the broker is asked to find another worker. */
static void hello_start(int fd, struct fdpass *info) {
        HelloClient *c = malloc(sizeof(*c));
        pthread_t thread;

        if (c) {
                *c = (HelloClient){ .fd = fd, .info = info };
                if (pthread_create(&thread, NULL, hello_serve, c) == 0) {
                        (void) pthread_detach(thread);
                        return;
                }
        }

        (void) close(fd); /* first, because the answer means that we have no copy of the client */
        (void) fdpass_decline(info);
        fdpass_free(info);
        free(c);
        (void) sem_post(&places);
}

int main(int argc, char *argv[]) {
        struct pollfd p = { .fd = SD_LISTEN_FDS_START, .events = POLLIN };

        if (argc > 1) {
                printf("fdpass-hello\n\nSay hello to each client that the broker hands over.\n\n"
                       "It is started by systemd: systemctl start fdpass-hello.socket\n");
                return strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ? EXIT_SUCCESS : EX_USAGE;
        }

        if (sd_listen_fds(/* unset_environment= */ 1) != 1 ||
            sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, /* type= */ 0, /* listening= */ 1) <= 0) {
                fprintf(stderr, SD_ERR "There is no socket to take clients from. Start fdpass-hello.socket.\n");
                return EX_CONFIG;
        }

        (void) sem_init(&places, 0, CLIENTS_MAX);
        (void) sd_notify(0, "READY=1\nSTATUS=Saying hello.");

        for (;;) {
                struct fdpass *info;
                int fd;

                (void) sem_wait(&places);
                if (poll(&p, 1, IDLE_SEC * 1000) == 0)
                        return EXIT_SUCCESS; /* systemd starts us again for the next client */

                fd = fdpass_accept(SD_LISTEN_FDS_START, SOCK_CLOEXEC | FDPASS_DEFER, &info);
                if (fd >= 0) {
                        hello_start(fd, info);
                        continue;
                }

                (void) sem_post(&places);
                if (fd != -EAGAIN && fd != -EINTR && fd != -ECONNABORTED) { /* the sender has left: nothing is wrong */
                        fprintf(stderr, SD_WARNING "Failed to take a client: %s.\n", strerror(-fd));
                        (void) poll(NULL, 0, 100); /* memory or a descriptor may be free then */
                }
        }
}
