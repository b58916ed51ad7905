/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sections of httpd's configuration while they are open, and the clients that they let in. */

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

#define ACCESS_NAME_MAX 32      /* bytes for the longest name of a section */

typedef enum AccessKind {
        ACCESS_OTHER,
        ACCESS_FILES,     /* holds for no proxied request */
        ACCESS_HOST,
        ACCESS_PROXY,
        ACCESS_LOCATION,
        ACCESS_IF,        /* condition of a request */
        ACCESS_CONDITION, /* condition of the configuration */
        ACCESS_LIMIT,
        ACCESS_ANY,
        ACCESS_ALL,
        ACCESS_NONE,
} AccessKind;

/* Members of a section or of a container. */
typedef struct AccessGroup {
        size_t n_members, n_sources; /* members, and those that have sources */
        bool has_all;                /* a member lets in all clients */
        HttpdRule rule;              /* sources of the members, or the first line that Source= can't express */
} AccessGroup;

struct HttpdSection {
        char name[ACCESS_NAME_MAX];
        AccessKind kind;
        size_t host, condition;
        HttpdRank rank;
        HttpdPaths paths;
        char *path;
        AccessGroup group;
        HttpdPlace order;     /* of the line "Order allow,deny"; {}: none */
        bool has_allow_all;   /* "Allow from all" */
};

void httpd_rule_done(HttpdRule *r);

/* Finds the kind of a section by its name without "<". */
AccessKind httpd_section_kind(const char *name);

/* Return the innermost section, and the one that the directives at this place belong to. */
HttpdSection *httpd_section_top(const HttpdAccess *a);
HttpdSection *httpd_section_scope(const HttpdAccess *a);

/* Returns the container or section that a Require at this place belongs to. */
HttpdSection *httpd_section_group(const HttpdAccess *a);

bool httpd_section_is_inside(const HttpdAccess *a, AccessKind kind);

/* Read the words of <Location> or <LocationMatch>, and of <Proxy>. Return 0 or -ENOMEM. */
int httpd_section_set_location(HttpdSection *s, char *const *words, size_t n);
void httpd_section_set_proxy(HttpdSection *s, char *const *words, size_t n);

/* Adds the member @rule, which is consumed, to a section or container. Returns 0 or -ENOMEM. */
int httpd_section_add_member(HttpdSection *s, HttpdRule *rule);

/* Makes the members one rule: any of them has to let a client in, or all of them. */
void httpd_section_finish(HttpdSection *s);

/* Returns the words as one text, which the caller frees, or NULL. */
char *httpd_words_join(char *const *words, size_t n);

/* Reads Require. Returns 0 or -ENOMEM. */
int httpd_read_require(HttpdAccess *a, const HttpdPlace *place, char *const *words, size_t n, bool is_cut);

/* Reads a directive of mod_access_compat. Returns whether it keeps clients out for itself. */
bool httpd_read_compat(HttpdAccess *a, const HttpdPlace *place, char *const *words, size_t n);

/* Returns whether the flags of RewriteRule are among those that refuse a request. */
bool httpd_rewrite_is_forbidden(char *const *words, size_t n);
