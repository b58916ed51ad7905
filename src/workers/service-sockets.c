/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/service.h"

#include <signal.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "basic/error.h"
#include "basic/fd.h"

/* Clients of a receiver that are taken in one turn, so that other events are not delayed. */
#define TURN_MAX 64

/*
 * Limit of events of a socket per RATE_USEC. If there is no memory or descriptor for a client, it stays in the queue,
 * and the socket is ready again at once. Then the limit keeps the loop at some 2 % of a CPU. Clients are served far
 * slower than that.
 */
#define RATE_USEC (100 * USEC_PER_MSEC)
#define RATE_MAX 2000

/* Returns the reason why a handoff failed, for a warning, or NULL if it needs none. */
static const char *service_handoff_error(int r) {
        switch (r) {
        case -EPERM:
                return "it comes from a user that may not send clients here (SocketUser=, SocketMode= of the socket "
                       "unit)";
        case -EPROTO:
                return "it is none";
        case -EPROTONOSUPPORT:
                return "it is of a newer version of fdpass";
        case -ECONNABORTED: /* the sender went away, or keeps the client */
                return NULL;
        default:
                return strerror(-r);
        }
}

static void service_socket_close(ServiceSocket *k) {
        k->io = sd_event_source_disable_unref(k->io);
        k->again = sd_event_source_disable_unref(k->again);
        fdpass_receiver_free(TAKE_PTR(k->receiver));
        k->fd = fd_close(k->fd);
}

static void service_socket_failed(ServiceSocket *k, int r) {
        Service *s = k->service;

        /* It was one connection (Accept=yes), and has ended. */
        if (r == -ENOTCONN && k->is_handoff) {
                service_socket_close(k);
                service_update(s);
                return;
        }

        if (errno_is_transient(r) || (!k->is_handoff && errno_is_accept_again(r)))
                return;

        if (errno_is_resource(r)) {
                service_complain(s, "Failed to take a client: %s. It waits.", strerror(-r));
                if (k->again)
                        (void) sd_event_source_set_enabled(k->again, SD_EVENT_ONESHOT);
        } else {
                const char *why = service_handoff_error(r);

                if (why)
                        service_complain(s, "A handoff was not accepted: %s.", why);
        }
}

