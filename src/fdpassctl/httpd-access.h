/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The clients that httpd keeps out: Require and its containers (mod_authz_core), Order, Allow and Deny
 * (mod_access_compat), and a few others.
 *
 * A section with Require replaces the sections before it. Their order is that of HttpdRank. Within one rank, sections
 * of the server come before those of the virtual host, and then the order is that of the lines.
 *
 * <Directory> and <Files> hold for files only, and the request of a proxy has none (proxy_map_location() of mod_proxy).
 */

#include <stdio.h>

#include "basic/strlist.h"
#include "fdpassctl/httpd-types.h"

typedef enum HttpdLetsIn {
        HTTPD_LETS_IN_ALL,
        HTTPD_LETS_IN_SOURCES,
        HTTPD_LETS_IN_OTHER, /* Source= can't express the clients */
} HttpdLetsIn;

/* The order in which httpd merges its sections. */
typedef enum HttpdRank {
        HTTPD_RANK_SERVER,
        HTTPD_RANK_PROXY,
        HTTPD_RANK_LOCATION,
        HTTPD_RANK_IF,
} HttpdRank;

typedef enum HttpdPaths {
        HTTPD_PATHS_ALL,
        HTTPD_PATHS_BELOW,   /* the path and those below, as <Location> */
        HTTPD_PATHS_BEGIN,   /* each path that begins with these bytes */
        HTTPD_PATHS_UNKNOWN, /* some of the paths that begin with these bytes */
} HttpdPaths;

/* The clients that one section lets in, or that one directive keeps out. */
typedef struct HttpdRule {
        HttpdPlace place;    /* of the line that decides */
        char *directive;     /* words of the line, for messages */
        size_t host;         /* index of the virtual host; 0: the server */
        HttpdRank rank;
        HttpdPaths paths;
        char *path;          /* bytes for @paths */
        size_t condition;    /* index of the condition around the section; 0: none */
        bool is_final;       /* no later section takes it back */
        bool is_guess;       /* the line may keep clients out, but need not */
        HttpdLetsIn lets_in;
        StringList sources;  /* values for Source= */
} HttpdRule;

typedef struct HttpdHost {
        StringList names; /* as for Host= */
        bool has_others;  /* other names than Host= can express */
        char *addresses;  /* words of <VirtualHost> */
} HttpdHost;

typedef struct HttpdSection HttpdSection;

typedef struct HttpdAccess {
        HttpdRule *rules;
        size_t n_rules;
        HttpdHost *hosts;      /* the first is the server */
        size_t n_hosts;
        size_t *conditions;    /* index of the condition around each one; the first is no condition */
        size_t n_conditions;
        HttpdSection *sections; /* open sections, from the outermost, which is the server */
        size_t n_sections;
        char *remote_ip;       /* directive that changes the address that httpd compares; NULL: none */
} HttpdAccess;

void httpd_access_done(HttpdAccess *a);

/* Begins and ends a file. Rules of the server hold for all files. Return 0 or -ENOMEM. */
int httpd_access_begin_file(HttpdAccess *a);
int httpd_access_end_file(HttpdAccess *a);

/*
 * Reads the directive @words of @n words, of which the first begins with "<" for a section. @is_cut says that words are
 * missing. Returns 0 or -ENOMEM.
 */
int httpd_access_read(HttpdAccess *a, const HttpdPlace *place, char *const *words, size_t n, bool is_cut);

/* Adds to the names of the current virtual host. NULL: a name that Host= can't express. Returns 0 or -ENOMEM. */
int httpd_access_add_name(HttpdAccess *a, const char *name);

/* Return the indices of the current virtual host, and of the innermost condition. */
size_t httpd_access_host(const HttpdAccess *a);
size_t httpd_access_condition(const HttpdAccess *a);
