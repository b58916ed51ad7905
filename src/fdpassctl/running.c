/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/running.h"

#include <limits.h>
#include <stdio.h>

#include "fdpassctl/manager.h"
#include "fdpassctl/options.h"

#define RUNNING_CONTROL "/run/fdpass/control"
#define RUNNING_SHARD "/run/fdpass/shard-"

const char *running_service(void) {
        static char name[NAME_MAX + 1];
        const char *shard, *end;

        if (streq(arg_control, RUNNING_CONTROL))
                return "fdpass.service";

        shard = startswith(arg_control, RUNNING_SHARD);
        end = shard ? strchr(shard, '/') : NULL;
        if (!end || !streq(end, "/control") || end - shard > 64)
                return NULL;

        (void) snprintf(name, sizeof(name), "fdpass-shard@%.*s.service", (int) (end - shard), shard);
        return name;
}

bool running_by_state(const Value *service) {
        const char *active = value_string(service, "ActiveState"), *sub = value_string(service, "SubState");

        return !streq(active, "inactive") && !streq(active, "failed") && !startswith(sub, "auto-restart");
}

bool running_is_running(void) {
        _cleanup_value_ Value service = {};
        _cleanup_bus_ sd_bus *manager = NULL;
        const char *name = running_service();

        if (name && manager_open(&manager) >= 0)
                (void) manager_get_unit(manager, name, &service);

        return running_by_state(&service);
}

int running_open(sd_bus **ret) {
        if (!running_is_running()) {
                fprintf(stderr, "The broker (%s) is not running. The first client starts it. See fdpassctl status.\n",
                        running_service());
                return RUNNING_EXIT_NOT;
        }

        return bus_open(ret) < 0 ? EXIT_FAILURE : 0;
}
