/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A configuration of httpd while it is read: the state that the other files share. */

#include "fdpassctl/httpd-access.h"
#include "fdpassctl/httpd-area.h"
#include "fdpassctl/httpd-types.h"

#define HTTPD_LINE_MAX 8192 /* limit of httpd itself (MAX_STRING_LEN) */
#define HTTPD_WORDS_MAX 64
#define HTTPD_DEPTH_MAX 20  /* files and macros within each other */

/* One directive. */
typedef struct HttpdLine {
        HttpdPlace place;
        char text[HTTPD_LINE_MAX];
        char *words[HTTPD_WORDS_MAX + 1]; /* of the directive; its name is the first */
        size_t n_words;
        bool is_cut;                      /* text or words of the directive are missing */
        char undefined[64];               /* name of a variable in it that has no value; "": none */
} HttpdLine;

typedef enum HttpdTruth {
        HTTPD_TRUE,
        HTTPD_FALSE,
        HTTPD_MAYBE,    /* not known; its lines are read */
        HTTPD_UNLIKELY, /* false by what is known; its lines are left out */
} HttpdTruth;

/* A section <IfDefine>, <IfModule> or another condition of the configuration that is open. */
typedef struct HttpdCondition {
        char *name; /* "IfDefine" */
        char *text; /* words of the line, for messages */
        HttpdTruth truth;
        unsigned line;
} HttpdCondition;

typedef struct HttpdMacro {
        char *name;
        StringList parameters;
        StringList lines;
        HttpdPlace place;  /* of the first line of @lines */
        unsigned *numbers; /* of the lines */
        bool is_open;      /* a line Use of it is read */
} HttpdMacro;

/* The server, or a virtual host. */
typedef struct HttpdServer {
        HttpdPlace place;
        StringList addresses; /* words of <VirtualHost> */
        StringList names;     /* as for Host= */
        StringList globs;     /* names that Host= can't express */
        bool has_name;        /* there is a ServerName */
        char server_name[260]; /* of them, that of ServerName */
        bool has_machine;     /* without one, httpd gives it the name of the machine */
        bool has_before;      /* a line that acts before ProxyPass was reported */
        bool is_first;        /* httpd chooses it for clients that name no virtual host */
        bool is_chosen;       /* httpd chooses it for some clients */
        bool is_reached;      /* httpd listens at one of its addresses */
        size_t host;          /* index in HttpdAccess */
} HttpdServer;

/* One line ProxyPass or ProxyPassMatch. */
typedef struct HttpdEntry {
        HttpdPlace place;
        size_t server;
        size_t condition;   /* index in HttpdAccess */
        size_t location;    /* number of the section <Location> around the line, from 1; 0: none */
        HttpdArea *areas;   /* requests that it takes; the first one that has the path counts */
        size_t n_areas;
        char *flusher;
        bool is_fd;         /* for mod_proxy_fdpass */
        bool is_said;       /* the reason why it has no unit was reported */
        bool is_default_said; /* clients that name no virtual host were reported */
} HttpdEntry;

/* <Location> or <LocationMatch>, while it is open. */
typedef struct HttpdLocation {
        size_t number; /* from 1; 0: none is open */
        bool is_regex;
        char path[HTTPD_LINE_MAX];
} HttpdLocation;

/* Addresses and ports at which httpd chooses among the same virtual hosts. */
typedef struct HttpdGroup {
        StringList listeners; /* names for Listener= */
        StringList addresses; /* address and port of each listener */
        size_t *servers;      /* in the order in which httpd tries them; none: the server itself */
        size_t n_servers;
} HttpdGroup;

typedef struct HttpdConfig {
        HttpdOptions options;
        char root[HTTPD_LINE_MAX]; /* ServerRoot */
        StringList files;          /* files that were read, for messages */
        StringList arguments;      /* files that no line included, as they were named */
        StringList names, values;  /* of Define */
        StringList doubtful;       /* names of Define in a condition that is not known */
        StringList modules;        /* of LoadModule: "mod_x.c" and "x_module" */
        StringList listens;        /* arguments of Listen */
        HttpdCondition *conditions;
        size_t n_conditions;
        HttpdMacro *macros;
        size_t n_macros;
        HttpdMacro *open_macro;    /* the macro whose lines are read; NULL: none */
        char *skipped;             /* section whose lines are skipped; NULL: none */
        unsigned skip_depth;       /* sections of that name that are open */
        unsigned depth;            /* files and macros that are open */

        HttpdServer *servers;      /* the first is the server itself */
        size_t n_servers;
        size_t server;             /* index of the current one */
        HttpdLocation location;
        size_t n_locations;
        HttpdEntry *entries;
        size_t n_entries;
        HttpdGroup *groups;
        size_t n_groups;
        HttpdAccess access;        /* clients that httpd keeps out */
} HttpdConfig;

