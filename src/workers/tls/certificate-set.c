/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <openssl/x509v3.h>
#include <stdio.h>

#include "basic/array.h"
#include "probe/name.h"
#include "workers/tls/certificate-report.h"

static int certificate_set_compare_name(const void *x, const void *y) {
        const CertificateName *a = x, *b = y;
        int d = strcmp(a->text, b->text);

        if (d == 0)
                d = ASN1_TIME_compare(X509_get0_notAfter(a->certificate->leaf),
                                      X509_get0_notAfter(b->certificate->leaf));
        return d != 0 ? d : strcmp(a->certificate->pair, b->certificate->pair);
}

/* Adds a name in the form that probes report. A name that no client can ask for is left out. */
static int certificate_set_add_name(CertificateSet *set, Certificate *c, const ASN1_STRING *s) {
        Slice text = { ASN1_STRING_get0_data(s), (size_t) ASN1_STRING_length(s) };
        bool is_wildcard = slice_has_prefix(text, SLICE_LITERAL("*."));
        CertificateName name = { .certificate = c };
        ProbeName host;

        if (!probe_name_set(&host, is_wildcard ? slice_skip(text, 2) : text))
                return 0;
        if (asprintf(&name.text, "%s%s", is_wildcard ? "*." : "", host.text) < 0)
                return -ENOMEM;
        if (!ARRAY_GROW(set->names, set->n_names)) {
                free(name.text);
                return -ENOMEM;
        }

        set->names[set->n_names++] = name;
        return 0;
}

/* Adds the common name. It counts only in a certificate without subjectAltName (RFC 6125 6.4.4). */
static int certificate_set_add_common_name(CertificateSet *set, Certificate *c) {
        X509_NAME *subject = X509_get_subject_name(c->leaf);
        int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

        return i < 0 ? 0 : certificate_set_add_name(set, c, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
}

static int certificate_set_add_names(CertificateSet *set, Certificate *c) {
        GENERAL_NAMES *names = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);
        int r = 0;

        if (!names)
                return certificate_set_add_common_name(set, c);

        for (int i = 0; r == 0 && i < sk_GENERAL_NAME_num(names); i++) {
                const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

                if (name->type == GEN_DNS)
                        r = certificate_set_add_name(set, c, name->d.dNSName);
        }

        GENERAL_NAMES_free(names);
        return r;
}

static const CertificateFile *certificate_set_find_file(const CertificateFiles *files, const char *name) {
        for (size_t i = 0; i < files->n_items; i++)
                if (streq(files->items[i].name, name))
                        return &files->items[i];

        return NULL;
}

/* Returns a copy of the certificate of this pair, or NULL if @set has none. */
static Certificate *certificate_set_keep(const CertificateSet *set, const char *pair, size_t n) {
        for (size_t i = 0; set && i < set->n_items; i++)
                if (strlen(set->items[i]->pair) == n && strncmp(set->items[i]->pair, pair, n) == 0)
                        return certificate_copy(set->items[i]);

        return NULL;
}

/* Reads the pair whose certificate is in @chain. Returns NULL if there is none to use. */
static Certificate *certificate_set_read_pair(const CertificateFiles *files, const CertificateFile *chain,
                                              size_t n_pair, const char *key_name, const CertificateSet *old,
                                              const CertificateReport *report) {
        const CertificateFile *key = certificate_set_find_file(files, key_name);
        Certificate *c = NULL, *kept;
        const char *why = NULL;
        bool is_key = false;

        if (key)
                c = certificate_new(n_pair, chain, key, &why, &is_key);
        if (c)
                return c;

        kept = certificate_set_keep(old, chain->name, n_pair);
        if (!key)
                certificate_report_problem(report, chain->name, "there is no file %s with its private key. %s", key_name,
                                           kept ? "The pair that was read before stays in use."
                                                : "The certificate is left out.");
        else
                certificate_report_problem(report, is_key ? key->name : chain->name, "%s. %s", why,
                                           kept ? "The pair that was read before stays in use." : "The pair is left out.");
        return kept;
}

/* Adds the pair that @file begins, if it begins one. */
static int certificate_set_add(CertificateSet *set, const CertificateFiles *files, const CertificateFile *file,
                               const CertificateSet *old, const CertificateReport *report) {
        _cleanup_free_ char *key_name = NULL;
        size_t n = certificate_pair_of(file->name, &key_name);
        Certificate *c;

        if (n == 0)
                return 0;
        if (!key_name)
                return -ENOMEM;

        c = certificate_set_read_pair(files, file, n, key_name, old, report);
        if (!c)
                return 0;
        if (!ARRAY_GROW(set->items, set->n_items)) {
                certificate_free(c);
                return -ENOMEM;
        }

        set->items[set->n_items++] = c;
        return certificate_set_add_names(set, c);
}

int certificate_set_load(CertificateSet *ret, const CertificateFiles *files, const CertificateSet *old,
                         const CertificateReport *report) {
        int r = 0;

        *ret = (CertificateSet){};
        for (size_t i = 0; r == 0 && i < files->n_items; i++)
                r = certificate_set_add(ret, files, &files->items[i], old, report);

        if (r < 0) {
                certificate_set_done(ret);
                return r;
        }

        if (ret->n_names > 1)
                qsort(ret->names, ret->n_names, sizeof(*ret->names), certificate_set_compare_name);
        for (size_t i = 0; i < ret->n_items; i++)
                if (!ret->preset || streq(ret->items[i]->pair, "default"))
                        ret->preset = ret->items[i];
        certificate_report_add(report, ret);
        return 0;
}

void certificate_set_done(CertificateSet *set) {
        for (size_t i = 0; i < set->n_names; i++)
                free(set->names[i].text);
        for (size_t i = 0; i < set->n_items; i++)
                certificate_free(set->items[i]);
        free(set->names);
        free(set->items);
        *set = (CertificateSet){};
}

static bool certificate_set_give(SSL *ssl, const Certificate *c) {
        return SSL_use_cert_and_key(ssl, c->leaf, c->key, c->chain, /* override= */ 1) == 1;
}

static int certificate_set_compare_text(const void *key, const void *member) {
        return strcmp(key, ((const CertificateName *) member)->text);
}

/* Gives @ssl all certificates with this name. The later one of the same kind of key replaces the earlier one. */
static bool certificate_set_use_name(const CertificateSet *set, SSL *ssl, const char *text) {
        size_t i = array_find_place(text, set->names, set->n_names, sizeof(*set->names), certificate_set_compare_text);
        bool found = false;

        for (; i < set->n_names && streq(set->names[i].text, text); i++)
                found = certificate_set_give(ssl, set->names[i].certificate) || found;
        return found;
}

bool certificate_set_use(const CertificateSet *set, SSL *ssl, const char *host) {
        const char *dot = host ? strchr(host, '.') : NULL;
        char wildcard[PROBE_NAME_MAX + 2];

        if (host && certificate_set_use_name(set, ssl, host))
                return true;

        if (dot && strlen(dot) <= PROBE_NAME_MAX) {
                (void) snprintf(wildcard, sizeof(wildcard), "*%s", dot);
                if (certificate_set_use_name(set, ssl, wildcard))
                        return true;
        }

        return set->preset && certificate_set_give(ssl, set->preset);
}
