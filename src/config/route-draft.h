/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A route while its unit is read. */

#include "basic/strlist.h"
#include "config/config-parse.h"

typedef struct RouteDraft {
        RouteConfig route; /* everything that needs no other form while it grows */

        StringList listeners, hosts, paths, methods, alpns; /* lists of route.match; match_config_finish() moves them */

        StringList response_headers;     /* ResponseHeader=, each "Name: value" */
        const Assignment *flusher_line;  /* Flusher= that is in effect; NULL: no flusher */
        const Assignment *response_line; /* last ResponseHeader= or ResponseStatus=; NULL: none */
        const Assignment *status_line;   /* ResponseStatus= that is in effect; NULL: none */
        const Assignment *redirect_line; /* RedirectTo= that is in effect; NULL: none */
        char *redirect_to;               /* its value, in the form of redirect_target_parse() */

        const Assignment **listens; /* Listen…= lines of [Socket] that are in effect, in their order */
        size_t n_listens;
} RouteDraft;
