/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassd/load.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>

#include "basic/fd.h"
#include "basic/message-ids.h"
#include "basic/utf8.h"
#include "config/connections-refuse.h"

/* Bytes of LoadReport.findings. The journal has all findings. */
#define FINDINGS_MAX 8192

/* Adds a line to the findings. Without memory for it the line is in the journal only. */
static void loader_keep(LoadReport *report, const char *format, ...) _printf_(2, 3);
static void loader_keep(LoadReport *report, const char *format, ...) {
        _cleanup_free_ char *line = NULL;
        char *findings = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&line, format, ap);
        va_end(ap);
        if (r < 0) {
                line = NULL;
                return;
        }

        utf8_mask(line); /* as in the journal: a single line, and valid UTF-8 for D-Bus */

        if (report->findings && strlen(report->findings) + strlen(line) > FINDINGS_MAX)
                return;

        if (asprintf(&findings, "%s%s%s", report->findings ?: "", report->findings ? "\n" : "", line) < 0)
                return;

        free(report->findings);
        report->findings = findings;
}

static void loader_keep_finding(Loader *l, const char *unit, const char *path, unsigned line, const char *message) {
        if (path && line > 0)
                loader_keep(&l->report, "%s:%u: %s", path, line, message);
        else
                loader_keep(&l->report, "%s: %s", path ? path : unit ? unit : "Units", message);
}

/* True if the running broker uses the unit: clients would lose its route, or the settings of its listener. */
static bool loader_is_in_use(const Broker *b, const char *unit) {
        const Config *config = b->routing ? b->routing->config : NULL;

        if (!unit || !config || streq(unit, "fdpass.service"))
                return true;

        for (size_t i = 0; i < config->n_routes; i++)
                if (streq(config->routes[i].unit, unit))
                        return true;
        for (size_t i = 0; i < config->n_listeners; i++)
                if (streq(config->listeners[i].unit, unit))
                        return true;

        return false;
}

static void loader_on_finding(void *userdata, ConfigSeverity severity, const char *unit, const char *path,
                              unsigned line, const char *message) {
        static const char *const ids[] = {
                [CONFIG_WARNING] = MESSAGE_UNIT_WARNING,
                [CONFIG_ERROR] = MESSAGE_UNIT_ERROR,
                [CONFIG_LINT] = MESSAGE_UNIT_LINT,
        };
        Loader *l = userdata;
        LogRecord record;

        /* Notes are for `fdpassctl verify` only. */
        if (severity == CONFIG_NOTE ||
            (severity == CONFIG_LINT && !load_lint_take(&l->lint, unit, path, line, message)))
                return;

        if (severity == CONFIG_ERROR)
                l->is_harmful = l->is_harmful || loader_is_in_use(l->broker, unit);

        if (severity != CONFIG_LINT)
                loader_keep_finding(l, unit, path, line, message);
        if (severity != CONFIG_LINT && !load_lint_take(&l->known, unit, path, line, message) && l->is_automatic)
                return;

        log_begin(&record, l->broker->diag.log, severity == CONFIG_ERROR ? LOG_ERR : LOG_WARNING);
        log_id(&record, ids[severity]);
        if (unit)
                log_field(&record, "FDPASS_ROUTE", "%s", unit);
        if (path)
                log_field(&record, "CONFIG_FILE", "%s", path);
        if (line > 0)
                log_field(&record, "CONFIG_LINE", "%u", line);

        if (path && line > 0)
                log_commit(&record, "%s:%u: %s", path, line, message);
        else
                log_commit(&record, "%s: %s", path ? path : unit ? unit : "Units", message);
}

