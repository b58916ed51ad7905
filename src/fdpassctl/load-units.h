/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The units below --root=, as verify, cat and test read them. Findings go to stderr, with file and line. */

#include "basic/strlist.h"
#include "config/config.h"
#include "match/match.h"

/* The warnings so far. */
extern unsigned load_n_warnings;

/* The errors so far. */
extern unsigned load_n_errors;

/*
 * Limits what is printed and counted to findings about these units and paths of files; NULL: all findings. It is
 * borrowed.
 */
extern const StringList *load_only;

/* Reads the units and loads the flushers that they name. Returns the configuration, or NULL after a message. */
Config *load_units(void);

/* Does the same, and prints warnings about settings that are valid but probably a mistake. */
Config *load_units_and_lint(void);

/* Does the same as if the worker's unit @unit were enabled. */
Config *load_units_and_lint_with(const char *unit);

/*
 * Does the same as load_units() without a message. *ret_is_whole becomes false if the user may not read a file, because
 * then units seem to be missing. Returns the configuration or NULL.
 */
Config *load_units_quietly(bool *ret_is_whole);

/* Prints a warning about "@key=@value" in the unit of @route, and counts it. */
void load_warn(const RouteConfig *route, const char *key, const char *value, const char *message);

/* Prints a note about it. */
void load_note(const RouteConfig *route, const char *key, const char *value, const char *message);

/* Returns the key that the worker's path comes from. The string is static. */
const char *load_worker_key(const RouteConfig *route);

/* Return the route or the listener of this unit, or NULL. */
const RouteConfig *load_find_route(const Config *config, const char *unit);
const ListenerConfig *load_find_listener(const Config *config, const char *unit);

/* Returns the listener of this name, or NULL. */
const ListenerConfig *load_find_listener_name(const Config *config, const char *name);

/* Makes the index that the broker uses, of all routes. The number of each is its place in @config. Returns 0 or -ENOMEM. */
int load_make_index(const Config *config, MatchIndex **ret);
