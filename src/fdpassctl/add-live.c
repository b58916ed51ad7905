/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/add-live.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "fdpassctl/add-recipes.h"
#include "fdpassctl/add-units.h"
#include "fdpassctl/bus.h"
#include "fdpassctl/options.h"
#include "fdpassctl/systemctl.h"

static bool add_live_is_ours(void) {
        return streq(arg_root, "/");
}

/* Returns 0, or -EINTR if the user has ended the command meanwhile. The signals are blocked. */
static int add_live_check_signals(void) {
        sigset_t pending;

        if (sigpending(&pending) < 0 || !(sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM) ||
                                          sigismember(&pending, SIGHUP)))
                return 0;

        fprintf(stderr, "Interrupted.\n");
        return -EINTR;
}

static int add_live_step(int status, const char *what) {
        if (status != 0) {
                fprintf(stderr, "%s failed.\n", what);
                return -EIO;
        }

        return add_live_check_signals();
}

/* A server that listens on its ports by itself has to stop, because systemd starts no socket of a running service. */
static int add_live_stop_server(const AddPlan *plan, AddLive *live) {
        int r;

        if (!plan->was_enabled && !plan->was_active)
                return 0;

        live->has_disabled_server = true;
        r = add_live_step(systemctl_run(false, "disable", "--quiet", "--no-reload", plan->recipe->unit, NULL),
                          "systemctl disable");
        if (r < 0 || !add_live_is_ours())
                return r;

        /* It would warn of the new drop-ins, which systemd reads behind that. */
        return add_live_step(systemctl_run(true, "stop", plan->recipe->unit, NULL), "systemctl stop");
}

int add_live_reload_brokers(void) {
        _cleanup_bus_ sd_bus *bus = NULL;
        int r = 0;

        if (!add_live_is_ours())
                return 0;

        /* A broker that does not run reads the units when it starts. */
        if (systemctl_is_active("fdpass.service")) {
                r = bus_open(&bus);
                if (r >= 0)
                        r = bus_call(bus, "Reload", NULL, "");
        }

        (void) systemctl_run(true, "reload", "fdpass-shard@*.service", NULL);
        return r;
}

int add_live_begin(const AddPlan *plan, AddLive *live) {
        char unit[256];
        int r = add_live_check_signals();

        add_unit_name(plan, unit);
        if (r >= 0)
                r = add_live_stop_server(plan, live);
        if (r >= 0) {
                live->has_enabled = true;
                r = add_live_step(systemctl_run(false, "enable", "--quiet", "--no-reload", "--", unit, NULL),
                                  "systemctl enable");
        }
        if (r >= 0 && add_live_is_ours()) {
                live->has_loaded = true;
                r = add_live_step(systemctl_run(false, "daemon-reload", NULL), "systemctl daemon-reload");
        }
        if (r >= 0 && add_live_is_ours())
                r = add_live_step(systemctl_run(false, "start", "--", unit, NULL), "systemctl start");
        if (r >= 0)
                r = add_live_reload_brokers();

        return r;
}

void add_live_undo(const AddPlan *plan, const AddLive *live) {
        char unit[256];

        add_unit_name(plan, unit);
        if (live->has_enabled && add_live_is_ours()) {
                (void) systemctl_run(true, "disable", "--now", "--", unit, NULL);
                if (!plan->has_target) /* else it is the socket of a worker that listens already */
                        add_live_remove_socket(plan->name);
        } else if (live->has_enabled)
                (void) systemctl_run(true, "disable", "--", unit, NULL);
}

void add_live_restore(const AddPlan *plan, const AddLive *live) {
        if (live->has_loaded)
                (void) systemctl_run(true, "daemon-reload", NULL);
        if (live->has_disabled_server && plan->was_enabled)
                (void) systemctl_run(true, "enable", "--", plan->recipe->unit, NULL);
        if (live->has_disabled_server && plan->was_active)
                (void) systemctl_run(true, "start", "--", plan->recipe->unit, NULL);
        if (live->has_enabled)
                (void) add_live_reload_brokers();
}

void add_live_remove_socket(const char *name) {
        char path[sizeof("/run/fdpass/.sock") + ADD_NAME_MAX];

        if (!add_live_is_ours())
                return;

        (void) snprintf(path, sizeof(path), "/run/fdpass/%.*s.sock", ADD_NAME_MAX, name);
        (void) unlink(path);
}
