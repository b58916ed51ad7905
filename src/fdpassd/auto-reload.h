/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reloads the routes when a unit was enabled or disabled (AutoReload=). Other changes of units need a reload that the
 * administrator asks for, because systemd reads them only when it is asked, too.
 */

#include "broker/broker.h"
#include "fdpassd/link-watch.h"

typedef struct AutoReload {
        Broker *broker;    /* borrowed */
        const char *root;  /* directory that stands for "/"; borrowed */
        void (*reload)(void *userdata);
        void *userdata;    /* of @reload */

        LinkWatch watch;
        sd_event_source *source;
        Timer timer;       /* on while a change is to be read */
        uint64_t hash;     /* of the links that were read last */
        usec_t changed_at; /* time of the first change that is not read yet, CLOCK_MONOTONIC; 0: there is none */
        usec_t begun_at;   /* start of the last load, CLOCK_MONOTONIC */
        usec_t next_at;    /* earliest time of the next reload, CLOCK_MONOTONIC */
        bool has_failed;   /* the log says that changes are not noticed */
} AutoReload;

/*
 * Begins. The members up to @userdata are set. Failures are logged, and then changes are not noticed. Returns 0 or a
 * negative errno if the event loop has no memory.
 */
int auto_reload_start(AutoReload *a);
void auto_reload_done(AutoReload *a);

/* To be called before and after each load of the units, also one that was asked for. */
void auto_reload_begin_load(AutoReload *a);
void auto_reload_end_load(AutoReload *a);
