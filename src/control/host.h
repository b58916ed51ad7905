/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The program's side of the control interface. */

#include "basic/time.h"

/* Result of the last time that the units were read. */
typedef struct LoadReport {
        usec_t at;       /* CLOCK_REALTIME, when they were read */
        usec_t used_at;  /* CLOCK_REALTIME, when the units in effect were read; the same as @at unless @has_failed */
        bool has_failed; /* they were not put in effect: the old routes stay */
        char *findings;  /* errors and warnings, one a line; NULL: none */
} LoadReport;

typedef struct ControlHost {
        const LoadReport *report;       /* borrowed */
        void (*reload)(void *userdata); /* reads the units again and updates @report */
        void (*drained)(void *userdata); /* a worker was drained or undrained; NULL: is not told */
        void (*read_host_drain)(void *userdata); /* reads whether the host is drained; NULL: nothing to read */
        void *userdata;
} ControlHost;
