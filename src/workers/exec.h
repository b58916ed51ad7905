/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * fdpass-exec: a worker that runs a program for each client, with the client's socket as its standard input and output,
 * as inetd does.
 *
 *     service.h ── client ──▶ exec-child.c: wait, limit the time ── exec-program.c ── posix_spawn(3) ──▶ (program)
 *                                  └── exec-environment.c: the program's environment
 *
 * With Accept=yes there is one process for one client, which becomes the program: exec-in-place.c.
 */

#include <sys/types.h>

#include "basic/list.h"
#include "workers/choice.h"
#include "workers/exec-environment.h"
#include "workers/service.h"

/* Standard error of programs. */
typedef enum StderrMode {
        STDERR_INHERIT, /* that of fdpass-exec: the journal */
        STDERR_SOCKET,  /* the client, as with inetd */
        STDERR_NULL,    /* /dev/null */
        _STDERR_MAX,
} StderrMode;

#define N_BUCKETS 256

typedef struct Exec {
        Service service;
        char *const *argv;          /* of the program; borrowed */
        char *path;                 /* of the program; owned */
        StderrMode stderr_mode;
        ConfineMode confine;        /* whether programs are confined: see basic/confine.h */
        usec_t runtime_max_usec;    /* limit for each program; USEC_INFINITY: none */
        ProgramEnvironment environment;

        sd_event_source *timer;     /* for the first Child.end */
        List running;               /* Child.age, first Child.end first */
        List ending;                /* Child.age of those that got SIGTERM, first Child.end first */
        List closing;               /* Child.age of those that have exited, whose client has no room for close_notify yet,
                                     * first Child.end first */
        List by_pid[N_BUCKETS];     /* Child.bucket */
} Exec;

/* exec-child.c */

/* Adds what waits for programs. Call it after service_init(). Returns 0 or a negative errno. */
int exec_init(Exec *e);
void exec_done(Exec *e);

/* exec-program.c */

/*
 * Makes all descriptors close-on-exec, except for the standard streams, and opens /dev/null for those that are missing.
 * Otherwise programs would inherit what fdpass-exec was started with.
 */
void exec_clean_descriptors(void);

/* Returns 0 if @path looks like a program that we may execute, or a negative errno. */
int program_check(const char *path);

/* Finds a program as execvp(3) does. Returns its path, or a copy of @name if there is none; NULL: no memory. */
char *program_find(const char *name);

/*
 * Returns false if bytes of the client came with the handoff, because they can't be put back into its socket. @info may
 * be NULL.
 */
bool program_can_read(const struct fdpass *info);

/* Starts the program of @e for a client. @client_fd remains the caller's. Returns 0 or a negative errno. */
int program_spawn(const Exec *e, int client_fd, pid_t *ret);

/* exec-in-place.c */

/* Returns true if @fd is the connection of one client (Accept=yes). */
bool exec_is_one_client(int fd);

/* Becomes the program. Returns an exit status if there is no client or no program. */
int exec_in_place(Exec *e, int fd);
