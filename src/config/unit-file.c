/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/unit-file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/array.h"
#include "basic/fd.h"
#include "basic/utf8.h"
#include "config/report.h"

#define WHITESPACE " \t\n\r"

const char SECTION_FDPASS[] = "X-FDPass";
const char SECTION_SERVICE[] = "Service";
const char SECTION_SOCKET[] = "Socket";

/* Sections whose lines are not kept. */
static const char SECTION_NONE[] = "";     /* in front of the first header */
static const char SECTION_OTHER[] = "…";   /* one that somebody else reads */
static const char SECTION_FOREIGN[] = "X-"; /* one that systemd does not read either */

static int unit_file_new(const char *path, UnitFileState state, UnitFile **ret) {
        _cleanup_(unit_file_freep) UnitFile *f = calloc(1, sizeof(*f));

        if (!f)
                return -ENOMEM;

        f->state = state;
        f->path = strdup(path);
        if (!f->path)
                return -ENOMEM;

        *ret = TAKE_PTR(f);
        return 0;
}

int unit_file_new_masked(const char *path, UnitFile **ret) {
        return unit_file_new(path, UNIT_FILE_MASKED, ret);
}

UnitFile *unit_file_free(UnitFile *file) {
        if (!file)
                return NULL;

        for (size_t i = 0; i < file->n_findings; i++)
                free(file->findings[i].message);
        free(file->findings);
        free(file->assignments);
        free(file->text);
        free(file->path);
        free(file);
        return NULL;
}

static int add_finding(UnitFile *f, ConfigSeverity severity, unsigned line, const char *message) {
        Finding *finding;

        if (severity == CONFIG_ERROR)
                f->broken = true;

        if (f->n_of[severity] == UNIT_FILE_FINDINGS_MAX)
                return 0;

        if (!ARRAY_GROW(f->findings, f->n_findings))
                return -ENOMEM;

        finding = &f->findings[f->n_findings];
        *finding = (Finding){ .severity = severity, .line = line, .message = strdup(message) };
        if (!finding->message)
                return -ENOMEM;

        f->n_findings++;
        f->n_of[severity]++;
        return 0;
}

typedef struct Parser {
        UnitFile *file;
        char *p, *end;       /* what was not read yet */
        unsigned line;       /* number of the physical line before @p */
        const char *section; /* one of the above */
} Parser;

/* parse_…(): the rest of the file can't be read; the finding is there. */
enum {
        PARSE_STOP = 1,
};

static int stop(Parser *p, unsigned line, const char *message) {
        int r = add_finding(p->file, CONFIG_ERROR, line, message);

        return r < 0 ? r : PARSE_STOP;
}

/* A line that systemd passes over with a warning. In our own section nobody else would miss what it says. */
static int pass_over(Parser *p, unsigned line, const char *message) {
        if (p->section == SECTION_FOREIGN)
                return 0;

        return add_finding(p->file, p->section == SECTION_FDPASS ? CONFIG_ERROR : CONFIG_WARNING, line, message);
}

static int parse_header(Parser *p, unsigned line, char *s) {
        size_t n = strlen(s);

        if (s[n - 1] != ']')
                return stop(p, line, "This header of a section does not end in \"]\".");

        s[n - 1] = '\0';
        s++;

        for (const char *c = s; *c; c++)
                if ((uint8_t) *c < ' ' || strchr("\"'\\\x7f", *c))
                        return stop(p, line, "This name of a section has characters that are not allowed there.");

        if (streq(s, SECTION_FDPASS)) {
                p->section = SECTION_FDPASS;
                p->file->has_fdpass = true;
        } else if (streq(s, SECTION_SOCKET))
                p->section = SECTION_SOCKET;
        else if (streq(s, SECTION_SERVICE))
                p->section = SECTION_SERVICE;
        else
                p->section = startswith(s, "X-") ? SECTION_FOREIGN : SECTION_OTHER;

        return 0;
}

/* Takes the white space off both ends of @s. */
static char *strip(char *s) {
        size_t n;

        s += strspn(s, WHITESPACE);
        for (n = strlen(s); n > 0 && strchr(WHITESPACE, s[n - 1]); n--)
                ;
        s[n] = '\0';

        return s;
}

static int parse_assignment(Parser *p, unsigned line, char *s) {
        char *equals = strchr(s, '=');
        UnitFile *f = p->file;

        if (p->section == SECTION_NONE)
                return pass_over(p, line, "This line stands in front of the first section.");
        if (!equals)
                return pass_over(p, line, "This line has no \"=\".");
        if (equals == s)
                return pass_over(p, line, "This line has no key in front of its \"=\".");

        if (p->section != SECTION_FDPASS && p->section != SECTION_SOCKET && p->section != SECTION_SERVICE)
                return 0;

        if (!ARRAY_GROW(f->assignments, f->n_assignments))
                return -ENOMEM;

        *equals = '\0';
        f->assignments[f->n_assignments++] = (Assignment){
                .path = f->path,
                .line = line,
                .section = p->section,
                .key = strip(s),
                .value = strip(equals + 1),
        };
        return 0;
}

static int parse_line(Parser *p, unsigned line, char *s) {
        s = strip(s);
        if (*s == '\0')
                return 0;

        /* systemd gives up the whole unit for this too, wherever the line stands. */
        if (!utf8_is_valid(s))
                return stop(p, line, "This line is not valid UTF-8.");

        return *s == '[' ? parse_header(p, line, s) : parse_assignment(p, line, s);
}

