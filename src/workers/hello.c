/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * fdpass-hello: the first worker that a new user sees, and an example of one. It answers each HTTP request with a
 * line that says who the client is, and ends when nobody came for a while: systemd starts it again for the next one.
 *
 * It takes clients as libfdpass gives them, so its socket may be of any kind: ListenStream=,
 * ListenSequentialPacket= or ListenDatagram=.
 */

#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "basic/address.h"
#include "basic/error.h"
#include "basic/fd.h"
#include "basic/list.h"
#include "basic/log.h"
#include "basic/time.h"
#include "libfdpass/fdpass.h"

#define CLIENTS_MAX 256                      /* one descriptor each: RLIMIT_NOFILE is 1024 by default */
#define HEAD_MAX 8192
#define REQUEST_USEC (10 * USEC_PER_SEC)     /* from the handoff to the end of the request's head */
#define DRAIN_USEC (2 * USEC_PER_SEC)        /* from the answer to the client's FIN */
#define IDLE_USEC (30 * USEC_PER_SEC)

typedef struct Hello {
        Log *log;
        sd_event *event;
        sd_event_source *listener;
        sd_event_source *idle;
        List clients;           /* HelloClient.link */
        unsigned n_clients;
} Hello;

typedef struct HelloClient {
        Hello *hello;
        List link;              /* Hello.clients */
        int fd;
        struct fdpass *about;   /* what was told of it */
        sd_event_source *io;
        sd_event_source *timer;
        bool answered;
        size_t n;
        char head[HEAD_MAX];
} HelloClient;

