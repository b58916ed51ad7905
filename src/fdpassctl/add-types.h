/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command line of fdpassctl add, and the files that it writes. */

#include "basic/strlist.h"

/* Directory of the units, below the root directory. */
#define ADD_DIRECTORY "/etc/systemd/system"

/*
 * A name becomes /run/fdpass/NAME.sock, and a path of AF_UNIX has 107 bytes at most (unix(7)). A file NAME.service and
 * a temporary name beside it fit easily.
 */
#define ADD_NAME_MAX 80

typedef struct AddRecipe AddRecipe;

/* The command line of fdpassctl add. Its strings are borrowed from the arguments, except those in lists. */
typedef struct AddPlan {
        const char *name;           /* NAME */
        const AddRecipe *recipe;    /* what serves */
        StringList keys;            /* lines "Key=value" of [X-FDPass], in the order of the options */
        StringList proxy;           /* addresses of --proxy= */
        const char *server;         /* --server=; NULL: none */
        const char *worker;         /* --worker=; NULL: none */
        const char *user;           /* user of the service; NULL: a dynamic one */
        const char *port;           /* --port=; NULL: that of the example */
        const char *proxy_protocol; /* --proxy-protocol=; NULL: none */
        char **program;             /* program and arguments behind "--", NULL at the end; NULL: none */
        char *program_path;         /* absolute path of the program; owned. NULL: none */
        bool has_program;           /* the program was found, so its first line may be read */
        bool inetd;                 /* --inetd */
        bool has_target; /* NAME.target has the route, because nothing is started: --worker=, or a redirect */
        bool http;                  /* --http */
        bool stream;                /* --stream */
        bool hand_back;             /* --hand-back */
        bool print;                 /* --print */
        bool no_start;              /* --no-start */
        bool was_enabled;           /* the server's own unit is enabled */
        bool was_active;            /* the server's own unit runs */
} AddPlan;

/* One file that add writes. Both strings are owned. */
typedef struct AddFile {
        char *path; /* below ADD_DIRECTORY */
        char *text;
} AddFile;

/* The files of a plan. */
typedef struct AddFiles {
        AddFile items[6];
        size_t n_items;
} AddFiles;
