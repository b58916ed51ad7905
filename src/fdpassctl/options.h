/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command line: the options that every verb takes, and the parser for those that only one verb takes. */

#include <getopt.h>

#include "fdpassctl/json.h"

extern const char *arg_root;    /* --root=; default "/" */
extern const char *arg_control; /* --control=: path of the broker's control socket */
extern JsonMode arg_json;       /* --json= */
extern bool arg_no_pager;       /* --no-pager */
extern bool arg_no_legend;      /* --no-legend */
extern bool arg_quiet;          /* -q */
extern bool arg_full;           /* -l */

/* The options of one verb, besides those of every verb. */
typedef struct VerbOptions {
        int (*help)(void);            /* prints the help and returns 0; NULL: the general help is printed */
        const struct option *options; /* ends with an empty one; NULL: none */
        const char *letters;          /* short options, as getopt(3) has them; NULL: none */

        /*
         * Takes one option. Returns 1, -ENOTSUP for an option that every verb takes, or -EINVAL after its own message.
         */
        int (*take)(void *userdata, int option, const char *value);
} VerbOptions;

/*
 * Parses the options that every verb takes, and those of @own (NULL: none), whose take() gets @userdata. Returns the
 * index of the first argument, 0 if --help or --version was all that was asked for, or -EINVAL after a message.
 */
int parse_options(int argc, char *argv[], const VerbOptions *own, void *userdata);

/* Parses like parse_options(), for a verb without arguments. Returns 1, 0 or -EINVAL in the same way. */
int parse_alone(int argc, char *argv[]);

/* Parses the options in front of the verb. Returns the index of the verb, or 0 or -EINVAL as parse_options(). */
int parse_before_verb(int argc, char *argv[]);

/* Returns the width that -l and the terminal allow for a line, in columns; 0: any. */
size_t line_width(void);