static void watch_idle(Hello *h) {
        bool idle = h->n_clients == 0;

        if (idle)
                (void) sd_event_source_set_time_relative(h->idle, IDLE_USEC);
        (void) sd_event_source_set_enabled(h->idle, idle ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
        (void) sd_event_source_set_enabled(h->listener, h->n_clients < CLIENTS_MAX ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void client_close(HelloClient *c) {
        Hello *h = c->hello;

        sd_event_source_disable_unref(c->io);
        sd_event_source_disable_unref(c->timer);
        fd_close(c->fd);
        fdpass_free(c->about);
        list_remove(&c->link);
        free(c);

        h->n_clients--;
        watch_idle(h);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        client_close(userdata);
        return 0;
}

/* Sends the answer and our FIN. The rest of what the client says is read and thrown away: closing with
 * unread bytes would reset the connection, and the answer might be lost with it. */
static void answer(HelloClient *c) {
        char peer[ADDRESS_TEXT_MAX] = "whoever you are", body[256], message[512];
        const struct sockaddr *address;
        socklen_t length;
        int n;

        /* Where a proxy stands in front of the broker, this is the client and not the proxy. */
        address = fdpass_peer(c->about, &length);
        if (address)
                address_to_text(address, length, peer);
        n = snprintf(body, sizeof(body), "Hello, %s! This is fdpass-hello (process %i) on your own socket.\n",
                     peer, (int) getpid());
        n = snprintf(message, sizeof(message),
                     "HTTP/1.1 200 OK\r\n"
                     "Content-Type: text/plain; charset=utf-8\r\n"
                     "Content-Length: %i\r\n"
                     "Connection: close\r\n"
                     "\r\n"
                     "%s", n, body);

        /* A new connection's send buffer has room for this; a client that has left gets nothing. */
        (void) !send(c->fd, message, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void) shutdown(c->fd, SHUT_WR);

        c->answered = true;
        (void) sd_event_source_set_time_relative(c->timer, DRAIN_USEC);
}

static bool head_is_complete(const HelloClient *c) {
        return memmem(c->head, c->n, "\r\n\r\n", 4) || memmem(c->head, c->n, "\n\n", 2) || c->n == sizeof(c->head);
}

static int on_client(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        HelloClient *c = userdata;
        size_t start = c->answered ? 0 : c->n;
        ssize_t n;

        n = recv(c->fd, c->head + start, sizeof(c->head) - start, MSG_DONTWAIT);
        if (n < 0 && errno_is_transient(-errno))
                return 0;
        if (n <= 0) {
                client_close(c);
                return 0;
        }
        if (c->answered)
                return 0;

        c->n += (size_t) n;
        if (head_is_complete(c))
                answer(c);

        return 0;
}

/* Some of what the client has said may have been read before us, and come with it. */
static void take_consumed(HelloClient *c) {
        const void *consumed;
        size_t n;

        consumed = fdpass_consumed(c->about, &n);
        if (!consumed)
                return;

        c->n = MIN(n, sizeof(c->head));
        memcpy(c->head, consumed, c->n);
        if (head_is_complete(c))
                answer(c);
}

/* Consumes @fd and @about. */
static int client_start(Hello *h, int fd, struct fdpass *about) {
        HelloClient *c = calloc(1, sizeof(*c));
        int r;

        if (!c) {
                fd_close(fd);
                fdpass_free(about);
                return -ENOMEM;
        }

        c->hello = h;
        c->fd = fd;
        c->about = about;
        list_append(&h->clients, &c->link);
        h->n_clients++;

        r = sd_event_add_io(h->event, &c->io, fd, EPOLLIN, on_client, c);
        if (r >= 0)
                r = sd_event_add_time_relative(h->event, &c->timer, CLOCK_MONOTONIC, REQUEST_USEC, 0, on_deadline, c);
        if (r < 0) {
                client_close(c);
                return r;
        }

        watch_idle(h);
        take_consumed(c);
        return 0;
}

/* What another server would do with accept4(). */
static int on_listener(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct fdpass *about;
        Hello *h = userdata;
        int client_fd, r;

        client_fd = fdpass_accept(fd, SOCK_CLOEXEC, &about);
        r = client_fd < 0 ? client_fd : client_start(h, client_fd, about);

        /* Somebody else was faster, or the sender has left: nothing is wrong here. */
        if (r < 0 && !errno_is_transient(r) && r != -ECONNABORTED)
                log_line(h->log, LOG_WARNING, "Failed to take a client: %s.", strerror(-r));

        return 0;
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        Hello *h = userdata;

        return sd_event_exit(h->event, 0);
}

static int setup(Hello *h) {
        int r;

        /* Somebody else may be faster at accepting. */
        r = fd_nonblock(SD_LISTEN_FDS_START, true);
        if (r >= 0)
                r = sd_event_default(&h->event);
        if (r >= 0)
                r = sd_event_add_signal(h->event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(h->event, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_io(h->event, &h->listener, SD_LISTEN_FDS_START, EPOLLIN, on_listener, h);
        if (r >= 0) /* a client that can't be taken, for want of something, is tried again: this keeps us from turning */
                r = sd_event_source_set_ratelimit(h->listener, 100 * USEC_PER_MSEC, 1000);
        if (r >= 0)
                r = sd_event_add_time_relative(h->event, &h->idle, CLOCK_MONOTONIC, IDLE_USEC, 0, on_idle, h);

        return r;
}

static void hello_done(Hello *h) {
        LIST_FOREACH(i, &h->clients)
                client_close(CONTAINER_OF(i, HelloClient, link));

        sd_event_source_disable_unref(h->idle);
        sd_event_source_disable_unref(h->listener);
        sd_event_unref(h->event);
}

static int run(Log *log) {
        _cleanup_(hello_done) Hello h = { .log = log };
        int r;

        list_init(&h.clients);

        if (sd_listen_fds(/* unset_environment= */ 1) != 1 ||
            sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, /* type= */ 0, /* listening= */ -1) <= 0) {
                log_line(log, LOG_ERR, "There is no socket to take clients from. Start fdpass-hello.socket.");
                return EX_CONFIG;
        }

        r = setup(&h);
        if (r >= 0) {
                (void) sd_notify(0, "READY=1\nSTATUS=Saying hello.");
                r = sd_event_loop(h.event);
        }
        if (r < 0)
                log_line(log, LOG_ERR, "Failed to serve: %s.", strerror(-r));

        return r;
}

int main(int argc, char *argv[]) {
        _cleanup_(log_freep) Log *log = NULL;
        int r;

        if (argc > 1) {
                printf("fdpass-hello\n\n"
                       "Say hello to each client that the broker hands over.\n\n"
                       "It is started by systemd: systemctl start fdpass-hello.socket\n");
                return streq(argv[1], "--help") || streq(argv[1], "-h") ? EXIT_SUCCESS : EX_USAGE;
        }

        log = log_new("fdpass-hello");
        if (!log)
                return EX_OSERR;

        r = run(log);
        return r < 0 ? EXIT_FAILURE : r;
}
