/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/tls/certificate-report.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "basic/fd.h"

/* Time before its end at which a certificate is worth a warning, in seconds. */
#define ENDS_SOON (7 * 24 * 3600)

/* Prints @s with \xNN for bytes that are not ASCII or could end a word or a line. */
static void certificate_report_escape(FILE *f, const char *s, bool is_word) {
        for (; *s; s++)
                if (*s > ' ' && *s < 0x7f && *s != '\\')
                        fputc(*s, f);
                else if (*s == ' ' && !is_word)
                        fputc(' ', f);
                else
                        fprintf(f, "\\x%02x", (uint8_t) *s);
}

int certificate_report_begin(CertificateReport *r) {
        certificate_report_done(r);
        r->lines = open_memstream(&r->text, &r->n_text);
        return r->lines ? 0 : -ENOMEM;
}

void certificate_report_problem(const CertificateReport *r, const char *file, const char *format, ...) {
        char text[512];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);

        if (r->log)
                log_line(r->log, LOG_ERR, "%s: %s", file, text);
        if (!r->lines)
                return;

        fputs("problem ", r->lines);
        certificate_report_escape(r->lines, file, /* is_word= */ true);
        fputs(": ", r->lines);
        certificate_report_escape(r->lines, text, /* is_word= */ false);
        fputc('\n', r->lines);
}

static void certificate_report_warn(const CertificateReport *r, const Certificate *c) {
        const ASN1_TIME *end = X509_get0_notAfter(c->leaf);
        time_t soon = time(NULL) + ENDS_SOON;

        if (!r->log)
                return;

        if (X509_cmp_current_time(end) < 0)
                log_line(r->log, LOG_WARNING, "%s: the certificate has expired. Clients will refuse it.", c->file);
        else if (X509_cmp_time(end, &soon) < 0)
                log_line(r->log, LOG_WARNING, "%s: the certificate expires in less than 7 days.", c->file);
}

static void certificate_report_add_one(const CertificateReport *r, const CertificateSet *set, const Certificate *c) {
        char end[32] = "never";
        struct tm tm;

        if (ASN1_TIME_to_tm(X509_get0_notAfter(c->leaf), &tm) == 1)
                (void) strftime(end, sizeof(end), "%Y-%m-%dT%H:%M:%SZ", &tm);

        fputs("certificate ", r->lines);
        certificate_report_escape(r->lines, c->pair, /* is_word= */ true);
        fprintf(r->lines, " expires %s%s names", end, c == set->preset ? " default" : "");
        for (size_t i = 0; i < set->n_names; i++)
                if (set->names[i].certificate == c)
                        fprintf(r->lines, " %s", set->names[i].text);
        fputc('\n', r->lines);
}

void certificate_report_add(const CertificateReport *r, const CertificateSet *set) {
        for (size_t i = 0; i < set->n_items; i++) {
                certificate_report_warn(r, set->items[i]);
                if (r->lines)
                        certificate_report_add_one(r, set, set->items[i]);
        }

        if (set->n_items == 0 && r->lines)
                fputs("problem certificates: there is none that can be used, so all clients are refused. Put NAME.crt and "
                      "NAME.key there.\n", r->lines);
}

int certificate_report_end(CertificateReport *r) {
        FILE *f = TAKE_PTR(r->lines);

        return f && fclose(f) == 0 ? 0 : -ENOMEM;
}

/* The lock is taken before the file has its name. Its mode does not depend on the umask. */
static int certificate_report_fill(const CertificateReport *r, int fd) {
        if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fchmod(fd, 0644) < 0)
                return -errno;

        for (size_t n = 0; n < r->n_text;) {
                ssize_t k = write(fd, r->text + n, r->n_text - n);

                if (k < 0)
                        return -errno;
                n += (size_t) k;
        }

        return 0;
}

int certificate_report_write(const CertificateReport *r, const char *path) {
        _cleanup_free_ char *temporary = NULL;
        _cleanup_close_ int fd = -EBADF;
        const char *name = strrchr(path, '/');
        size_t n = name ? (size_t) (name + 1 - path) : 0;
        int k;

        /* A name with a dot is none of an instance, so no reader opens it. */
        if (asprintf(&temporary, "%.*s.%s.new", (int) n, path, path + n) < 0)
                return -ENOMEM;

        (void) unlink(temporary);
        fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;

        k = certificate_report_fill(r, fd);
        if (k == 0 && rename(temporary, path) < 0)
                k = -errno;
        if (k < 0) {
                (void) unlink(temporary);
                return k;
        }

        return TAKE_FD(fd);
}

void certificate_report_done(CertificateReport *r) {
        if (r->lines)
                (void) fclose(TAKE_PTR(r->lines));
        free(TAKE_PTR(r->text));
        r->n_text = 0;
}
