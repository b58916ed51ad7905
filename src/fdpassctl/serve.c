/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/serve.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "basic/confine.h"
#include "basic/error.h"
#include "basic/fd.h"
#include "basic/list.h"
#include "basic/time.h"
#include "libfdpass/fdpass.h"

#define CONNECTIONS_MAX 64
#define DEADLINE_USEC (5 * USEC_PER_SEC)

/* Time without a question after which the process ends. */
#define IDLE_USEC (120 * USEC_PER_SEC)

/* Sockets of systemd. */
#define SOCKETS_MAX 16

typedef struct Server Server;

typedef struct ServeSocket {
        Server *server;
        const char *name; /* borrowed */
        bool is_handoff;  /* a broker hands its clients over */
} ServeSocket;

struct Server {
        sd_event *event;
        ServeSocket sockets[SOCKETS_MAX];
        List connections; /* ServeConn.link, oldest first */
        size_t n_connections;
        sd_event_source *idle;
        ServeHandler *handler;
        void *userdata;
};

typedef struct ServeConn {
        Server *server;
        List link;           /* Server.connections */
        int fd;
        sd_event_source *io;
        sd_event_source *quiet;
        sd_event_source *deadline;
        ServePeer peer;
        size_t n_sent;       /* bytes of the reply */
        bool is_lingering;   /* the reply is sent, and the peer may still read it */
} ServeConn;

static void serve_free(ServeConn *c) {
        list_remove(&c->link);
        c->server->n_connections--;
        sd_event_source_disable_unref(c->io);
        sd_event_source_disable_unref(c->quiet);
        sd_event_source_disable_unref(c->deadline);
        fd_close(c->fd);
        free(c->peer.reply);
        free(c);
}

void serve_reply(ServePeer *peer, const char *text) {
        peer->reply = strdup(text);
        peer->n_reply = peer->reply ? strlen(text) : 0;
}

/* Shows the question to the handler. Returns false if the connection has ended, because there is no reply. */
static bool serve_ask(ServeConn *c) {
        if (!c->server->handler(c->server->userdata, &c->peer))
                return !c->peer.is_complete;

        (void) sd_event_source_set_enabled(c->quiet, SD_EVENT_OFF);
        (void) sd_event_source_set_io_events(c->io, EPOLLOUT);
        return c->peer.n_reply > 0;
}

/* Returns false if the connection has ended. */
static bool serve_receive(ServeConn *c) {
        ServePeer *p = &c->peer;
        ssize_t n;

        if (p->n_question == sizeof(p->question))
                return false; /* the reply is set; the peer sends on instead of reading it */

        n = recv(c->fd, p->question + p->n_question, sizeof(p->question) - p->n_question, MSG_DONTWAIT);
        if (n < 0)
                return errno_is_transient(-errno);
        if (c->is_lingering)
                return n > 0;

        p->n_question += (size_t) n;
        p->is_complete = n == 0;
        (void) sd_event_source_set_time_relative(c->quiet, SERVE_QUIET_USEC);
        return serve_ask(c);
}

/* Returns false if the connection has ended. */
static bool serve_transmit(ServeConn *c) {
        ssize_t n = send(c->fd, c->peer.reply + c->n_sent, c->peer.n_reply - c->n_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0)
                return errno_is_transient(-errno);

        c->n_sent += (size_t) n;
        if (c->n_sent < c->peer.n_reply)
                return true;

        /* Keep the connection until the peer closes it or the deadline: closing with unread bytes sends a reset. */
        c->is_lingering = true;
        c->peer.n_question = 0;
        (void) shutdown(c->fd, SHUT_WR);
        (void) sd_event_source_set_io_events(c->io, EPOLLIN);
        return true;
}

static int serve_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        ServeConn *c = userdata;
        bool is_alive = !(revents & (EPOLLERR | EPOLLHUP));

        if (is_alive && revents & EPOLLIN)
                is_alive = serve_receive(c);
        if (is_alive && revents & EPOLLOUT)
                is_alive = serve_transmit(c);
        if (!is_alive)
                serve_free(c);

        return 0;
}

