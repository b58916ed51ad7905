/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The environment of a program: that of fdpass-exec, without the variables that concern fdpass-exec only, and the facts
 * of the client. Their names are those of UCSPI (tcpserver, s6), of systemd (Accept=yes) and of fdpass: fdpass-exec(8)
 * has the list.
 */

#include "libfdpass/fdpass.h"

#define ENVIRONMENT_TEXT_MAX (16 * 1024)

typedef struct ProgramEnvironment {
        char **items;   /* for execve(2): ends with NULL */
        size_t n_own;   /* items that are inherited: the first ones, borrowed */
        size_t n;
        char *text;     /* the other items, each with its NUL */
        size_t n_text;
} ProgramEnvironment;

/* @own is borrowed. Returns 0 or -ENOMEM. */
int program_environment_init(ProgramEnvironment *e, char *const *own);
void program_environment_done(ProgramEnvironment *e);

/* Replaces the facts of the last client by those of this one. @info may be NULL. */
void program_environment_set(ProgramEnvironment *e, int client_fd, const struct fdpass *info);
