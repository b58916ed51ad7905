/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The verbs of fdpassctl. Each gets its own name as argv[0] and returns the exit status: 0, or
 * EXIT_FAILURE where the answer is a no, or something failed, which it has said on stderr.
 */

#include <getopt.h>

#include "config/config.h"
#include "fdpassctl/value.h"

extern const char *arg_root;    /* --root=, "/" if not given */
extern const char *arg_control; /* --control=: the broker's control socket */
extern JsonMode arg_json;       /* --json= */
extern bool arg_no_pager;
extern bool arg_no_legend;
extern bool arg_quiet;
extern bool arg_full;           /* -l: lines are not cut */

/* Reads the units below --root=. Findings go to stderr. Says itself what fails: NULL. */
Config *units_load(void);

/* Warns of what is no error in them, but hardly meant. Returns 0 or a negative errno, which it has said. */
int units_lint(const Config *config);

extern unsigned n_warnings; /* so many of those findings were warnings */

/* Takes one option of a verb's own. -ENOTSUP: it is none of those. 0: all is done (--help). */
typedef int (*TakeOption)(void *userdata, int option, const char *value);

/*
 * Reads the options that may stand behind any command, and those in @own (ended by an empty one; NULL: none), with
 * their letters in @own_letters. Returns where the arguments begin, 0 where --help or the like was all, or -EINVAL,
 * which it has said.
 */
int parse_options(int argc, char *argv[], const struct option *own, const char *own_letters, TakeOption take,
                  void *userdata);

static inline int parse_common(int argc, char *argv[]) {
        return parse_options(argc, argv, NULL, "", NULL, NULL);
}

/* The same for a verb without arguments: 1 to go on, and otherwise as above. */
int parse_alone(int argc, char *argv[]);

/* The width of a table's line, as -l and the terminal say. */
size_t line_width(void);

/* Without a broker */
int verb_verify(int argc, char *argv[]);
int verb_cat(int argc, char *argv[]);
int verb_test(int argc, char *argv[]);
int verb_import_httpd(int argc, char *argv[]);

/* list.c */
int verb_list_listeners(int argc, char *argv[]);
int verb_list_routes(int argc, char *argv[]);
int verb_list_workers(int argc, char *argv[]);
int verb_list_clients(int argc, char *argv[]);

int verb_status(int argc, char *argv[]);

/* steer.c */
int verb_drain(int argc, char *argv[]);
int verb_undrain(int argc, char *argv[]);
int verb_reload(int argc, char *argv[]);
int verb_log_level(int argc, char *argv[]);

int verb_metrics(int argc, char *argv[]);
int verb_monitor(int argc, char *argv[]);
int verb_top(int argc, char *argv[]);
int verb_graph(int argc, char *argv[]);
