/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command lines of fdpass-exec and fdpass-proxy. Functions that return an error have written it to stderr. */

#include <getopt.h>

#include "basic/time.h"

enum {
        OPTION_VERSION = 0x100,
        OPTION_OWN, /* first number for the program's own long options */
};

/* The last entries of each program's long options. */
#define OPTIONS_COMMON                                          \
        { "help", no_argument, NULL, 'h' },                     \
        { "version", no_argument, NULL, OPTION_VERSION },       \
        {}

typedef struct OptionSet {
        const char *short_options;
        const struct option *long_options; /* end with OPTIONS_COMMON */
        void (*help)(void);

        /* Takes one option. @name is its long name. Returns 0 or a negative errno. */
        int (*take)(void *userdata, int option, const char *name, const char *value);
} OptionSet;

/* Parses all options, and leaves the first argument in optind. Returns OPTIONS_…, or a negative errno. */
enum {
        OPTIONS_DONE = 0, /* --help or --version was printed */
        OPTIONS_RUN = 1,
};
int options_parse(const OptionSet *set, int argc, char *argv[], void *userdata);

/* Parses a value: a time span as in systemd.time(7), or a number from 1 to @max. */
int option_timespan(const char *name, const char *value, usec_t *ret);
int option_unsigned(const char *name, const char *value, unsigned max, unsigned *ret);

/* Returns the index of @value among the @n @names, or a negative errno. */
int option_choice(const char *name, const char *value, const char *const *names, size_t n);
