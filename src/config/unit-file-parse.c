/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/array.h"
#include "basic/hash.h"
#include "basic/utf8.h"
#include "config/spelling.h"
#include "config/unit-file.h"

#define WHITESPACE " \t\n\r"

/* A section whose name differs from [X-FDPass] by at most this many letters is most likely meant for it. */
#define MISSPELT_MAX 2

/* Sections whose lines are not kept. */
static const char SECTION_NONE[] = "";      /* before the first header */
static const char SECTION_OTHER[] = "…";    /* a section that systemd reads */
static const char SECTION_FOREIGN[] = "X-"; /* a section of another application */

typedef struct UnitFileParser {
        UnitFile *file;
        char *p;             /* next byte */
        char *end;           /* end of the text */
        unsigned line;       /* number of the last physical line that was read, from 1; 0: none */
        const char *section; /* current section: SECTION_… */
} UnitFileParser;

/* Condition of the parsing functions */
enum {
        PARSE_STOP = 1, /* the rest of the file can't be parsed; a finding says why */
};

static int unit_file_parse_stop(UnitFileParser *p, unsigned line, const char *message) {
        int r = unit_file_add_finding(p->file, CONFIG_ERROR, line, message);

        return r < 0 ? r : PARSE_STOP;
}

/*
 * Adds the finding about a line that systemd ignores with a warning. In [X-FDPass] it is an error, because without the
 * line the route could match more clients than intended.
 */
static int unit_file_parse_skip_line(UnitFileParser *p, unsigned line, const char *message) {
        if (p->section == SECTION_FOREIGN)
                return 0;

        return unit_file_add_finding(p->file, p->section == SECTION_FDPASS ? CONFIG_ERROR : CONFIG_WARNING, line,
                                     message);
}

/* Returns the SECTION_… of this name. */
static const char *unit_file_parse_section(const char *name) {
        const char *const kept[] = {
                SECTION_FDPASS, SECTION_INSTALL, SECTION_SERVICE, SECTION_SOCKET, SECTION_UNIT,
        };

        for (size_t i = 0; i < ELEMENTSOF(kept); i++)
                if (streq(name, kept[i]))
                        return kept[i];

        return startswith(name, "X-") ? SECTION_FOREIGN : SECTION_OTHER;
}

static int unit_file_parse_header(UnitFileParser *p, unsigned line, char *s) {
        size_t n = strlen(s);

        if (s[n - 1] != ']')
                return unit_file_parse_stop(p, line, "This header of a section does not end with \"]\".");

        s[n - 1] = '\0';
        s++;

        for (const char *c = s; *c; c++)
                if ((uint8_t) *c < ' ' || strchr("\"'\\\x7f", *c))
                        return unit_file_parse_stop(p, line,
                                              "This name of a section has a control character, a quotation mark or a "
                                              "backslash.");

        p->section = unit_file_parse_section(s);
        p->file->has_fdpass = p->file->has_fdpass || p->section == SECTION_FDPASS;

        /* Without the section the route could be wider than meant, if another file of the unit has one. */
        if (p->section != SECTION_FDPASS && !startswith(s, "X-FDPass-") &&
            spelling_distance(s, SECTION_FDPASS) <= MISSPELT_MAX)
                return unit_file_add_finding(p->file, CONFIG_ERROR, line,
                                             "systemd and fdpass ignore this section; did you mean [X-FDPass]?");
        return 0;
}

/* Removes the white space at both ends of @s, in place. */
static char *unit_file_parse_strip(char *s) {
        size_t n;

        s += strspn(s, WHITESPACE);
        for (n = strlen(s); n > 0 && strchr(WHITESPACE, s[n - 1]); n--)
                ;
        s[n] = '\0';

        return s;
}

static int unit_file_parse_assignment(UnitFileParser *p, unsigned line, char *s) {
        char *equals = strchr(s, '=');
        UnitFile *f = p->file;

        if (p->section == SECTION_NONE)
                return unit_file_parse_skip_line(p, line,
                                           "This line is before the first section; write a header such as [X-FDPass] "
                                           "above it.");
        if (!equals)
                return unit_file_parse_skip_line(p, line, "This line has no \"=\"; write KEY=VALUE.");
        if (equals == s)
                return unit_file_parse_skip_line(p, line, "This line has no key before its \"=\"; write KEY=VALUE.");

        if (p->section == SECTION_OTHER || p->section == SECTION_FOREIGN)
                return 0;

        if (!ARRAY_GROW(f->assignments, f->n_assignments))
                return -ENOMEM;

        *equals = '\0';
        f->assignments[f->n_assignments++] = (Assignment){
                .path = f->path,
                .line = line,
                .section = p->section,
                .key = unit_file_parse_strip(s),
                .value = unit_file_parse_strip(equals + 1),
        };
        return 0;
}

