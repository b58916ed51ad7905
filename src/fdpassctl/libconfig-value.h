/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The values of libconfig's files. */

#include <stdint.h>

#include "basic/macro.h"

typedef enum LibconfigType {
        LIBCONFIG_STRING,
        LIBCONFIG_NUMBER, /* an integer; floating-point numbers are refused */
        LIBCONFIG_BOOL,
        LIBCONFIG_GROUP,  /* "{ name: value; }" */
        LIBCONFIG_LIST,   /* "( value, value )" or "[ value, value ]" */
} LibconfigType;

/* A value, with its name if it is a setting of a group. */
typedef struct LibconfigValue {
        LibconfigType type;
        unsigned line; /* from 1 */
        char *name;    /* owned; NULL: an element of a list */
        char *text;    /* value of a string; owned */
        int64_t number; /* value of a number or a boolean */
        struct LibconfigValue *items; /* settings of a group, or elements of a list */
        size_t n_items;
} LibconfigValue;

/* The first error of a text. */
typedef struct LibconfigError {
        unsigned line;    /* from 1 */
        const char *what; /* static */
} LibconfigError;

/* Conditions of libconfig_parse() */
enum {
        LIBCONFIG_BAD = 1, /* the text has an error */
};