static int loader_read_config(Loader *l, Config **ret) {
        _cleanup_close_ int root_fd = -EBADF;
        int r;

        root_fd = open(l->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root_fd < 0)
                return -errno;

        free(l->report.findings);
        l->report = (LoadReport){ .at = usec_now_realtime(), .used_at = l->report.used_at };

        l->is_harmful = false;
        load_lint_begin(&l->lint);
        load_lint_begin(&l->known);
        r = config_check(root_fd, /* sees_files= */ false, loader_on_finding, l, ret);
        if (r < 0)
                return r;

        if (l->lint.n_hidden > 0)
                log_line_id(l->broker->diag.log, LOG_WARNING, MESSAGE_UNIT_LINT,
                            "%zu more warnings about units; fdpassctl verify shows all.", l->lint.n_hidden);

        if (!l->broker->live)
                config_refuse_connections(*ret, loader_on_finding, l);

        r = config_load_flushers(*ret, FDPASS_FLUSHER_DIR, /* load= */ true, loader_on_finding, l);
        if (r < 0)
                *ret = config_free(*ret);
        return r;
}

static void loader_log_result(Broker *b, const Config *config, const char *verb) {
        if (config->n_routes == 0)
                log_line_id(b->diag.log, LOG_WARNING, MESSAGE_NO_UNITS,
                            "%s, but no worker's unit is enabled: every client is refused. See systemctl "
                            "list-dependencies fdpass.target.", verb);
        else
                log_line(b->diag.log, LOG_INFO, "%s: %zu route%s%s.", verb, config->n_routes,
                         config->n_routes == 1 ? "" : "s", config->n_errors > 0 ? ", without the units that have errors" : "");
}

static int loader_use_config(Loader *l, Config **config, const char *verb) {
        int r;

        r = broker_set_config(l->broker, *config);
        if (r < 0)
                return r;

        l->report.used_at = l->report.at;
        loader_log_result(l->broker, *config, verb);
        *config = NULL; /* consumed */

        /* The memory of the units' files and of the old routes is scattered, and only malloc_trim(3) gives it back. */
        (void) malloc_trim(0);
        return 0;
}

void loader_done(Loader *l) {
        load_lint_done(&l->lint);
        load_lint_done(&l->known);
        free(TAKE_PTR(l->report.findings));
}

int loader_load(Loader *l) {
        _cleanup_(config_freep) Config *config = NULL;
        int r;

        r = loader_read_config(l, &config);
        if (r >= 0)
                r = loader_use_config(l, &config, "Ready");
        if (r < 0)
                log_line(l->broker->diag.log, LOG_ERR, "Failed to load the units below %s: %s.", l->root, strerror(-r));

        return r;
}

/* The old routes stay. After an automatic load, that is logged once for the same errors. */
static void loader_log_errors(const Loader *l, unsigned n_errors, bool had_failed) {
        if (l->is_automatic && had_failed && l->known.n_logged == 0)
                return;

        log_line_id(l->broker->diag.log, LOG_ERR, MESSAGE_RELOAD_FAILED,
                    "Not reloaded because of %u error%s, the old routes stay.", n_errors, n_errors == 1 ? "" : "s");
}

void loader_reload(Loader *l) {
        _cleanup_(config_freep) Config *config = NULL;
        Broker *b = l->broker;
        bool had_failed = l->report.has_failed;
        int r;

        r = loader_read_config(l, &config);
        l->report.has_failed = r < 0 || (config->n_errors > 0 && (!l->is_automatic || l->is_harmful));

        if (r >= 0 && l->report.has_failed) {
                loader_log_errors(l, config->n_errors, had_failed);
                return;
        }

        if (r >= 0)
                r = loader_use_config(l, &config, "Reloaded");
        if (r < 0) {
                log_line_id(b->diag.log, LOG_ERR, MESSAGE_RELOAD_FAILED, "Not reloaded, the old routes stay: %s.",
                            strerror(-r));
                loader_keep(&l->report, "Not reloaded: %s.", strerror(-r));
                l->report.has_failed = true;
        }
}

void loader_reload_automatically(Loader *l) {
        l->is_automatic = true;
        loader_reload(l);
        l->is_automatic = false;
}
