/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/service.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "basic/parse.h"

#define PAUSE_USEC (100 * USEC_PER_MSEC)
#define STATUS_USEC (5 * USEC_PER_SEC)     /* each costs PID 1 some 20 µs */
#define COMPLAINT_USEC (10 * USEC_PER_SEC)
#define TURN_MAX 64                        /* clients taken at a time, before anything else has its turn */

static bool is_open(const Service *s) {
        for (size_t i = 0; i < s->n_inlets; i++)
                if (s->inlets[i].fd >= 0)
                        return true;

        return false;
}

static bool is_done(const Service *s) {
        return s->n_busy == 0 && (s->is_stopping || !is_open(s));
}

static bool takes(const Service *s) {
        return s->n_busy < s->n_max && !s->is_paused && !s->is_stopping;
}

static void inlet_enable(Inlet *i, bool on) {
        on = on && i->fd >= 0;
        (void) sd_event_source_set_enabled(i->io, on ? SD_EVENT_ON : SD_EVENT_OFF);
        /* Clients that came together with the last one that there was room for. */
        if (i->again)
                (void) sd_event_source_set_enabled(i->again, on ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

/* Clients are taken where there is room for them; all others stay in the socket's queue, which is systemd's. */
static void update(Service *s) {
        bool full = s->n_busy >= s->n_max;

        if (full && !s->is_full)
                service_complain(s, "%u %s are all that there is room for: the next clients wait.", s->n_busy, s->what);
        s->is_full = full;

        for (size_t i = 0; i < s->n_inlets; i++)
                inlet_enable(&s->inlets[i], takes(s));

        if (is_done(s))
                (void) sd_event_exit(s->event, 0);
}

static void watch_idle(Service *s) {
        bool idle = s->n_busy == 0 && s->exit_idle_usec != USEC_INFINITY && !s->is_stopping;

        if (idle)
                (void) sd_event_source_set_time_relative(s->idle, s->exit_idle_usec);
        (void) sd_event_source_set_enabled(s->idle, idle ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static void notify_status(const Service *s) {
        (void) sd_notifyf(0, "STATUS=%u %s now, %" PRIu64 " since the start.", s->n_busy, s->what, s->n_taken);
}

static void status_is_due(Service *s) {
        int enabled;

        if (sd_event_source_get_enabled(s->status, &enabled) <= 0) {
                (void) sd_event_source_set_time_relative(s->status, STATUS_USEC);
                (void) sd_event_source_set_enabled(s->status, SD_EVENT_ONESHOT);
        }
}

static int on_status(sd_event_source *source, uint64_t usec, void *userdata) {
        notify_status(userdata);
        return 0;
}

void service_begin(Service *s) {
        s->n_taken++;
        if (s->n_busy++ == 0)
                watch_idle(s);
        if (s->n_busy >= s->n_max)
                update(s);
        status_is_due(s);
}

void service_end(Service *s) {
        s->n_busy--;
        if (s->n_busy == 0)
                watch_idle(s);
        if (s->is_full || s->n_busy == 0)
                update(s);
        status_is_due(s);
}

void service_pause(Service *s) {
        if (s->is_paused)
                return;

        s->is_paused = true;
        (void) sd_event_source_set_time_relative(s->pause, PAUSE_USEC);
        (void) sd_event_source_set_enabled(s->pause, SD_EVENT_ONESHOT);
        update(s);
}

static int on_pause(sd_event_source *source, uint64_t usec, void *userdata) {
        Service *s = userdata;

        s->is_paused = false;
        update(s);
        return 0;
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        Service *s = userdata;

        return sd_event_exit(s->event, 0);
}

void service_complain(Service *s, const char *format, ...) {
        char text[512];
        uint64_t n;
        va_list ap;

        if (!ratelimit_test(&s->complaints, usec_now(), COMPLAINT_USEC, &n))
                return;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);

        if (n > 1)
                log_line(s->log, LOG_WARNING, "%s (%" PRIu64 " such messages were held back.)", text, n - 1);
        else
                log_line(s->log, LOG_WARNING, "%s", text);
}

void service_turn_away(int client_fd, struct fdpass *told, bool another_may) {
        /* Our copy goes first: the answer says that there is none. */
        fd_close(client_fd);
        if (told)
                (void) (another_may ? fdpass_decline(told) : fdpass_reject(told));
        fdpass_free(told);
}

/* Why a handoff came to nothing; NULL where that is nothing to speak of. */
static const char *handoff_error(int r) {
        switch (r) {
        case -EPERM:
                return "it comes from a user that may not send clients here (SocketUser=, SocketMode= of the socket unit)";
        case -EPROTO:
                return "it is none";
        case -EPROTONOSUPPORT:
                return "it is of a newer version of fdpass";
        case -ECONNABORTED: /* the sender went away, or is told and keeps the client */
                return NULL;
        default:
                return strerror(-r);
        }
}

static void inlet_close(Inlet *i) {
        i->io = sd_event_source_disable_unref(i->io);
        i->again = sd_event_source_disable_unref(i->again);
        fdpass_receiver_free(TAKE_PTR(i->receiver));
        i->fd = fd_close(i->fd);
}

static void inlet_failed(Inlet *i, int r) {
        Service *s = i->service;

        if (r == -ENOTCONN && i->is_handoff) { /* one connection (Accept=yes), which ended */
                inlet_close(i);
                update(s);
                return;
        }

        if (errno_is_transient(r) || (!i->is_handoff && errno_is_accept_again(r)))
                return;

        if (errno_is_resource(r)) {
                service_complain(s, "Failed to take a client: %s. It waits.", strerror(-r));
                service_pause(s);
        } else if (handoff_error(r))
                service_complain(s, "A handoff was not accepted: %s.", handoff_error(r));
}

static int inlet_accept(Inlet *i, struct fdpass **ret_told) {
        const int flags = SOCK_CLOEXEC | FDPASS_DEFER;
        int fd;

        if (i->receiver)
                return fdpass_receive(i->receiver, flags, ret_told);
        if (i->is_handoff)
                return fdpass_accept(i->fd, flags, ret_told);

        fd = accept4(i->fd, NULL, NULL, SOCK_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* Takes one client. Returns whether there may be another. */
static bool inlet_take(Inlet *i) {
        struct fdpass *told = NULL;
        int client_fd;

        client_fd = inlet_accept(i, &told);
        if (client_fd < 0) {
                inlet_failed(i, client_fd);
                return client_fd != -EAGAIN;
        }

        if (told && fdpass_deadline(told) <= usec_now())
                service_turn_away(client_fd, told, true); /* fdpass-protocol(7): the sender has given it up */
        else
                i->service->take(i->service, client_fd, told, i);
        return true;
}

static int on_inlet(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Inlet *i = userdata;

        /* A call for each event: one that finds nobody costs as much as one that does. */
        if (!i->receiver) {
                (void) inlet_take(i);
                return 0;
        }

        for (unsigned n = 0; takes(i->service); n++) {
                if (n == TURN_MAX) {
                        (void) sd_event_source_set_enabled(i->again, SD_EVENT_ONESHOT);
                        break;
                }
                if (!inlet_take(i))
                        break;
        }

        return 0;
}

static int on_again(sd_event_source *source, void *userdata) {
        Inlet *i = userdata;

        return takes(i->service) ? on_inlet(NULL, i->fd, 0, i) : 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        Service *s = userdata;

        if (s->is_stopping)
                return sd_event_exit(s->event, 0); /* asked twice */

        s->is_stopping = true;
        (void) sd_notifyf(0, "STOPPING=1\nSTATUS=Waiting for the end of %u %s.", s->n_busy, s->what);
        watch_idle(s);
        if (s->stop)
                s->stop(s);
        update(s);
        return 0;
}

/* Only of a SEQPACKET socket connections are kept. */
static int add_receiver(Inlet *i) {
        int r;

        r = fdpass_receiver_new(i->fd, i->service->credits, &i->receiver);
        if (r >= 0)
                r = sd_event_add_defer(i->service->event, &i->again, on_again, i);
        if (r >= 0)
                r = sd_event_source_set_enabled(i->again, SD_EVENT_OFF);

        return r;
}

static int inlet_open(Inlet *i) {
        Service *s = i->service;
        int family, type, listens, r;
        socklen_t n = sizeof(int);

        if (getsockopt(i->fd, SOL_SOCKET, SO_DOMAIN, &family, &n) < 0 ||
            getsockopt(i->fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 ||
            getsockopt(i->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) < 0)
                return -errno;

        i->is_handoff = family == AF_UNIX;
        if (!i->is_handoff && !listens)
                return -EINVAL;

        /* Somebody else may be faster at taking the client that woke us. */
        r = fd_nonblock(i->fd, true);
        if (r >= 0 && i->is_handoff && type == SOCK_SEQPACKET && listens && s->credits > 0)
                r = add_receiver(i);
        if (r < 0)
                return r;

        return sd_event_add_io(s->event, &i->io, i->receiver ? fdpass_receiver_fd(i->receiver) : i->fd, EPOLLIN, on_inlet, i);
}

static int add_timer(Service *s, sd_event_source **ret, sd_event_time_handler_t callback) {
        int r = sd_event_add_time(s->event, ret, CLOCK_MONOTONIC, 0, 0, callback, s);

        return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

static int add_sources(Service *s) {
        int r;

        r = sd_event_add_signal(s->event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, on_signal, s);
        if (r >= 0)
                r = sd_event_add_signal(s->event, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, on_signal, s);
        if (r >= 0)
                r = add_timer(s, &s->pause, on_pause);
        if (r >= 0)
                r = add_timer(s, &s->idle, on_idle);
        if (r >= 0)
                r = add_timer(s, &s->status, on_status);
        if (r >= 0)
                r = sd_event_set_watchdog(s->event, true);

        return r < 0 ? r : 0; /* positive: systemd wants to be told */
}

int service_init_with(Service *s, const int *fds, char *const *names, size_t n) {
        int r;

        r = sd_event_new(&s->event);
        if (r < 0)
                return r;

        s->inlets = calloc(n, sizeof(*s->inlets));
        if (!s->inlets)
                return -ENOMEM;

        for (; s->n_inlets < n; s->n_inlets++) {
                Inlet *i = &s->inlets[s->n_inlets];

                *i = (Inlet){ .service = s, .fd = fds[s->n_inlets], .name = strdup(names ? names[s->n_inlets] : "") };
                r = i->name ? inlet_open(i) : -ENOMEM;
                if (r < 0) {
                        s->n_inlets++; /* service_done() closes this one too */
                        return r;
                }
        }

        return add_sources(s);
}

static void free_names(char ***names) {
        for (char **n = *names; n && *n; n++)
                free(*n);
        free(*names);
}

int service_init(Service *s) {
        _cleanup_(free_names) char **names = NULL;
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
        for (size_t i = 0; i < s->n_inlets; i++) {
                inlet_close(&s->inlets[i]);
                free(s->inlets[i].name);
        }
        free(s->inlets);

        sd_event_source_disable_unref(s->pause);
        sd_event_source_disable_unref(s->idle);
        sd_event_source_disable_unref(s->status);
        sd_event_unref(s->event);
}

int service_run(Service *s) {
        watch_idle(s);
        update(s);
        (void) sd_notify(0, "READY=1");
        notify_status(s);

        return sd_event_loop(s->event);
}

int option_timespan(const char *name, const char *value, usec_t *ret) {
        int r = parse_timespan(value, ret);

        if (r < 0)
                fprintf(stderr, "--%s=: not a time span: %s\n", name, value);

        return r;
}

int option_unsigned(const char *name, const char *value, unsigned max, unsigned *ret) {
        unsigned v;

        if (parse_unsigned(value, &v) < 0 || v == 0 || v > max) {
                fprintf(stderr, "--%s=: not a number from 1 to %u: %s\n", name, max, value);
                return -EINVAL;
        }

        *ret = v;
        return 0;
}
