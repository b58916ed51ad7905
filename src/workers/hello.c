/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * fdpass-hello(8) answers each HTTP request. It says who the client is, and that no other route takes the request. It
 * is also the example of a worker in C, to be copied. It needs libfdpass(3) and libsystemd only, and serves each client
 * in a thread. A client keeps its connection as long as its next requests are ours: fdpass_next() hands it back for others.
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
#include <strings.h>
#include <sys/time.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "libfdpass/fdpass.h"

#define CLIENTS_MAX 256
#define HEAD_MAX 8192
#define HOST_MAX 256   /* bytes of the answer, with the NUL; the rest is cut */
#define TARGET_MAX 1024
#define REQUEST_SEC 10 /* for the head of a request */
#define KEEP_SEC 10    /* from the handoff to the last request */
#define DRAIN_SEC 2    /* from the answer to the end of what the client sends */
#define IDLE_SEC 30    /* without a client before the exit. More than the three above, so that all clients have ended */
#define RETURN_PATH "/run/fdpass/return.sock" /* where fdpass_next() hands clients back */

typedef struct HelloClient {
        int fd;
        struct fdpass *info;
        time_t end;         /* time after which it may send no further request */
        bool is_kept;       /* it has had an answer */
} HelloClient;

static sem_t places; /* clients that there is still room for */

static time_t hello_now(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec;
}

/*
 * Limits the next waits for the client to the time @end. Returns false if the time is over. For a client with TLS, poll(2)
 * may say POLLIN before there is a byte to read (fdpass_recv()), so the wait has to be in recv(2).
 */
static bool hello_limit_wait(int fd, time_t end) {
        struct timeval left = { .tv_sec = end - hello_now() };

        return left.tv_sec > 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &left, sizeof(left)) == 0 &&
               setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &left, sizeof(left)) == 0;
}

/* Receives what comes before the time @end. Returns 0 if nothing does: the client is silent, or has left. */
static size_t hello_receive(int fd, void *buffer, size_t size, time_t end) {
        ssize_t n = hello_limit_wait(fd, end) ? fdpass_recv(fd, buffer, size, 0) : 0;

        return n > 0 ? (size_t) n : 0;
}

/*
 * Reads up to the empty line. The broker may have taken the first bytes from the socket: they come with the handoff.
 * Ends @head with a NUL.
 */
static bool hello_read_head(const HelloClient *c, char head[static HEAD_MAX + 1]) {
        size_t n, k = 1;
        const void *consumed = fdpass_consumed(c->info, &n);
        time_t end = hello_now() + REQUEST_SEC;

        n = c->is_kept ? 0 : n < HEAD_MAX ? n : HEAD_MAX;
        if (n > 0)
                memcpy(head, consumed, n);
        for (; k > 0 && n < HEAD_MAX && !memmem(head, n, "\r\n\r\n", 4) && !memmem(head, n, "\n\n", 2); n += k)
                k = hello_receive(c->fd, head + n, HEAD_MAX - n, end);

        head[n] = '\0';
        return k > 0;
}

/* Copies @n bytes, and writes %XX for those that a terminal or a browser would not show. Cuts what does not fit. */
static void hello_escape(char *to, size_t size, const char *from, size_t n) {
        size_t k = 0;

        for (size_t i = 0; i < n && k + 3 < size; i++)
                if (from[i] > ' ' && from[i] < 0x7f)
                        to[k++] = from[i];
                else
                        k += (size_t) snprintf(to + k, size - k, "%%%02X", (unsigned char) from[i]);

        to[k] = '\0';
}

/* Finds the target of the request and its Host, escaped. Each is empty if there is none. */
static void hello_parse(const char *head, char host[static HOST_MAX], char target[static TARGET_MAX]) {
        const char *line = strchr(head, '\n'), *from = strchr(head, ' ');

        hello_escape(target, TARGET_MAX, from ? from + 1 : "", from ? strcspn(from + 1, " \r\n") : 0);

        host[0] = '\0';
        for (; line; line = strchr(line + 1, '\n'))
                if (strncasecmp(line + 1, "Host:", 5) == 0) {
                        from = line + 6 + strspn(line + 6, " \t");
                        hello_escape(host, HOST_MAX, from, strcspn(from, " \t\r\n"));
                        return;
                }
}

