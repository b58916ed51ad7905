/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * fdpass-exec: a worker that runs a program for each client, with the client's socket as its standard input and
 * output, as inetd does.
 *
 *     service.c ── client ──▶ exec-child.c: run, wait, limit the time ── posix_spawn(3) ──▶ (program)
 *                                  │
 *                                  └── exec-environment.c: what the program is told of the client
 *
 * With Accept=yes there is one process for one client, which becomes the program: exec-in-place.c.
 */

#include <sys/types.h>

#include "basic/list.h"
#include "workers/exec-environment.h"
#include "workers/service.h"

typedef enum Stderr {
        STDERR_INHERIT, /* as ours: the journal */
        STDERR_SOCKET,  /* the client, as inetd does it */
        STDERR_NULL,
        _STDERR_MAX,
} Stderr;

/* Whether programs may lead their client's socket into the host's network, see basic/confine.h. */
typedef enum Confine {
        CONFINE_AUTO, /* not where the service has no network of its own either */
        CONFINE_NO,
        CONFINE_YES,
        _CONFINE_MAX,
} Confine;

#define N_BUCKETS 256

typedef struct Exec {
        Service service;
        char *const *argv;         /* of the program */
        char *path;                /* where it is; owned */
        Stderr kind_of_stderr;
        Confine confine;
        usec_t runtime_max_usec;   /* USEC_INFINITY: as long as it likes */
        Environment environment;

        sd_event_source *timer;    /* for the child whose time ends first */
        List running;              /* Child.age */
        List ending;               /* Child.age */
        List by_pid[N_BUCKETS];    /* Child.bucket */
} Exec;

/* exec-child.c */
int exec_init(Exec *e);
void exec_done(Exec *e);

/* Programs get their standard streams and nothing else, whatever we were started with. */
void clean_descriptors(void);

/* Can it be run, as far as can be seen? 0 or a negative errno. */
int program_check(const char *path);

/* Finds @name as execvp(3) would, and takes what it finds for the path, or @name itself. NULL: no memory. */
char *program_find(const char *name);

/* exec-in-place.c: is @fd one client's connection (Accept=yes)? */
bool is_one_client(int fd);

/* Becomes the program. Returns an exit status where there is no client, or no program. */
int exec_in_place(Exec *e, int fd);
