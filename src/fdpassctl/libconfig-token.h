/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The tokens of libconfig's files. */

#include "fdpassctl/libconfig-value.h"

typedef struct LibconfigReader {
        const char *p;   /* next byte */
        const char *end; /* the NUL */
        unsigned line;   /* from 1 */
        unsigned depth;  /* groups and lists around */
        LibconfigError *error;
} LibconfigReader;

/* Notes an error in the current line. Returns LIBCONFIG_BAD. */
int libconfig_fail(LibconfigReader *r, const char *what);

/* Skips white space and comments. */
void libconfig_skip(LibconfigReader *r);

/* Takes one character behind white space. Returns false if another one is there. */
bool libconfig_take(LibconfigReader *r, char c);

/* True for the bytes of names and numbers. */
bool libconfig_is_word(char c);

/* Take a string, or a number or a boolean, into @v. Return 0, LIBCONFIG_BAD or -ENOMEM. */
int libconfig_take_string(LibconfigReader *r, LibconfigValue *v);
int libconfig_take_word(LibconfigReader *r, LibconfigValue *v);
