/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/service.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "basic/fd.h"

#define STATUS_USEC (5 * USEC_PER_SEC)     /* shortest time between two STATUS= messages, because each costs PID 1 20 µs */
#define COMPLAINT_USEC (10 * USEC_PER_SEC) /* shortest time between two warnings */

static bool service_is_open(const Service *s) {
        for (size_t i = 0; i < s->n_sockets; i++)
                if (s->sockets[i].fd >= 0)
                        return true;

        return false;
}

static bool service_is_finished(const Service *s) {
        return s->n_busy == 0 && (s->is_stopping || !service_is_open(s));
}

bool service_has_room(const Service *s) {
        return s->n_busy < s->n_max && !s->is_stopping && !s->is_paused;
}

/* @again goes on, too, because the receiver may have clients that came together with the last one. */
static void service_enable(ServiceSocket *k, bool on) {
        on = on && k->fd >= 0;
        (void) sd_event_source_set_enabled(k->io, on ? SD_EVENT_ON : SD_EVENT_OFF);
        if (k->again)
                (void) sd_event_source_set_enabled(k->again, on ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

/* Clients beyond the limit stay in the sockets' queues, which systemd holds. */
void service_update(Service *s) {
        bool is_full = s->n_busy >= s->n_max;

        if (is_full && !s->is_full)
                service_complain(s, "%u %s are all that there is room for: the next clients wait.", s->n_busy, s->what);
        s->is_full = is_full;

        for (size_t i = 0; i < s->n_sockets; i++)
                service_enable(&s->sockets[i], service_has_room(s));

        if (service_is_finished(s))
                (void) sd_event_exit(s->event, 0);
}

void service_update_idle(Service *s) {
        bool is_idle = s->n_busy == 0 && s->exit_idle_usec != USEC_INFINITY && !s->is_stopping;

        if (is_idle)
                (void) sd_event_source_set_time_relative(s->idle, s->exit_idle_usec);
        (void) sd_event_source_set_enabled(s->idle, is_idle ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static int service_on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        Service *s = userdata;

        return sd_event_exit(s->event, 0);
}

void service_notify_status(const Service *s) {
        (void) sd_notifyf(0, "STATUS=%u %s now, %" PRIu64 " since the start.", s->n_busy, s->what, s->n_taken);
}

static int service_on_status(sd_event_source *source, uint64_t usec, void *userdata) {
        service_notify_status(userdata);
        return 0;
}

static void service_schedule_status(Service *s) {
        int enabled;

        if (sd_event_source_get_enabled(s->status, &enabled) <= 0) {
                (void) sd_event_source_set_time_relative(s->status, STATUS_USEC);
                (void) sd_event_source_set_enabled(s->status, SD_EVENT_ONESHOT);
        }
}

void service_begin(Service *s) {
        s->n_taken++;
        if (s->n_busy++ == 0)
                service_update_idle(s);
        if (s->n_busy >= s->n_max)
                service_update(s);
        service_schedule_status(s);
}

void service_end(Service *s) {
        s->n_busy--;
        if (s->n_busy == 0)
                service_update_idle(s);
        if (s->is_full || s->n_busy == 0)
                service_update(s);
        service_schedule_status(s);
}

static int service_add_timer(Service *s, sd_event_source **ret, sd_event_time_handler_t handler) {
        int r = sd_event_add_time(s->event, ret, CLOCK_MONOTONIC, 0, 0, handler, s);

        return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

int service_add_timers(Service *s) {
        int r = service_add_timer(s, &s->idle, service_on_idle);

        return r < 0 ? r : service_add_timer(s, &s->status, service_on_status);
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

void service_turn_away(int client_fd, struct fdpass *info, bool another_may) {
        /* Before the answer, which means that we have no copy of the client. */
        fd_close(client_fd);
        if (info)
                (void) (another_may ? fdpass_decline(info) : fdpass_reject(info));
        fdpass_free(info);
}
