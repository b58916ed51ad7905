/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The certificates of TLS stages, as fdpass-tls reports them (fdpass-tls(8), STATUS). This program reads no certificate. */

#include <stdio.h>

#include "basic/strlist.h"
#include "basic/time.h"

/* Running stages leave their reports here, each in a file with the name of its service. */
#define CERTIFICATES_DIRECTORY "/run/fdpass-certificates"

/* Limits of a report in bytes, and of the number of reports. What is beyond is left out. */
#define CERTIFICATES_TEXT_MAX ((size_t) 1024 * 1024)
#define CERTIFICATES_REPORTS_MAX 1024

typedef struct CertificateState {
        char *unit;        /* service of the stage; owned */
        char *name;        /* of its files, and can be shown as it is; owned */
        usec_t ends;       /* notAfter, CLOCK_REALTIME; USEC_INFINITY: never */
        bool is_default;   /* for clients that ask for no known name */
        StringList hosts;  /* in the form of ProbeName, "*.example.org" for all names with one more label */
} CertificateState;

typedef struct CertificateProblem {
        char *unit;        /* owned */
        char *text;        /* begins with the name of a file, and can be shown as it is; owned */
} CertificateProblem;

/* {} is none. */
typedef struct Certificates {
        CertificateState *items;
        size_t n_items;
        CertificateProblem *problems;
        size_t n_problems;
} Certificates;

/* Adds the lines of one report. Lines that are not understood are left out. Returns 0 or -ENOMEM. */
int certificates_parse(Certificates *ret, const char *unit, char *text);

/* Adds the reports of all stages that run, from a directory. Returns 0 or -ENOMEM. */
int certificates_read(Certificates *ret, const char *directory);
void certificates_done(Certificates *c);

/* True if the certificate has a name for @host, which is one of a route's Host=. */
bool certificate_has_host(const CertificateState *c, const char *host);

/* Prints a line about each problem, and about each certificate that ends within 7 days. */
void certificates_print_problems(FILE *f, const Certificates *c);

/*
 * Writes to @text that a certificate has expired, or expires within 7 days, and returns true. Returns false if it is good
 * for longer.
 */
bool certificate_describe_end(const CertificateState *c, char *text, size_t size);
