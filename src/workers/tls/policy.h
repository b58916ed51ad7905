/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The demands of an instance on its clients, in one SSL_CTX. Certificates are chosen for each client. */

#include <openssl/ssl.h>

#include "workers/tls/certificate.h"
#include "workers/tls/ticket.h"

/* Bytes of a list of protocols for ALPN, each with its length before it (RFC 7301 3.1). */
#define POLICY_ALPN_MAX 256

/* --client-certificate= */
typedef enum ClientCertificate {
        CLIENT_CERTIFICATE_REQUIRE,  /* the handshake fails without one */
        CLIENT_CERTIFICATE_OPTIONAL, /* the worker is told whether there was one */
} ClientCertificate;

typedef struct PolicyOptions {
        int version_min;           /* TLS1_2_VERSION or TLS1_3_VERSION */
        uint8_t alpn[POLICY_ALPN_MAX]; /* the best protocol first */
        size_t n_alpn;             /* bytes of @alpn */
        const char *client_ca;     /* file of the issuers of clients' certificates; NULL: clients are asked for none */
        ClientCertificate client_certificate; /* valid with @client_ca */
} PolicyOptions;

#define POLICY_OPTIONS_NULL                                             \
        {                                                               \
                .version_min = TLS1_2_VERSION,                          \
                .alpn = "\x08http/1.1",                                 \
                .n_alpn = 9,                                            \
        }

/*
 * Parses "h2,http/1.1" into @ret. Returns 0, or -EINVAL: a name is empty or longer than 255 bytes, or the list is too
 * long.
 */
int policy_parse_alpn(PolicyOptions *ret, const char *list);

/*
 * Makes the context. It borrows @options, @set and @tickets, which have to outlive it. @tickets has a seed, and gets the
 * policy. Returns NULL if that is not possible. Then *ret_why is why; the string is static.
 */
SSL_CTX *policy_new(const PolicyOptions *options, const CertificateSet *set, TicketKeys *tickets, const char **ret_why);
