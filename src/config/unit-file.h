/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One file of a unit: its main file, or a drop-in. The syntax is that of systemd.syntax(7), read as systemd's
 * config_parse() reads it (src/shared/conf-parser.c).
 *
 * Only the sections that say something about a route are kept, [X-FDPass] and [Socket], and for `fdpassctl verify`
 * [Service]; the others are read just well enough to find their end.
 */

#include "basic/macro.h"
#include "config/config.h"

/* A file may have this many bytes: systemd's own limit for a single line (LONG_LINE_MAX). */
#define UNIT_FILE_SIZE_MAX ((size_t) 1 << 20)

/* Of a line, with the lines that continue it. */
#define UNIT_FILE_LINE_MAX ((size_t) 1 << 16)

/* So many errors of a file are kept, and so many warnings: what is no unit file at all has one for each line. */
#define UNIT_FILE_FINDINGS_MAX 20

/* "key=value". The strings belong to the file. */
typedef struct Assignment {
        const char *path;    /* of the file, below the root directory */
        unsigned line;       /* from 1: where the key stands */
        const char *section; /* SECTION_…: compare the pointers */
        const char *key;
        const char *value; /* without white space at its ends; "" for an empty assignment */
        bool warned;       /* a warning about it was given, by whichever of the units that share the file */
} Assignment;

extern const char SECTION_FDPASS[]; /* "X-FDPass" */
extern const char SECTION_SERVICE[]; /* "Service" */
extern const char SECTION_SOCKET[]; /* "Socket" */

/* What is wrong with the file itself. */
typedef struct Finding {
        ConfigSeverity severity;
        unsigned line; /* 0: no single line */
        char *message;
} Finding;

typedef enum UnitFileState {
        UNIT_FILE_LOADED,  /* it was read; the findings say how far that went */
        UNIT_FILE_MASKED,  /* it is empty, or /dev/null */
        UNIT_FILE_MISSING, /* it does not exist */
} UnitFileState;

typedef struct UnitFile {
        char *path;
        UnitFileState state;
        char *text; /* what the assignments point into */

        Assignment *assignments; /* in the order of the file */
        size_t n_assignments;
        bool has_fdpass; /* it has a section [X-FDPass], if an empty one */

        Finding *findings;
        size_t n_findings;
        unsigned n_of[2];      /* the same, by ConfigSeverity */
        bool broken;           /* at least one of them is an error */
        bool is_noted;         /* the note about the service that this is the main file of was given */
        bool warnings_are_out; /* the warnings were given, once for all units that share the file */
} UnitFile;

/*
 * Takes the @size bytes at @text, which have room for one more, apart. @text becomes the file's own, also on
 * failure. Returns 0, or -ENOMEM.
 */
int unit_file_parse(const char *path, char *text, size_t size, UnitFile **ret);

/*
 * Reads the file @path below the root directory @root_fd. What keeps it from being read is a finding: a FIFO
 * in its place, say, or its permissions. Returns 0 or a negative errno (see errno_is_fatal()).
 */
int unit_file_read(int root_fd, const char *path, UnitFile **ret);

/* Is the file empty, or a device? Returns 0 or a negative errno; what can't be looked at is not masked. */
int unit_file_is_masked(int root_fd, const char *path, bool *ret);

/* A file that is masked without a look at it. */
int unit_file_new_masked(const char *path, UnitFile **ret);

UnitFile *unit_file_free(UnitFile *file);
DEFINE_CLEANUP(UnitFile *, unit_file_free);
