/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The configuration: the [X-FDPass] sections of the installed units. There is no configuration file.
 *
 * A worker's unit declares its own route. `systemctl enable` links it into fdpass.target.wants/. The unit of a public
 * socket has the settings of its listener. The unit of the broker, fdpass.service, has the settings of the broker.
 *
 * config_load() reads all of them from systemd's unit load path and merges drop-ins as systemd does.
 */

#include "config/config-types.h"

/*
 * Reads the configuration below the directory @root_fd, which stands for "/".
 *
 * Passes each finding to @report, which may be NULL. A unit with an error loses its route, and the other units are
 * loaded. The caller frees *ret by config_free(). Returns 0, or a negative errno if reading failed as a whole
 * (errno_is_fatal()).
 */
int config_load(int root_fd, ConfigReport report, void *userdata, Config **ret);

/*
 * Does the same, and reports as CONFIG_LINT what is valid but probably a mistake. Examples are a route that no client
 * can match, and a worker's socket that the broker can't connect to. Reports as CONFIG_NOTE the sandbox settings that a
 * worker's service lacks. With @sees_files the programs of services and all units of the load path are looked at too.
 */
int config_check(int root_fd, bool sees_files, ConfigReport report, void *userdata, Config **ret);

/*
 * Does the same as if @unit were enabled, which is the name of a worker's unit with a file in the load path. NULL: no
 * such unit.
 */
int config_check_with(int root_fd, bool sees_files, const char *unit, ConfigReport report, void *userdata,
                      Config **ret);

/*
 * Reads the route of a worker's unit from a text instead of a file. @name is the name of the unit, and @path is its
 * file in findings. Returns 0, CONFIG_BAD_UNIT after it reported errors, or a negative errno.
 */
int config_check_text(const char *name, const char *path, const char *text, ConfigReport report, void *userdata);

/*
 * Finds the flushers of all routes. With @load, loads those that are not built in from @directory. Without @load,
 * checks only that their files exist, and a broker can't use such routes. Removes a route whose flusher is missing or
 * wrong, and reports and counts that as config_load() does. Returns 0 or -ENOMEM.
 */
int config_load_flushers(Config *config, const char *directory, bool load, ConfigReport report, void *userdata);

/*
 * Names of the directories in the load path (unit_path_load_path) whose links enable workers and public sockets. The
 * last member is NULL.
 */
extern const char *const config_link_directories[];

/* Returns the settings of the listener of this name, or the default ones. Borrowed from @config. */
const ListenerConfig *config_listener(const Config *config, const char *name);

/* True if both have the same flusher with the same settings, or none. */
bool route_config_flushes_alike(const RouteConfig *a, const RouteConfig *b);

/* Conditions of config_describe() and config_check_text() */
enum {
        CONFIG_NO_UNIT = 1, /* there is no such unit, or it is masked */
        CONFIG_BAD_UNIT,    /* the unit has errors */
};

/*
 * Calls @take for each key that a worker's unit may have in [X-FDPass], in the order of the table. Stops when @take
 * returns a number that is not 0, and returns that number.
 */
int config_for_each_route_key(int (*take)(void *userdata, const char *key), void *userdata);

/*
 * Emits the lines that are in effect for @unit: a worker's, fdpass.service, or with @is_listener a public socket's.
 * Lists have a line for each assignment. Values are as written, with their specifiers expanded. Reports no findings.
 * Returns 0, CONFIG_NO_UNIT, or a negative errno.
 */
int config_describe(int root_fd, const char *unit, bool is_listener, ConfigEmit emit, void *userdata);

/* Frees the configuration; NULL is allowed. Returns NULL. */
Config *config_free(Config *config);
DEFINE_CLEANUP(Config *, config_free);
