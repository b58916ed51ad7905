/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The result of reading certificates, in lines of text (fdpass-tls(8), STATUS). There is no secret in them.
 *
 *   certificate www expires 2027-01-31T12:00:00Z default names www.example.org *.example.org
 *   problem mail.crt: there is no file mail.key with its private key. The certificate is left out.
 */

#include <stdio.h>

#include "workers/tls/certificate.h"

typedef struct CertificateReport {
        Log *log;     /* gets each problem as well; NULL: it does not. Borrowed */
        FILE *lines;  /* NULL: the lines are not wanted. Owned */
        char *text;   /* the lines; valid after certificate_report_end(). Owned */
        size_t n_text; /* bytes of @text */
} CertificateReport;

/* Begins a report, and forgets the one before. Returns 0 or -ENOMEM. */
int certificate_report_begin(CertificateReport *r);

/* Adds a problem of @file. */
void certificate_report_problem(const CertificateReport *r, const char *file, const char *format, ...) _printf_(3, 4);

/* Adds all certificates, and logs which of them have expired or are about to. */
void certificate_report_add(const CertificateReport *r, const CertificateSet *set);

/* Ends the lines. Returns 0 or -ENOMEM. */
int certificate_report_end(CertificateReport *r);

/*
 * Replaces the file @path by the lines. Everybody may read it. It has a lock of flock(2) as long as the descriptor is open,
 * which is returned, so that a reader can tell the file of a process that has ended. Returns
 * an owned descriptor or a negative errno.
 */
int certificate_report_write(const CertificateReport *r, const char *path);

void certificate_report_done(CertificateReport *r);