/* Arguments of "%.*s" for the first 80 bytes of a word. */
#define HTTPD_SHOWN(s) (int) utf8_cut((s), 80), (s)

void httpd_say(const HttpdConfig *c, const HttpdPlace *place, const char *format, ...) _printf_(3, 4);

/* Says why the line has no unit, unless another reason was given before. */
void httpd_say_once(const HttpdConfig *c, HttpdEntry *e, const char *format, ...) _printf_(3, 4);

/* Writes "line 3", or "line 3 of FILE" if @place is in another file than @from. */
#define HTTPD_PLACE_MAX 160
const char *httpd_place(const HttpdPlace *place, const HttpdPlace *from, char ret[static HTTPD_PLACE_MAX]);

static inline bool httpd_is(const HttpdLine *l, const char *directive) {
        return strcasecmp(l->words[0], directive) == 0;
}

/* Returns the outermost open condition of this truth, or NULL. */
const HttpdCondition *httpd_find_condition(const HttpdConfig *c, HttpdTruth truth);

void httpd_condition_done(HttpdCondition *d);
void httpd_macro_done(HttpdMacro *m);
void httpd_server_done(HttpdServer *s);
void httpd_entry_done(HttpdEntry *e);
void httpd_group_done(HttpdGroup *g);

/* Ends the innermost conditions, until @n are open. */
void httpd_close_conditions(HttpdConfig *c, size_t n);

HttpdConfig *httpd_config_free(HttpdConfig *c);
DEFINE_CLEANUP(HttpdConfig *, httpd_config_free);

/* The functions below return 0 or -ENOMEM where they return an int and nothing else is said. */

/* Reads a file, or does what one line says. */
int httpd_read_text(HttpdConfig *c, const char *name, const char *text, size_t n);
int httpd_read_line(HttpdConfig *c, const HttpdPlace *place, const char *text, bool is_cut);

/* Reads Define and UnDefine. Returns whether the line was one of these, or -ENOMEM. */
int httpd_read_define(HttpdConfig *c, const HttpdLine *l);

/* Returns whether the name has a value. HTTPD_UNLIKELY: only the command line may set it. It is never HTTPD_FALSE. */
HttpdTruth httpd_is_defined(const HttpdConfig *c, const char *name);

/* Replaces variables, as ap_resolve_env() of httpd does. Writes into @l->text, @l->undefined and @l->is_cut. */
void httpd_expand(const HttpdConfig *c, const char *text, HttpdLine *l);

/* <Macro>. Both return whether the line was one or belongs to a macro, or -ENOMEM. */
int httpd_record_macro(HttpdConfig *c, const HttpdPlace *place, const char *text);
int httpd_begin_macro(HttpdConfig *c, const HttpdLine *l);

/* Finds the macro that a line Use names. Returns NULL if the line is another one, and after a message. */
HttpdMacro *httpd_find_macro(const HttpdConfig *c, const HttpdLine *l);

/*
 * Puts the values, which @values has in the order of the parameters, into line @i of the macro. The value of a
 * parameter that begins with "@" gets quotes. Returns whether the line is cut.
 */
bool httpd_macro_line(const HttpdMacro *m, char *const *values, size_t i, char ret[static HTTPD_LINE_MAX]);

/*
 * Conditions. httpd_skip() returns whether a false condition skips the line. httpd_read_condition() returns whether the
 * line was a condition that is certain and needs no further reading, or -ENOMEM.
 */
bool httpd_skip(HttpdConfig *c, const char *text);
int httpd_read_condition(HttpdConfig *c, const HttpdLine *l);

/*
 * Lists the files of Include and IncludeOptional. Returns 1, 0 if the line is another one or files are missing, or
 * -ENOMEM.
 */
int httpd_find_includes(HttpdConfig *c, const HttpdLine *l, StringList *ret);

/* Reads a file. Returns 0 or a negative errno; -EFBIG: it has more than 16 MiB. */
int httpd_load_file(const char *path, char **ret, size_t *ret_n);

/* Reads <VirtualHost>, ServerName, ServerAlias, Listen and <Location>. Returns whether the line was one of these. */
int httpd_read_server(HttpdConfig *c, const HttpdLine *l);
int httpd_begin_server(HttpdConfig *c, const HttpdPlace *place, char *const *addresses, size_t n_addresses);

/* Reads ProxyPass and ProxyPassMatch. Returns whether the line was one of these, or -ENOMEM. */
int httpd_read_pass(HttpdConfig *c, const HttpdLine *l);

/* Fills c->groups. */
int httpd_make_groups(HttpdConfig *c);

/*
 * Sets the sources of the route. Returns 1, 0 if httpd lets in other clients than Source= can express, which is
 * reported if @may_say is set, or -ENOMEM.
 */
int httpd_set_sources(const HttpdConfig *c, HttpdRoute *route, bool may_say);

void httpd_route_done(HttpdRoute *r);
