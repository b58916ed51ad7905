/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The certificates of an instance, with their keys, by the names of hosts. The names come from the certificates
 * (subjectAltName, RFC 6125 6.4), never from the names of files.
 *
 *   certificate-files.c  finds the files in a directory, and which of them belong together
 *   certificate.c        reads one pair
 *   certificate-set.c    all pairs, and which of them a client gets
 *   certificate-report.c what came of it, for people and for fdpassctl
 */

#include <openssl/ssl.h>

#include "basic/log.h"

/* A file, with all its bytes. */
typedef struct CertificateFile {
        char *name;     /* without the directory, and without the prefix of its credential; owned */
        uint8_t *bytes; /* owned */
        size_t n;       /* length in bytes */
} CertificateFile;

typedef struct CertificateFiles {
        CertificateFile *items; /* sorted by name */
        size_t n_items;
} CertificateFiles;

/* Largest number of bytes of one file. All credentials of a service have 1 MiB together (systemd.exec(5)). */
#define CERTIFICATE_FILE_MAX (1024 * 1024)

/* The credential of fdpass-tls.service: LoadCredential=tls:/etc/fdpass/tls makes "tls_NAME" of the file NAME. */
#define CERTIFICATE_CREDENTIAL "tls"

/* See certificate-report.h. */
typedef struct CertificateReport CertificateReport;

/*
 * Calls @found for each file of the directory @path and the directories in it. As systemd names the credentials of a
 * directory, "a/b.crt" is "a_b.crt" (systemd.exec(5), LoadCredential=). @fd is borrowed, or is a negative errno of open(2):
 * -ELOOP for a symbolic link. Returns 0, the first negative result of @found, or an error of opendir(3).
 */
typedef int (*CertificateFound)(void *userdata, int fd, const char *name);
int certificate_files_walk(const char *path, CertificateFound found, void *userdata);

/*
 * Reads the regular files of the directory @path. Those of other credentials are left out: with @credential only files
 * "@credential_NAME" are read, as NAME. @report gets files that can't be read. Returns 0, -ENOMEM, or an error of
 * opendir(3).
 */
int certificate_files_read(CertificateFiles *ret, const char *path, const char *credential,
                           const CertificateReport *report);

/*
 * Adds the open file @fd, *not* consumed, as @name. What is no regular file is left out. Returns 0 or a negative errno.
 * After the last one certificate_files_sort() has to be called.
 */
int certificate_files_add(CertificateFiles *files, int fd, const char *name);
void certificate_files_sort(CertificateFiles *files);
void certificate_files_done(CertificateFiles *files);

/* One certificate with its chain and key. */
typedef struct Certificate {
        char *pair;             /* name of its files, without their ends: "www" for www.crt and www.key; owned */
        char *file;             /* name of the file with the certificate; owned */
        X509 *leaf;             /* owned */
        STACK_OF(X509) *chain;  /* certificates of issuers, to be sent too; owned */
        EVP_PKEY *key;          /* owned */
} Certificate;

/*
 * Returns the pair that a file begins: its length in @name in bytes, and the name of the file with the key, which the
 * caller frees. Returns 0 for a file that begins none, and with *ret_key NULL if there is no memory.
 *
 *   NAME.pem                                 certificate and key in one file
 *   NAME.crt and NAME.key
 *   NAME_fullchain.pem and NAME_privkey.pem  of a directory NAME, as certbot has it; "fullchain.pem" alone, too
 */
size_t certificate_pair_of(const char *name, char **ret_key);

/*
 * Reads a pair, whose name is in the first @n_pair bytes of the name of @chain. Returns NULL if that is not possible. Then
 * *ret_why is why, in words that follow the name of a file and a colon, and *ret_is_key tells which of the two files it is
 * about. The string is static.
 */
Certificate *certificate_new(size_t n_pair, const CertificateFile *chain, const CertificateFile *key,
                             const char **ret_why, bool *ret_is_key);

/* Returns a copy that shares certificates and key, or NULL without memory. */
Certificate *certificate_copy(const Certificate *c);
Certificate *certificate_free(Certificate *c);
DEFINE_CLEANUP(Certificate *, certificate_free);

/* A name of a certificate. */
typedef struct CertificateName {
        char *text;               /* in lower case: "www.example.org" or "*.example.org"; owned */
        Certificate *certificate; /* borrowed */
} CertificateName;

typedef struct CertificateSet {
        Certificate **items;    /* sorted by Certificate.pair; owned */
        size_t n_items;
        CertificateName *names; /* sorted; of one name, the certificate that ends last is the last one */
        size_t n_names;
        const Certificate *preset; /* for clients that ask for no known name; NULL: there is no certificate */
} CertificateSet;

/*
 * Reads all pairs. A pair that can't be used is left out, with a line in @report. If @old has it, that one stays in use,
 * because the two files of a pair can't be replaced at once. @old may be NULL. Returns 0 or -ENOMEM.
 */
int certificate_set_load(CertificateSet *ret, const CertificateFiles *files, const CertificateSet *old,
                         const CertificateReport *report);
void certificate_set_done(CertificateSet *set);

/*
 * Gives @ssl the certificates for @host, or the preset one if none is for it: those with the exact name, or else those
 * with a wildcard for its first label. Several of them differ in the kind of key. @host is in lower case, or NULL.
 * Returns false without any certificate.
 */
bool certificate_set_use(const CertificateSet *set, SSL *ssl, const char *host);