static int unit_file_parse_line(UnitFileParser *p, unsigned line, char *s) {
        s = unit_file_parse_strip(s);
        if (*s == '\0')
                return 0;

        /* systemd rejects the whole unit for this too, in any section. */
        if (!utf8_is_valid(s))
                return unit_file_parse_stop(p, line, "This line is not valid UTF-8.");

        return *s == '[' ? unit_file_parse_header(p, line, s) : unit_file_parse_assignment(p, line, s);
}

/* Returns the next physical line without its end: LF, CR or CRLF. False: the end of the file. */
static bool unit_file_parse_next_physical(UnitFileParser *p, char **ret, size_t *ret_n) {
        char *s = p->p, *e;

        if (s == p->end)
                return false;

        for (e = s; e < p->end && *e != '\n' && *e != '\r'; e++)
                ;

        p->p = e;
        if (p->p < p->end && *p->p++ == '\r' && p->p < p->end && *p->p == '\n')
                p->p++;

        p->line++;
        *ret = s;
        *ret_n = (size_t) (e - s);
        return true;
}

static bool unit_file_parse_is_comment(const char *s, size_t n) {
        size_t i = 0;

        while (i < n && strchr(WHITESPACE, s[i]))
                i++;

        return i < n && (s[i] == '#' || s[i] == ';');
}

/* A backslash at the end continues the line, unless a backslash before it escapes it. */
static bool unit_file_parse_is_continued(const char *s, size_t n) {
        size_t k = 0;

        while (k < n && s[n - 1 - k] == '\\')
                k++;

        return k % 2 != 0;
}

/*
 * Joins the physical lines of the next line in place and terminates it with a NUL, which replaces the end of the line.
 * Skips comments, also between continuation lines.
 *
 * Returns 0, with *ret = NULL at the end of the file, PARSE_STOP, or -ENOMEM.
 */
static int unit_file_parse_next(UnitFileParser *p, char **ret, unsigned *ret_line) {
        char *line = NULL, *part;
        size_t n = 0, n_part;

        while (unit_file_parse_next_physical(p, &part, &n_part)) {
                /* systemd would take a NUL for the end of the line, and no editor shows that. */
                if (memchr(part, '\0', n_part))
                        return unit_file_parse_stop(p, p->line, "This line has a NUL byte.");

                if (unit_file_parse_is_comment(part, n_part))
                        continue;

                if (!line) {
                        line = part;
                        *ret_line = p->line;
                }

                if (n + n_part > UNIT_FILE_LINE_MAX)
                        return unit_file_parse_stop(p, *ret_line,
                                              "This line is longer than 64 KiB with its continuation lines.");

                memmove(line + n, part, n_part);
                n += n_part;

                if (!unit_file_parse_is_continued(line, n))
                        break;

                line[n - 1] = ' ';
        }

        if (line)
                line[n] = '\0';

        *ret = line;
        return 0;
}

static int unit_file_parse_text(UnitFile *f, size_t size) {
        static const char byte_order_mark[] = "\xef\xbb\xbf";
        UnitFileParser p = {
                .file = f,
                .p = f->text,
                .end = f->text + size,
                .section = SECTION_NONE,
        };
        unsigned line = 0;
        char *s;
        int r;

        if (size >= 3 && memcmp(p.p, byte_order_mark, 3) == 0)
                p.p += 3;

        do {
                r = unit_file_parse_next(&p, &s, &line);
                if (r == 0 && s)
                        r = unit_file_parse_line(&p, line, s);
        } while (r == 0 && s);

        return r == PARSE_STOP ? 0 : r;
}

int unit_file_parse(const char *path, char *text, size_t size, UnitFile **ret) {
        _cleanup_(unit_file_freep) UnitFile *f = NULL;
        int r;

        r = unit_file_new(path, UNIT_FILE_LOADED, &f);
        if (r < 0) {
                free(text);
                return r;
        }

        f->text = text;
        f->stamp = hash_string(path) ^ hash_bytes(text, size); /* before the parser changes the bytes */

        r = unit_file_parse_text(f, size);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(f);
        return 0;
}