static int serve_on_quiet(sd_event_source *source, uint64_t usec, void *userdata) {
        ServeConn *c = userdata;

        c->peer.is_complete = true;
        (void) serve_ask(c);
        c->peer.is_complete = false; /* more bytes may come until the deadline */
        return 0;
}

static int serve_on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        serve_free(userdata);
        return 0;
}

/* Consumes @fd. */
static void serve_begin(ServeSocket *socket, int fd) {
        Server *s = socket->server;
        ServeConn *c;

        if (s->n_connections >= CONNECTIONS_MAX)
                serve_free(CONTAINER_OF(list_first(&s->connections), ServeConn, link));

        c = calloc(1, sizeof(*c));
        if (!c) {
                fd_close(fd);
                return;
        }

        c->server = s;
        c->fd = fd;
        c->peer.socket = socket->name;
        list_append(&s->connections, &c->link);
        s->n_connections++;

        if (sd_event_add_io(s->event, &c->io, fd, EPOLLIN, serve_on_io, c) < 0 ||
            sd_event_add_time_relative(s->event, &c->quiet, CLOCK_MONOTONIC, SERVE_QUIET_USEC, 0, serve_on_quiet, c) < 0 ||
            sd_event_add_time_relative(s->event, &c->deadline, CLOCK_MONOTONIC, DEADLINE_USEC, 0, serve_on_deadline,
                                       c) < 0)
                serve_free(c);

        (void) sd_event_source_set_time_relative(s->idle, IDLE_USEC);
}

static int serve_on_listener(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        ServeSocket *socket = userdata;

        fd = socket->is_handoff ? fdpass_accept(fd, SOCK_CLOEXEC | SOCK_NONBLOCK, NULL)
                                : accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
                serve_begin(socket, fd);

        return 0;
}

static int serve_on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        Server *s = userdata;

        return sd_event_exit(s->event, 0);
}

static int serve_add_socket(Server *s, ServeSocket *socket, int fd, const char *name) {
        int r;

        if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, /* listening= */ 1) <= 0 &&
            sd_is_socket(fd, AF_UNIX, SOCK_SEQPACKET, /* listening= */ 1) <= 0)
                return -ENOTSOCK;

        *socket = (ServeSocket){ s, name, sd_is_socket(fd, AF_UNIX, 0, /* listening= */ 1) > 0 };
        r = fd_nonblock(fd, true);
        return r < 0 ? r : sd_event_add_io(s->event, NULL, fd, EPOLLIN, serve_on_listener, socket);
}

static int serve_run(Server *s, int n, char *const names[]) {
        int r;

        r = sd_event_default(&s->event);
        if (r >= 0)
                r = sd_event_set_signal_exit(s->event, true);
        for (int i = 0; r >= 0 && i < n; i++)
                r = serve_add_socket(s, &s->sockets[i], SD_LISTEN_FDS_START + i, names[i]);
        if (r >= 0)
                r = sd_event_add_time_relative(s->event, &s->idle, CLOCK_MONOTONIC, IDLE_USEC, 0, serve_on_idle, s);
        if (r >= 0)
                r = sd_notify(0, "READY=1");
        if (r >= 0)
                r = sd_event_loop(s->event);

        return r;
}

int serve(ServeHandler *handler, void *userdata) {
        Server s = { .handler = handler, .userdata = userdata };
        char **names = NULL;
        int n, r;

        list_init(&s.connections);

        n = sd_listen_fds_with_names(/* unset_environment= */ 1, &names);
        if (n < 1 || n > SOCKETS_MAX) {
                fprintf(stderr, "--serve is for a service: it needs 1 to %i listening sockets from systemd.\n", SOCKETS_MAX);
                return EXIT_FAILURE;
        }

        /* A kernel without Landlock for TCP (before 6.7) leaves it to the unit's own filter. */
        (void) confine(CONFINE_MAY_CONNECT);

        r = serve_run(&s, n, names);
        if (r < 0)
                fprintf(stderr, "Serving failed: %s.\n", strerror(-r));

        LIST_FOREACH(i, &s.connections)
                serve_free(CONTAINER_OF(i, ServeConn, link));
        sd_event_source_disable_unref(s.idle);
        sd_event_unref(s.event);
        for (int i = 0; i < n; i++)
                free(names[i]);
        free(names);
        return r;
}