/* Takes the next physical line, without its end: LF, CR or CRLF. False at the end of the file. */
static bool next_physical_line(Parser *p, char **ret, size_t *ret_n) {
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

static bool is_comment(const char *s, size_t n) {
        size_t i = 0;

        while (i < n && strchr(WHITESPACE, s[i]))
                i++;

        return i < n && (s[i] == '#' || s[i] == ';');
}

/* A backslash at the end continues the line, unless another one in front takes its meaning away. */
static bool is_continued(const char *s, size_t n) {
        size_t k = 0;

        while (k < n && s[n - 1 - k] == '\\')
                k++;

        return k % 2 != 0;
}

/*
 * Puts the next line together from as many physical lines as it has, in place, and terminates it with a NUL
 * (for which the end of the line had room). Comments are passed over even amid a line that is continued.
 *
 * Returns 0 with *ret = NULL at the end of the file.
 */
static int next_line(Parser *p, char **ret, unsigned *ret_line) {
        char *line = NULL, *part;
        size_t n = 0, n_part;

        while (next_physical_line(p, &part, &n_part)) {
                /* systemd would take it for the end of the line, which no editor shows. */
                if (memchr(part, '\0', n_part))
                        return stop(p, p->line, "This line has a NUL byte.");

                if (is_comment(part, n_part))
                        continue;

                if (!line) {
                        line = part;
                        *ret_line = p->line;
                }

                if (n + n_part > UNIT_FILE_LINE_MAX)
                        return stop(p, *ret_line, "This line is too long.");

                memmove(line + n, part, n_part);
                n += n_part;

                if (!is_continued(line, n))
                        break;

                line[n - 1] = ' ';
        }

        if (line)
                line[n] = '\0';

        *ret = line;
        return 0;
}

static int parse_text(UnitFile *f, size_t size) {
        static const char byte_order_mark[] = "\xef\xbb\xbf";
        Parser p = {
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

        for (;;) {
                r = next_line(&p, &s, &line);
                if (r != 0 || !s)
                        break;

                r = parse_line(&p, line, s);
                if (r != 0)
                        break;
        }

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

        r = parse_text(f, size);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(f);
        return 0;
}

/* A file that can't be read: a finding, and nothing else. */
static int unit_file_new_unreadable(const char *path, const char *why, UnitFile **ret) {
        _cleanup_(unit_file_freep) UnitFile *f = NULL;
        char message[128];
        int r;

        r = unit_file_new(path, UNIT_FILE_LOADED, &f);
        if (r < 0)
                return r;

        (void) snprintf(message, sizeof(message), "The file can't be read: %s.", why);

        r = add_finding(f, CONFIG_ERROR, 0, message);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(f);
        return 0;
}

/* What @error means for a file: that it is missing is a state, most others are a finding. */
static int unit_file_new_error(const char *path, int error, UnitFile **ret) {
        if (errno_is_missing(error))
                return unit_file_new(path, UNIT_FILE_MISSING, ret);
        if (errno_is_fatal(error))
                return error;

        return unit_file_new_unreadable(path, strerror(-error), ret);
}

static int read_all(int fd, char *buffer, size_t size, size_t *ret_n) {
        size_t n = 0;

        while (n < size) {
                ssize_t k = read(fd, buffer + n, size - n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;

                n += (size_t) k;
        }

        *ret_n = n;
        return 0;
}

static int read_regular(int fd, const char *path, size_t size, UnitFile **ret) {
        _cleanup_free_ char *text = malloc(size + 1);
        size_t n = 0;
        int r;

        if (!text)
                return -ENOMEM;

        r = read_all(fd, text, size, &n);
        if (r < 0)
                return unit_file_new_error(path, r, ret);

        return unit_file_parse(path, TAKE_PTR(text), n, ret);
}

/* As null_or_empty() of systemd (src/basic/stat-util.c): any device, for /dev/null's sake. */
static bool is_mask(const struct stat *st) {
        return S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode) || (S_ISREG(st->st_mode) && st->st_size == 0);
}

/* Looks without opening: some devices act on open(2) alone, whatever its flags, and a FIFO waits. */
static int look_at(int root_fd, const char *path, struct stat *ret) {
        _cleanup_close_ int fd = fd_open_in_root(root_fd, path, O_PATH);

        if (fd < 0)
                return fd;

        return fstat(fd, ret) < 0 ? -errno : 0;
}

int unit_file_is_masked(int root_fd, const char *path, bool *ret) {
        struct stat st;
        int r;

        r = look_at(root_fd, path, &st);
        if (r < 0 && errno_is_fatal(r))
                return r;

        *ret = r >= 0 && is_mask(&st);
        return 0;
}

int unit_file_read(int root_fd, const char *path, UnitFile **ret) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        int r;

        r = look_at(root_fd, path, &st);
        if (r < 0)
                return unit_file_new_error(path, r, ret);
        if (is_mask(&st))
                return unit_file_new_masked(path, ret);
        if (!S_ISREG(st.st_mode))
                return unit_file_new_unreadable(path, "it is not a regular file", ret);

        fd = fd_open_in_root(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return unit_file_new_error(path, fd, ret);

        /* Once more: it may be another one by now. */
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return unit_file_new_unreadable(path, "it is not a regular file", ret);
        if (st.st_size > (off_t) UNIT_FILE_SIZE_MAX)
                return unit_file_new_unreadable(path, "it is larger than 1 MiB", ret);

        return read_regular(fd, path, (size_t) st.st_size, ret);
}
