/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/load-units.h"

#include <fcntl.h>
#include <stdio.h>

#include "basic/fd.h"
#include "basic/output.h"
#include "config/connections-refuse.h"
#include "fdpassctl/options.h"

unsigned load_n_warnings = 0;
unsigned load_n_errors = 0;
const StringList *load_only = NULL;

static bool load_is_wanted(const char *unit, const char *path) {
        return !load_only || (path && strlist_has(load_only, path)) || (unit && strlist_has(load_only, unit));
}

static void load_report(void *userdata, ConfigSeverity severity, const char *unit, const char *path, unsigned line,
                        const char *message) {
        static const char *const names[] = {
                [CONFIG_WARNING] = "warning",
                [CONFIG_ERROR] = "error",
                [CONFIG_LINT] = "warning",
                [CONFIG_NOTE] = "note",
        };

        if (!load_is_wanted(unit, path))
                return;

        if (severity == CONFIG_ERROR)
                load_n_errors++;
        if (severity == CONFIG_WARNING || severity == CONFIG_LINT)
                load_n_warnings++;
        if (severity != CONFIG_ERROR && arg_quiet)
                return;

        output_text(stderr, path ? path : unit ? unit : arg_root);
        if (path && line > 0)
                fprintf(stderr, ":%u", line);
        fprintf(stderr, ": %s: ", names[severity]);
        output_text(stderr, message);
        fputc('\n', stderr);
}

static void load_say(const RouteConfig *route, const char *severity, const char *key, const char *value,
                     const char *message) {
        if (arg_quiet || !load_is_wanted(route->unit, route->path))
                return;

        output_text(stderr, route->path);
        fprintf(stderr, ": %s: %s=", severity, key);
        output_text(stderr, value);
        fprintf(stderr, ": %s\n", message);
}

void load_warn(const RouteConfig *route, const char *key, const char *value, const char *message) {
        load_n_warnings += load_is_wanted(route->unit, route->path);
        load_say(route, "warning", key, value, message);
}

void load_note(const RouteConfig *route, const char *key, const char *value, const char *message) {
        load_say(route, "note", key, value, message);
}

/*
 * Loads the flushers of this system, which checks them completely. Code of another root is not run, so there only the
 * existence of the files is checked.
 */
static int load_flushers(Config **config, ConfigReport report, void *userdata) {
        _cleanup_free_ char *directory = NULL;
        bool is_ours = streq(arg_root, "/");
        int r = -ENOMEM;

        if (asprintf(&directory, "%s%s", is_ours ? "" : arg_root, FDPASS_FLUSHER_DIR) < 0)
                directory = NULL;
        else
                r = config_load_flushers(*config, directory, is_ours, report, userdata);
        if (r < 0)
                *config = config_free(*config);

        return r;
}

/* @lint: reports what is valid but probably a mistake too, as if @unit were enabled. */
static int load_all(bool lint, const char *unit, ConfigReport report, void *userdata, Config **ret) {
        _cleanup_close_ int root_fd = open(arg_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        int r;

        if (root_fd < 0)
                return -errno;

        if (lint)
                r = config_check_with(root_fd, /* sees_files= */ true, unit, report, userdata, ret);
        else
                r = config_load(root_fd, report, userdata, ret);

        if (r < 0)
                return r;

        if (lint && !config_enables_connections(*ret))
                config_refuse_connections(*ret, report, userdata);
        return load_flushers(ret, report, userdata);
}

/* Findings are sentences. That about a file that may not be read ends with the text of EACCES. */
static void load_note_denied(void *userdata, ConfigSeverity severity, const char *unit, const char *path, unsigned line,
                             const char *message) {
        if (strstr(message, strerror(EACCES)))
                *(bool *) userdata = false;
}

Config *load_units_quietly(bool *ret_is_whole) {
        Config *config;

        *ret_is_whole = true;
        return load_all(/* lint= */ false, NULL, load_note_denied, ret_is_whole, &config) < 0 ? NULL : config;
}

static Config *load_units_with(bool lint, const char *unit) {
        Config *config;
        int r;

        r = load_all(lint, unit, load_report, NULL, &config);
        if (r < 0) {
                fprintf(stderr, "Failed to read the units below %s: %s.\n", arg_root, strerror(-r));
                return NULL;
        }

        return config;
}

Config *load_units(void) {
        return load_units_with(/* lint= */ false, NULL);
}

Config *load_units_and_lint(void) {
        return load_units_with(/* lint= */ true, NULL);
}

Config *load_units_and_lint_with(const char *unit) {
        return load_units_with(/* lint= */ true, unit);
}

const char *load_worker_key(const RouteConfig *route) {
        static const char *const keys[] = {
                [TRANSPORT_STREAM] = "ListenStream",
                [TRANSPORT_SEQPACKET] = "ListenSequentialPacket",
        };

        return route->transport_is_open ? "Worker" : keys[route->transport];
}

const RouteConfig *load_find_route(const Config *config, const char *unit) {
        for (size_t i = 0; i < config->n_routes; i++)
                if (streq(config->routes[i].unit, unit))
                        return &config->routes[i];

        return NULL;
}

const ListenerConfig *load_find_listener(const Config *config, const char *unit) {
        for (size_t i = 0; i < config->n_listeners; i++)
                if (streq(config->listeners[i].unit, unit))
                        return &config->listeners[i];

        return NULL;
}

const ListenerConfig *load_find_listener_name(const Config *config, const char *name) {
        for (size_t i = 0; i < config->n_listeners; i++)
                if (streq(config->listeners[i].name, name))
                        return &config->listeners[i];

        return NULL;
}

int load_make_index(const Config *config, MatchIndex **ret) {
        _cleanup_(match_index_freep) MatchIndex *index = NULL;
        int r;

        r = match_index_new(&index);
        for (size_t i = 0; r >= 0 && i < config->n_routes; i++)
                r = match_index_add(index, &config->routes[i].match, config->routes[i].unit, i);
        if (r >= 0)
                r = match_index_finish(index);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(index);
        return 0;
}
