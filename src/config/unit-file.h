/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One file of a unit: its main file or a drop-in. The syntax is that of systemd.syntax(7), parsed as config_parse() of
 * systemd does (src/shared/conf-parser.c).
 *
 * Only assignments in [X-FDPass] and [Socket] are kept, and for lint.h those in [Install], [Service] and [Unit]. Other
 * sections are parsed only as far as needed to find their end.
 */

#include "basic/macro.h"
#include "config/config-types.h"

/* Limit of a file, in bytes: the limit of systemd for a single line (LONG_LINE_MAX). */
#define UNIT_FILE_SIZE_MAX ((size_t) 1 << 20)

/* Limit of a line with its continuation lines, in bytes. */
#define UNIT_FILE_LINE_MAX ((size_t) 1 << 16)

/* Limit of the errors kept for a file, and of the warnings. A file of another type has an error in each line. */
#define UNIT_FILE_FINDINGS_MAX 20

/* A line "key=value". The strings belong to the file. */
typedef struct Assignment {
        const char *path;    /* path of the file, below the root directory */
        unsigned line;       /* line of the key, from 1 */
        const char *section; /* SECTION_…: callers compare the pointers */
        const char *key;
        const char *value;   /* without white space at its ends; "": an empty assignment */
        bool is_reported;    /* a warning about it was reported, for one of the units that share the file */
} Assignment;

extern const char SECTION_FDPASS[];  /* "X-FDPass" */
extern const char SECTION_INSTALL[]; /* "Install" */
extern const char SECTION_SERVICE[]; /* "Service" */
extern const char SECTION_SOCKET[];  /* "Socket" */
extern const char SECTION_UNIT[];    /* "Unit" */

/* An error or warning about the syntax of the file. */
typedef struct UnitFileFinding {
        ConfigSeverity severity;
        unsigned line; /* from 1; 0: the whole file */
        char *message;
} UnitFileFinding;

typedef enum UnitFileState {
        UNIT_FILE_LOADED,  /* it was read, perhaps with errors: see the findings */
        UNIT_FILE_MASKED,  /* it is empty or /dev/null */
        UNIT_FILE_MISSING, /* it does not exist */
} UnitFileState;

typedef struct UnitFile {
        char *path;
        UnitFileState state;
        char *text; /* bytes that the assignments point into */
        uint64_t stamp; /* hash of the path and of all bytes as they were read */

        Assignment *assignments; /* in the order of the file */
        size_t n_assignments;
        bool has_fdpass; /* it has a section [X-FDPass], which may be empty */

        UnitFileFinding *findings;
        size_t n_findings;
        unsigned n_of[2];           /* number of findings by ConfigSeverity */
        bool is_broken;             /* at least one finding is an error */
        unsigned linted;            /* findings about the whole file that were reported: LINT_… */
        bool has_reported_warnings; /* the warnings were reported, once for all units that share the file */
} UnitFile;

/*
 * Parses the @size bytes at @text, a heap buffer with room for one more byte. Consumes @text, also on failure. Returns
 * 0 or -ENOMEM.
 */
int unit_file_parse(const char *path, char *text, size_t size, UnitFile **ret);

/*
 * Reads the file @path below the root directory @root_fd. A file that can't be read, because of its type or its
 * permissions, gets a finding. Returns 0 or a negative errno (errno_is_fatal()).
 */
int unit_file_read(int root_fd, const char *path, UnitFile **ret);

/* Sets *ret: is the file empty or a device? False if it can't be examined. Returns 0 or a negative errno. */
int unit_file_is_masked(int root_fd, const char *path, bool *ret);

/* Creates a masked file without reading it. Returns 0 or -ENOMEM. */
int unit_file_new_masked(const char *path, UnitFile **ret);

/* Creates a file without assignments in @state, with a copy of @path. Returns 0 or -ENOMEM. */
int unit_file_new(const char *path, UnitFileState state, UnitFile **ret);

/* Adds a finding with a copy of @message, unless the file has UNIT_FILE_FINDINGS_MAX of them. Returns 0 or -ENOMEM. */
int unit_file_add_finding(UnitFile *f, ConfigSeverity severity, unsigned line, const char *message);

UnitFile *unit_file_free(UnitFile *file);
DEFINE_CLEANUP(UnitFile *, unit_file_free);