/* True for "/", by which a new installation is tried. Every other path is meant for a service, and none takes it. */
static bool hello_is_first_page(const char *target) {
        return strcmp(target, "/") == 0 || strncmp(target, "/?", 2) == 0;
}

/* Writes the client's address and port as a URL has them. @peer is the client, and no proxy before the broker. */
static void hello_name_client(const HelloClient *c, char *text, size_t size) {
        char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?";
        const char *name = host;
        socklen_t length;
        const struct sockaddr *peer = fdpass_peer(c->info, &length);

        if (peer)
                (void) getnameinfo(peer, length, host, sizeof(host), port, sizeof(port),
                                   NI_NUMERICHOST | NI_NUMERICSERV);
        if (strncmp(host, "::ffff:", 7) == 0) /* IPv4 on a socket for both families */
                name += 7;
        (void) snprintf(text, size, strchr(name, ':') ? "[%s]:%s" : "%s:%s", name, port);
}

/*
 * True if the client may keep its connection: we know which requests are ours (they have a route), and can hand it back
 * for others. The request must be a plain one, because we do not read bodies and know no second request in one read.
 */
static bool hello_may_keep(const HelloClient *c, const char *head) {
        const char *end = strstr(head, "\r\n\r\n"), *line = strstr(head, " HTTP/1.1\r\n");

        return fdpass_route(c->info) && access(RETURN_PATH, W_OK) == 0 && hello_now() < c->end && end && !end[4] &&
               line && line < strchr(head, '\n') && (strncmp(head, "GET ", 4) == 0 || strncmp(head, "HEAD ", 5) == 0) &&
               !strcasestr(head, "\r\nConnection: close") && !strcasestr(head, "\r\nContent-Length:") &&
               !strcasestr(head, "\r\nTransfer-Encoding:");
}

/* Returns true if the client keeps its connection. */
static bool hello_answer(const HelloClient *c, const char *head) {
        char client[NI_MAXHOST + NI_MAXSERV], host[HOST_MAX], target[TARGET_MAX], body[2048], message[4096];
        time_t end = hello_now() + DRAIN_SEC;
        bool keeps = hello_may_keep(c, head);
        int n;

        hello_name_client(c, client, sizeof(client));
        hello_parse(head, host, target);
        n = snprintf(body, sizeof(body), "Hello, %s! This is fdpass-hello (process %i) on your own socket.\n"
                     "No route but hello's takes this request, for %s%s. fdpassctl test says why.\n",
                     client, (int) getpid(), target[0] == '/' ? host : "", target);
        n = snprintf(message, sizeof(message),
                     "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
                     "Content-Length: %i\r\n%s\r\n%s",
                     hello_is_first_page(target) ? "200 OK" : "404 Not Found", n, keeps ? "" : "Connection: close\r\n",
                     strncmp(head, "HEAD ", 5) == 0 ? "" : body);
        (void) !send(c->fd, message, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (keeps)
                return true;

        /* close() with unread bytes resets the connection (RFC 1122, 4.2.2.13), and the answer could be lost. */
        (void) fdpass_shutdown(c->fd);
        while (hello_receive(c->fd, message, sizeof(message), end) > 0)
                ;
        return false;
}

/* Waits for the next request. Returns false if it is not ours, or if there is none: the client is not ours any more. */
static bool hello_await_next(const HelloClient *c) {
        int r = hello_limit_wait(c->fd, c->end) ? fdpass_next(c->fd, c->info, NULL) : FDPASS_NEXT_END;

        if (r != FDPASS_NEXT_OWN && r != FDPASS_NEXT_RETURNED)
                (void) fdpass_shutdown(c->fd);
        return r == FDPASS_NEXT_OWN;
}

static void *hello_serve(void *userdata) {
        HelloClient *c = userdata;
        char head[HEAD_MAX + 1];

        (void) fdpass_taken(c->info); /* until here the broker keeps the client */
        while (hello_read_head(c, head) && hello_answer(c, head) && hello_await_next(c))
                c->is_kept = true;

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
                *c = (HelloClient){ .fd = fd, .info = info, .end = hello_now() + KEEP_SEC };
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
