/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command line: the options that every verb takes, and the parser for those that only one verb takes. */

#include "fdpassctl/json.h"

extern const char *arg_root;    /* --root=; default "/" */
extern const char *arg_control; /* --control=: path of the broker's control socket */
extern JsonMode arg_json;       /* --json= */
extern bool arg_no_pager;       /* --no-pager */
extern bool arg_no_legend;      /* --no-legend */
extern bool arg_quiet;          /* -q */
extern bool arg_full;           /* -l */

/* One option. One of the last six members is set. With @text, @number, @take or @take_named it has a value. */
typedef struct VerbOption {
        const char *name;  /* of the long form; NULL: there is none */
        char letter;       /* of the short form; 0: there is none */
        bool *flag;        /* becomes true */
        const char **text; /* becomes the value */
        unsigned *number;  /* becomes the value, which has to be a number */

        /* Takes the value. Returns 1, or -EINVAL after its own message. */
        int (*take)(void *userdata, const char *value);

        /* Does the same for several options. @name is that of the option. */
        int (*take_named)(void *userdata, const char *name, const char *value);

        /* Does what the option says. Returns 1, or 0 if nothing else is to be done. */
        int (*act)(void);
} VerbOption;

/*
 * Parses the options that every verb takes, and those of @own, which ends with an empty one (NULL: none). Their take()
 * gets @userdata. --help prints @help. Returns the index of the first argument, 0 if --help or --version was all that
 * was asked for, or -EINVAL after a message.
 */
int parse_options(int argc, char *argv[], const char *help, const VerbOption *own, void *userdata);

/* Does the same for a verb without options of its own. */
int parse_common(int argc, char *argv[]);

/* Does the same for a verb that has no arguments either. Returns 1, 0 or -EINVAL. */
int parse_alone(int argc, char *argv[]);

/* Parses the options in front of the verb. Returns the index of the verb, or 0 or -EINVAL as parse_options(). */
int parse_before_verb(int argc, char *argv[]);

/* Returns the width that -l and the terminal allow for a line, in columns; 0: any. */
size_t line_width(void);
