/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Types of the conversion of httpd's configuration, which all of its files use. */

#include "basic/strlist.h"

/* The line that a directive stands in. */
typedef struct HttpdPlace {
        const char *file;     /* belongs to the HttpdConfig */
        unsigned line;        /* number of its first line, from 1 */
        const char *use_file; /* file of the line "Use" if @line is in a macro; NULL: it is not */
        unsigned use_line;
} HttpdPlace;

/* Reports a line that units can't express, or not exactly. @message is one sentence or more without a line break. */
typedef void (*HttpdSay)(void *userdata, const HttpdPlace *place, const char *message);

typedef struct HttpdOptions {
        const char *server_root; /* directory of relative paths until a line sets ServerRoot */
        bool may_include;        /* Include reads files */
        HttpdSay say;
        void *userdata;
} HttpdOptions;

/* One unit. */
typedef struct HttpdRoute {
        HttpdPlace place;     /* of ProxyPass or ProxyPassMatch */
        const char *name;     /* name of the virtual host, for the name of the unit; "": none */
        StringList listeners; /* for Listener=; none: all listeners */
        StringList hosts;     /* for Host=; none: all hosts */
        StringList paths;     /* for Path= */
        char *worker;         /* absolute path of the worker's socket */
        const char *flusher;  /* for Flusher=; default "flush" */
        StringList sources;   /* for Source=; none: all clients */
        size_t host;          /* index of the virtual host in HttpdAccess; 0: the server */
        size_t condition;     /* index of the condition around the line in HttpdAccess; 0: none */
        size_t entry;         /* index of the line in HttpdConfig */
        size_t group;         /* index of the addresses in HttpdConfig */
        size_t n_groups;      /* groups that have this unit */
        bool is_default;      /* the unit takes the hosts that no virtual host names */
} HttpdRoute;

typedef struct HttpdRoutes {
        HttpdRoute *items;
        size_t n_items;
} HttpdRoutes;
