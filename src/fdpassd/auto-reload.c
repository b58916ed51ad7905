/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassd/auto-reload.h"

#include <fcntl.h>

#include "basic/fd.h"

/* A reload begins after this time without a change, because `systemctl enable` may get several units. */
#define QUIET_USEC (200 * USEC_PER_MSEC)

/* Under steady changes it begins this long after the first one. */
#define LATEST_USEC (800 * USEC_PER_MSEC)

/* Shortest time between two reloads. A reload that takes long leaves at least four times its own time to clients. */
#define GAP_USEC (500 * USEC_PER_MSEC)
#define GAP_FACTOR 4

static void auto_reload_fail(AutoReload *a, int error) {
        if (a->has_failed)
                return;

        a->has_failed = true;
        log_line(a->broker->diag.log, LOG_WARNING,
                 "Units that are enabled or disabled are not noticed before a reload: %s.", strerror(-error));
}

static int auto_reload_open_root(const AutoReload *a) {
        int fd = open(a->root, O_PATH | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

/* Renews the watches, and then reads the links, so that every later change is noticed. Returns 0 or a negative errno. */
static int auto_reload_look(AutoReload *a, uint64_t *ret_hash) {
        _cleanup_close_ int root_fd = auto_reload_open_root(a);
        int r;

        if (root_fd < 0)
                return root_fd;

        r = link_watch_update(&a->watch, root_fd);
        if (r < 0)
                auto_reload_fail(a, r);
        else
                a->has_failed = false;

        return link_watch_hash(root_fd, ret_hash);
}

static void auto_reload_on_timer(void *userdata) {
        AutoReload *a = userdata;
        uint64_t hash = 0;
        int r;

        a->changed_at = 0;
        if (broker_is_stopping(a->broker))
                return;

        r = auto_reload_look(a, &hash);
        if (r < 0)
                auto_reload_fail(a, r);
        else if (hash != a->hash)
                a->reload(a->userdata);
}

static int auto_reload_on_event(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        AutoReload *a = userdata;
        usec_t now = usec_now(), at;

        if (!link_watch_read(&a->watch))
                return 0;

        if (a->changed_at == 0)
                a->changed_at = now;
        at = MIN(now + QUIET_USEC, a->changed_at + LATEST_USEC);

        timer_off(&a->timer); /* otherwise it would not move to a later time */
        timer_set(&a->timer, MAX(at, a->next_at));
        return 0;
}

int auto_reload_start(AutoReload *a) {
        int r;

        r = timer_init(&a->timer, &a->broker->loop, auto_reload_on_timer, a);
        if (r < 0)
                return r;

        r = link_watch_start(&a->watch);
        if (r < 0) {
                auto_reload_fail(a, r);
                return 0;
        }

        return sd_event_add_io(a->broker->loop.event, &a->source, a->watch.fd, EPOLLIN, auto_reload_on_event, a);
}

void auto_reload_done(AutoReload *a) {
        timer_done(&a->timer);
        a->source = sd_event_source_disable_unref(a->source);
        link_watch_done(&a->watch);
}

void auto_reload_begin_load(AutoReload *a) {
        int r;

        a->begun_at = usec_now();
        a->changed_at = 0;
        timer_off(&a->timer);

        /* The first load does not know yet whether AutoReload= is off. */
        r = a->watch.fd < 0 ? 0 : auto_reload_look(a, &a->hash);
        if (r < 0)
                auto_reload_fail(a, r);
}

void auto_reload_end_load(AutoReload *a) {
        usec_t now = usec_now();

        a->next_at = now + MAX(GAP_FACTOR * (now - a->begun_at), GAP_USEC);
        if (a->watch.fd >= 0 && !a->broker->routing->config->broker.auto_reload)
                link_watch_clear(&a->watch);
}
