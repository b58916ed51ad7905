/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/certificates.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "basic/array.h"
#include "basic/fd.h"
#include "fdpassctl/text.h"

#define ENDS_SOON_USEC (7 * 24 * 3600 * USEC_PER_SEC)

static void certificates_state_done(CertificateState *c) {
        free(c->unit);
        free(c->name);
        strlist_clear(&c->hosts);
}

void certificates_done(Certificates *c) {
        for (size_t i = 0; i < c->n_items; i++)
                certificates_state_done(&c->items[i]);
        for (size_t i = 0; i < c->n_problems; i++) {
                free(c->problems[i].unit);
                free(c->problems[i].text);
        }
        free(c->items);
        free(c->problems);
        *c = (Certificates){};
}

static bool certificates_parse_time(const char *text, usec_t *ret) {
        struct tm tm = {};
        const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
        time_t t;

        if (streq(text, "never")) {
                *ret = USEC_INFINITY;
                return true;
        }
        if (!end || *end)
                return false;

        t = timegm(&tm);
        *ret = t > 0 ? (usec_t) t * USEC_PER_SEC : 0;
        return true;
}

/* Parses "NAME expires TIME [default] names HOST...". Returns 0, -EINVAL or -ENOMEM. */
static int certificates_parse_state(CertificateState *c, const char *unit, char *line) {
        const char *name = strsep(&line, " "), *key = strsep(&line, " "), *at = strsep(&line, " "), *word;

        if (!key || !streq(key, "expires") || !at || !certificates_parse_time(at, &c->ends))
                return -EINVAL;

        word = strsep(&line, " ");
        c->is_default = word && streq(word, "default");
        if (c->is_default)
                word = strsep(&line, " ");
        if (!word || !streq(word, "names"))
                return -EINVAL;

        c->unit = strdup(unit);
        c->name = strdup(name);
        if (!c->unit || !c->name)
                return -ENOMEM;

        while ((word = strsep(&line, " ")))
                if (strlist_add(&c->hosts, word) < 0)
                        return -ENOMEM;
        return 0;
}

static int certificates_add_state(Certificates *ret, const char *unit, char *line) {
        CertificateState c = {};
        int r = certificates_parse_state(&c, unit, line);

        if (r == 0 && !ARRAY_GROW(ret->items, ret->n_items))
                r = -ENOMEM;
        if (r == 0)
                ret->items[ret->n_items++] = c;
        else
                certificates_state_done(&c);

        return r == -EINVAL ? 0 : r;
}

static int certificates_add_problem(Certificates *ret, const char *unit, const char *line) {
        CertificateProblem p = { strdup(unit), strdup(line) };

        if (!p.unit || !p.text || !ARRAY_GROW(ret->problems, ret->n_problems)) {
                free(p.unit);
                free(p.text);
                return -ENOMEM;
        }

        ret->problems[ret->n_problems++] = p;
        return 0;
}

/* A report has only characters of ASCII that can be shown. The others are escaped there. */
static bool certificates_is_shown(const char *line) {
        for (; *line; line++)
                if (*line < ' ' || *line > '~')
                        return false;

        return true;
}

int certificates_parse(Certificates *ret, const char *unit, char *text) {
        char *line, *rest = text;
        int r = 0;

        while (r >= 0 && (line = strsep(&rest, "\n"))) {
                if (!certificates_is_shown(line))
                        continue;
                if (startswith(line, "certificate "))
                        r = certificates_add_state(ret, unit, line + strlen("certificate "));
                else if (startswith(line, "problem "))
                        r = certificates_add_problem(ret, unit, line + strlen("problem "));
        }

        return r;
}

/* True if the stage still runs. It holds a lock on its report. */
static bool certificates_is_live(int fd) {
        struct stat st;

        return fstat(fd, &st) >= 0 && S_ISREG(st.st_mode) && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static int certificates_read_one(Certificates *ret, int dir_fd, const char *name) {
        _cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        _cleanup_free_ char *text = NULL;
        ssize_t n;

        if (fd < 0 || !certificates_is_live(fd))
                return 0;

        text = malloc(CERTIFICATES_TEXT_MAX + 1);
        if (!text)
                return -ENOMEM;

        n = fd_read(fd, text, CERTIFICATES_TEXT_MAX);
        text[MAX(n, 0)] = 0;
        return certificates_parse(ret, name, text);
}

static void certificates_close_dir(DIR **d) {
        if (*d)
                closedir(*d);
}

static int certificates_compare(const void *a, const void *b) {
        const CertificateState *x = a, *y = b;
        int d = strcmp(x->unit, y->unit);

        return d != 0 ? d : strcmp(x->name, y->name);
}

int certificates_read(Certificates *ret, const char *directory) {
        _cleanup_(certificates_close_dir) DIR *d = opendir(directory);
        struct dirent *e;
        int r = 0;

        for (unsigned n = 0; d && r >= 0 && n < CERTIFICATES_REPORTS_MAX && (e = readdir(d)); n++)
                if (e->d_name[0] != '.')
                        r = certificates_read_one(ret, dirfd(d), e->d_name);

        if (ret->n_items > 1)
                qsort(ret->items, ret->n_items, sizeof(*ret->items), certificates_compare);
        return r;
}

bool certificate_has_host(const CertificateState *c, const char *host) {
        const char *dot = strchr(host, '.');

        for (size_t i = 0; i < c->hosts.n_items; i++) {
                const char *name = c->hosts.items[i];

                if (streq(name, host) || (name[0] == '*' && host[0] != '*' && dot && streq(name + 1, dot)))
                        return true;
        }

        return false;
}

bool certificate_describe_end(const CertificateState *c, char *text, size_t size) {
        usec_t now = usec_now_realtime();
        char span[32];

        if (c->ends == USEC_INFINITY || (c->ends > now && c->ends - now > ENDS_SOON_USEC))
                return false;

        if (c->ends <= now)
                (void) snprintf(text, size, "expired %s ago. Clients refuse it", text_from_span(span, now - c->ends));
        else
                (void) snprintf(text, size, "expires in %s", text_from_span(span, c->ends - now));
        return true;
}

void certificates_print_problems(FILE *f, const Certificates *c) {
        char text[128];

        for (size_t i = 0; i < c->n_problems; i++) {
                text_print(f, c->problems[i].unit);
                fprintf(f, ": %s\n", c->problems[i].text);
        }

        for (size_t i = 0; i < c->n_items; i++)
                if (certificate_describe_end(&c->items[i], text, sizeof(text))) {
                        text_print(f, c->items[i].unit);
                        fprintf(f, ": the certificate %s %s.\n", c->items[i].name, text);
                }
}
