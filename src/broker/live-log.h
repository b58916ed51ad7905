/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Lines about ends of connections (LogConnections=). Many connections may end at once, and the journal takes about 300
 * lines before it has to be waited for (log.h). So lines wait here, and a timer tries again. Beyond LIVE_LOG_MAX they
 * are dropped and counted, as others are.
 */

#include "broker/state/diag-connection.h"
#include "event/timer.h"

#define LIVE_LOG_MAX 16384

typedef struct LiveLog {
        const Diag *diag;    /* borrowed */
        ConnectionEnd *ends; /* ring of LIVE_LOG_MAX; NULL: no line had to wait yet */
        size_t first, n;
        Timer timer;
} LiveLog;

/* Returns 0 or a negative errno. @diag and @loop are borrowed. */
int live_log_init(LiveLog *log, const Diag *diag, Loop *loop);

/* Writes the lines that wait, or drops them, and frees all. */
void live_log_done(LiveLog *log);

/* Writes the line now or later. Takes the reference of ConnectionEnd.route. */
void live_log_add(LiveLog *log, const ConnectionEnd *end);
