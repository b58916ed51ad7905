/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Findings about units that are valid but probably not as intended. Each says the consequence and the remedy. The
 * broker logs them when it reads the units, and `fdpassctl verify` prints them.
 *
 * A finding about a line is reported once for all units that share the file. A finding about a missing line is reported
 * once for each file (LINT_…).
 */

#include "config/config-parse.h"
#include "config/config-types.h"

/* Facts about a public socket beside its ListenerConfig. */
typedef struct LintListener {
        const ListenerConfig *config;
        const char *tls;        /* unit because of which TLS clients come to it; borrowed. NULL: none */
        bool takes[2];          /* it takes clients of IPv4 and of IPv6, by its address */
        AddressRange *allowed;  /* IPAddressAllow= */
        size_t n_allowed;
        AddressRange *denied;   /* IPAddressDeny= */
        size_t n_denied;
} LintListener;

typedef struct Lint {
        const Config *config;
        const UnitPath *path;   /* its reporter reports nothing, because config_load() has reported these findings */
        Reporter *reporter;
        const char *hostname;   /* for the specifier %H */
        bool sees_files;        /* the files below the root directory are there as the services see them */
        LintListener *listeners;
        size_t n_listeners;
} Lint;

/* Findings about whole files, as bits of UnitFile.linted. */
enum {
        LINT_SANDBOX = 1 << 0,
        LINT_START_LIMIT = 1 << 1,
        LINT_NO_PROGRAM = 1 << 2,
        LINT_SECTION = 1 << 3,
        LINT_LINK = 1 << 4,
};

/* Checks all units of Lint.config. Returns 0 or a negative errno. */
int lint_config(Lint *l);

void lint_done(Lint *l);

/* Reports a warning about a line, once for all units that share it. */
void lint_warn(const Lint *l, const Unit *unit, Assignment *a, const char *format, ...) _printf_(4, 5);

/* Reports a warning about the unit's main file as a whole, once for each @finding (LINT_…). */
void lint_warn_file(const Lint *l, const Unit *unit, unsigned finding, const char *format, ...) _printf_(4, 5);

/* Returns the assignment that is in effect. NULL: there is none, or it is empty. */
Assignment *lint_in_effect(const Unit *unit, const char *section, const char *key);

/*
 * Returns the next assignment of a list that is in effect, from index *i on, and moves *i past it. *i begins with 0.
 * NULL: there is no further one.
 */
Assignment *lint_next(const Unit *unit, const char *section, const char *key, size_t *i);

/* True if a boolean is set. */
bool lint_is_on(const Unit *unit, const char *section, const char *key);

/* True if the list of words @list has this word. */
bool lint_has_word(const char *list, const char *word);

/* Expands the specifiers in the value of @a. Returns false if they can't be expanded. */
bool lint_expand(const Lint *l, const Unit *unit, const Assignment *a, char ret[static VALUE_SIZE]);

/* Called for a word of a list, with its specifiers expanded. */
typedef void (*LintWord)(const Lint *l, const Unit *unit, Assignment *a, const char *word);

/* Calls @check for each word of each line of a key in [X-FDPass]. */
void lint_words(const Lint *l, const Unit *unit, const char *key, LintWord check);

/* Returns the line that creates the worker's socket. NULL: the unit creates none. */
Assignment *lint_listen_line(const Unit *unit);

/* Returns the route of that unit, or NULL. */
const RouteConfig *lint_find_route(const Lint *l, const char *unit);

/* True if Listener= lets clients of that listener in. */
bool lint_is_for_listener(const RouteConfig *route, const LintListener *listener);

/* True if a listener of the route believes PROXY headers, which may tell addresses, a host and ALPN. */
bool lint_has_proxy(const Lint *l, const RouteConfig *route);
