/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/tls/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>

/* Ends of the names of the two files of a pair. */
static const struct { const char *chain, *key; } certificate_ends[] = {
        { "fullchain.pem", "privkey.pem" },
        { ".pem", ".pem" },
        { ".crt", ".key" },
};

size_t certificate_pair_of(const char *name, char **ret_key) {
        *ret_key = NULL;
        if (endswith(name, "privkey.pem"))
                return 0;

        for (size_t i = 0; i < ELEMENTSOF(certificate_ends); i++) {
                const char *end = endswith(name, certificate_ends[i].chain);
                size_t n = end ? (size_t) (end - name) : 0;

                if (!end || (n == 0 && i > 0))
                        continue;
                if (asprintf(ret_key, "%.*s%s", (int) n, name, certificate_ends[i].key) < 0)
                        *ret_key = NULL;
                return n > 0 && name[n - 1] == '_' ? n - 1 : n > 0 ? n : strlen(name);
        }

        return 0;
}

/* Answers that there is no passphrase. Without this function OpenSSL would ask for one on the terminal. */
static int certificate_no_passphrase(char *buffer, int size, int is_writing, void *userdata) {
        return -1;
}

/* Reads all certificates of a file: first the leaf, and then the chain. */
static const char *certificate_read_chain(Certificate *c, BIO *in) {
        X509 *issuer;

        c->leaf = PEM_read_bio_X509_AUX(in, NULL, certificate_no_passphrase, NULL);
        if (!c->leaf)
                return "it has no certificate (\"-----BEGIN CERTIFICATE-----\")";

        c->chain = sk_X509_new_null();
        while (c->chain && (issuer = PEM_read_bio_X509(in, NULL, certificate_no_passphrase, NULL)))
                if (sk_X509_push(c->chain, issuer) <= 0) {
                        X509_free(issuer);
                        return "there is not enough memory";
                }

        /* The end of the file is an error without a line that begins a block. */
        if (!c->chain || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
                return "a certificate behind the first one is damaged";
        return NULL;
}

static const char *certificate_read_key(Certificate *c, BIO *in) {
        c->key = PEM_read_bio_PrivateKey(in, NULL, certificate_no_passphrase, NULL);
        if (c->key)
                return NULL;

        switch (ERR_GET_REASON(ERR_peek_last_error())) {
        case PEM_R_BAD_PASSWORD_READ:
        case PEM_R_PROBLEMS_GETTING_PASSWORD:
                return "the key has a passphrase; store it without one (openssl pkey)";
        case PEM_R_NO_START_LINE:
                return "it has no private key (\"-----BEGIN PRIVATE KEY-----\")";
        default:
                return "the private key is damaged";
        }
}

static const char *certificate_read(Certificate *c, const CertificateFile *chain, const CertificateFile *key,
                                    bool *ret_is_key) {
        BIO *chain_in = BIO_new_mem_buf(chain->bytes, (int) chain->n);
        BIO *key_in = BIO_new_mem_buf(key->bytes, (int) key->n);
        const char *why = "there is not enough memory";

        *ret_is_key = false;
        if (chain_in && key_in) {
                ERR_clear_error();
                why = certificate_read_chain(c, chain_in);
                ERR_clear_error();
                if (!why && (why = certificate_read_key(c, key_in)))
                        *ret_is_key = true;
        }

        ERR_clear_error();
        BIO_free(chain_in);
        BIO_free(key_in);
        if (!why && X509_check_private_key(c->leaf, c->key) != 1)
                why = "the private key is not the one of the certificate";
        return why;
}

Certificate *certificate_new(size_t n_pair, const CertificateFile *chain, const CertificateFile *key,
                             const char **ret_why, bool *ret_is_key) {
        Certificate *c = calloc(1, sizeof(*c));

        *ret_why = "there is not enough memory";
        if (!c || !(c->pair = strndup(chain->name, n_pair)) || !(c->file = strdup(chain->name)))
                return certificate_free(c);

        *ret_why = certificate_read(c, chain, key, ret_is_key);
        return *ret_why ? certificate_free(c) : c;
}

Certificate *certificate_copy(const Certificate *c) {
        Certificate *copy = calloc(1, sizeof(*copy));

        if (!copy || !(copy->pair = strdup(c->pair)) || !(copy->file = strdup(c->file)) ||
            !(copy->chain = X509_chain_up_ref(c->chain)))
                return certificate_free(copy);

        copy->leaf = c->leaf;
        copy->key = c->key;
        (void) X509_up_ref(copy->leaf);
        (void) EVP_PKEY_up_ref(copy->key);
        return copy;
}

Certificate *certificate_free(Certificate *c) {
        if (!c)
                return NULL;

        X509_free(c->leaf);
        sk_X509_pop_free(c->chain, X509_free);
        EVP_PKEY_free(c->key);
        free(c->pair);
        free(c->file);
        free(c);
        return NULL;
}