static int service_socket_accept(ServiceSocket *k, struct fdpass **ret_info) {
        const int flags = SOCK_CLOEXEC | FDPASS_DEFER;
        int fd;

        if (k->receiver)
                return fdpass_receive(k->receiver, flags, ret_info);
        if (k->is_handoff)
                return fdpass_accept(k->fd, flags, ret_info);

        fd = accept4(k->fd, NULL, NULL, SOCK_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* Takes one client. Returns true if there may be another one at once. */
static bool service_socket_take(ServiceSocket *k) {
        struct fdpass *info = NULL;
        int client_fd;

        client_fd = service_socket_accept(k, &info);
        if (client_fd < 0) {
                service_socket_failed(k, client_fd);
                return client_fd != -EAGAIN && !errno_is_resource(client_fd);
        }

        /* The sender no longer waits for us: fdpass-protocol(7). */
        if (info && fdpass_deadline(info) <= usec_now())
                service_turn_away(client_fd, info, true);
        else
                k->service->take(k->service, client_fd, info, k);
        return true;
}

static int service_on_socket(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        ServiceSocket *k = userdata;

        /* One client per event, because a call that finds no client costs as much as one that finds one. */
        if (!k->receiver) {
                (void) service_socket_take(k);
                return 0;
        }

        for (unsigned n = 0; service_has_room(k->service); n++) {
                if (n == TURN_MAX) {
                        (void) sd_event_source_set_enabled(k->again, SD_EVENT_ONESHOT);
                        break;
                }
                if (!service_socket_take(k))
                        break;
        }

        return 0;
}

static int service_on_again(sd_event_source *source, void *userdata) {
        ServiceSocket *k = userdata;

        return service_on_socket(NULL, k->fd, 0, k);
}

static int service_socket_add_receiver(ServiceSocket *k) {
        int r;

        r = fdpass_receiver_new(k->fd, k->service->credits, &k->receiver);
        if (r >= 0)
                r = sd_event_add_defer(k->service->event, &k->again, service_on_again, k);
        if (r >= 0)
                r = sd_event_source_set_ratelimit(k->again, RATE_USEC, RATE_MAX);
        if (r >= 0)
                r = sd_event_source_set_enabled(k->again, SD_EVENT_OFF);

        return r;
}

static int service_socket_open(ServiceSocket *k) {
        Service *s = k->service;
        int family, type, listens, r;
        socklen_t n = sizeof(int);

        if (getsockopt(k->fd, SOL_SOCKET, SO_DOMAIN, &family, &n) < 0 ||
            getsockopt(k->fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 ||
            getsockopt(k->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) < 0)
                return -errno;

        k->is_handoff = family == AF_UNIX;
        if (!k->is_handoff && !listens)
                return -EINVAL;

        /* O_NONBLOCK, because another process may have taken the client that caused the event. */
        r = fd_nonblock(k->fd, true);
        if (r >= 0 && k->is_handoff && type == SOCK_SEQPACKET && listens && s->credits > 0)
                r = service_socket_add_receiver(k);
        if (r >= 0)
                r = sd_event_add_io(s->event, &k->io, k->receiver ? fdpass_receiver_fd(k->receiver) : k->fd, EPOLLIN,
                                    service_on_socket, k);
        if (r >= 0)
                r = sd_event_source_set_ratelimit(k->io, RATE_USEC, RATE_MAX);

        return r;
}

/* A second signal ends the service at once. */
static int service_on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        Service *s = userdata;

        if (s->is_stopping)
                return sd_event_exit(s->event, 0);

        s->is_stopping = true;
        (void) sd_notifyf(0, "STOPPING=1\nSTATUS=Waiting for the end of %u %s.", s->n_busy, s->what);
        service_update_idle(s);
        if (s->stop)
                s->stop(s);
        service_update(s);
        return 0;
}

static int service_add_sources(Service *s) {
        int r;

        r = sd_event_add_signal(s->event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, service_on_signal, s);
        if (r >= 0)
                r = sd_event_add_signal(s->event, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, service_on_signal, s);
        if (r >= 0)
                r = service_add_timers(s);
        if (r >= 0)
                r = sd_event_set_watchdog(s->event, true);

        return r < 0 ? r : 0; /* positive: there is a watchdog */
}

int service_init_with(Service *s, const int *fds, char *const *names, size_t n) {
        int r;

        r = sd_event_new(&s->event);
        if (r < 0)
                return r;

        s->sockets = calloc(n, sizeof(*s->sockets));
        if (!s->sockets)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++) {
                ServiceSocket *k = &s->sockets[s->n_sockets++];

                *k = (ServiceSocket){ .service = s, .fd = fds[i], .name = strdup(names ? names[i] : "") };
                r = k->name ? service_socket_open(k) : -ENOMEM;
                if (r < 0)
                        return r;
        }

        return service_add_sources(s);
}

static void service_free_names(char ***names) {
        for (char **n = *names; n && *n; n++)
                free(*n);
        free(*names);
}

int service_init(Service *s) {
        _cleanup_(service_free_names) char **names = NULL;
        _cleanup_free_ int *fds = NULL;
        int n;

        n = sd_listen_fds_with_names(/* unset_environment= */ 1, &names);
        if (n < 0)
                return n;
        if (n == 0)
                return SERVICE_NO_SOCKET;

        fds = calloc((size_t) n, sizeof(*fds));
        if (!fds)
                return -ENOMEM;

        for (int i = 0; i < n; i++)
                fds[i] = SD_LISTEN_FDS_START + i;

        return service_init_with(s, fds, names, (size_t) n);
}

void service_done(Service *s) {
        for (size_t i = 0; i < s->n_sockets; i++) {
                service_socket_close(&s->sockets[i]);
                free(s->sockets[i].name);
        }
        free(s->sockets);

        sd_event_source_disable_unref(s->idle);
        sd_event_source_disable_unref(s->status);
        sd_event_unref(s->event);
}

void service_close_sockets(Service *s) {
        for (size_t i = 0; i < s->n_sockets; i++)
                service_socket_close(&s->sockets[i]);
}

int service_run(Service *s) {
        service_update_idle(s);
        service_update(s);
        (void) sd_notify(0, "READY=1");
        service_notify_status(s);

        return sd_event_loop(s->event);
}
