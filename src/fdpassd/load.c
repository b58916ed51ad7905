/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassd/load.h"

#include <fcntl.h>

#include "basic/fd.h"
#include "basic/message-ids.h"

static void report(void *userdata, ConfigSeverity severity, const char *unit, const char *path, unsigned line,
                   const char *message) {
        Log *log = userdata;
        LogRecord record;

        log_begin(&record, log, severity == CONFIG_ERROR ? LOG_ERR : LOG_WARNING);
        log_id(&record, severity == CONFIG_ERROR ? MESSAGE_UNIT_ERROR : MESSAGE_UNIT_WARNING);
        if (unit)
                log_field(&record, "FDPASS_ROUTE", "%s", unit);
        if (path)
                log_field(&record, "CONFIG_FILE", "%s", path);
        if (line > 0)
                log_field(&record, "CONFIG_LINE", "%u", line);

        if (path && line > 0)
                log_commit(&record, "%s:%u: %s", path, line, message);
        else if (path)
                log_commit(&record, "%s: %s", path, message);
        else
                log_commit(&record, "%s: %s", unit ? unit : "Units", message);
}

static int read_config(Broker *b, const char *root, Config **ret) {
        _cleanup_close_ int root_fd = -EBADF;

        root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root_fd < 0)
                return -errno;

        return config_load(root_fd, report, b->log, ret);
}

static void log_result(Broker *b, const Config *config, const char *verb) {
        if (config->n_routes == 0)
                log_line_id(b->log, LOG_WARNING, MESSAGE_NO_UNITS,
                            "%s, but no worker's unit is enabled: every client is refused. See systemctl "
                            "list-dependencies fdpass.target.", verb);
        else
                log_line(b->log, LOG_INFO, "%s: %zu route%s.", verb, config->n_routes, config->n_routes == 1 ? "" : "s");
}

static int use_config(Broker *b, Config **config, const char *verb) {
        int r;

        r = broker_set_config(b, *config);
        if (r < 0)
                return r;

        log_result(b, *config, verb);
        *config = NULL; /* consumed */
        return 0;
}

int load_routes(Broker *b, const char *root) {
        _cleanup_(config_freep) Config *config = NULL;
        int r;

        r = read_config(b, root, &config);
        if (r >= 0)
                r = use_config(b, &config, "Ready");
        if (r < 0)
                log_line(b->log, LOG_ERR, "Failed to load the units below %s: %s.", root, strerror(-r));

        return r;
}

void reload_routes(Broker *b, const char *root) {
        _cleanup_(config_freep) Config *config = NULL;
        int r;

        r = read_config(b, root, &config);
        b->stale = r < 0 || config->n_errors > 0;

        if (r >= 0 && config->n_errors > 0) {
                log_line_id(b->log, LOG_ERR, MESSAGE_RELOAD_FAILED,
                            "Not reloaded because of %u error%s, the old routes stay.", config->n_errors,
                            config->n_errors == 1 ? "" : "s");
                return;
        }

        if (r >= 0)
                r = use_config(b, &config, "Reloaded");
        if (r < 0)
                log_line_id(b->log, LOG_ERR, MESSAGE_RELOAD_FAILED, "Not reloaded, the old routes stay: %s.",
                            strerror(-r));
}
