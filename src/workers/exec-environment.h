/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The environment of a program: our own, without what concerns only us, and what is known of the client, under the
 * names of UCSPI (tcpserver, s6), of systemd (Accept=yes), and of fdpass. fdpass-exec(8) has the list.
 */

#include "libfdpass/fdpass.h"

#define ENVIRONMENT_TEXT_MAX (16 * 1024)

typedef struct Environment {
        char **items;   /* ends with NULL: for execve(2) */
        size_t n_own;   /* the first ones are ours, and borrowed from environ */
        size_t n;
        char *text;     /* of the others */
        size_t n_text;
} Environment;

int environment_init(Environment *e, char *const *own);
void environment_done(Environment *e);

/* Says what is known of this client, in the place of the last one. @told may be NULL. */
void environment_set(Environment *e, int client_fd, const struct fdpass *told);
