/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The verbs of fdpassctl. Each gets its own name as argv[0] and returns the exit status: 0, or
 * EXIT_FAILURE where the answer is a no, or something failed, which it has said on stderr.
 */

#include "config/config.h"

extern const char *arg_root; /* --root=, "/" if not given */

/* Reads the units below --root=. Findings go to stderr. Says itself what fails: NULL. */
Config *units_load(void);

extern unsigned n_warnings; /* so many of those findings were warnings */

/*
 * Reads the options that may stand behind any command. Returns where its arguments begin, 0 where --help was
 * all, or -EINVAL for an option that there is not, which it has said.
 */
int parse_common(int argc, char *argv[]);

int verb_verify(int argc, char *argv[]);
int verb_cat(int argc, char *argv[]);
int verb_test(int argc, char *argv[]);
