/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/tls/sni.h"

#include <arpa/inet.h>
#include <errno.h>

/* Index of the expected name in an SSL. An empty name stands for none; NULL: nothing is expected. */
static int sni_index(void) {
        static int index = -1;

        if (index < 0)
                index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
        return index;
}

bool sni_set(ProbeName *ret, const char *sni) {
        struct in_addr address;

        return sni && probe_name_set(ret, slice_from_string(sni)) && inet_pton(AF_INET, ret->text, &address) != 1;
}

/* Returns the expected name, an empty one if it is none, or NULL if nothing is expected. */
static const char *sni_expected(const SSL *ssl) {
        return SSL_get_ex_data(ssl, sni_index());
}

/*
 * Confirms the name that the client asked for (RFC 6066 3). OpenSSL calls this for each ClientHello, also without a name.
 * Without one nothing has to match, because the expected name may be that of a PROXY header.
 */
static int sni_on_name(SSL *ssl, int *alert, void *userdata) {
        const char *expected = sni_expected(ssl);
        ProbeName name;

        if (!expected || !sni_set(&name, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) || streq(name.text, expected))
                return SSL_TLSEXT_ERR_OK;

        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool sni_is_of_session(const SSL *ssl, const SSL_SESSION *session) {
        const char *expected = sni_expected(ssl);
        ProbeName name;

        if (!expected)
                return true;

        return streq(sni_set(&name, SSL_SESSION_get0_hostname(session)) ? name.text : "", expected);
}

static SSL_TICKET_RETURN sni_on_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *key, size_t n_key,
                                       SSL_TICKET_STATUS status, void *userdata) {
        bool is_good = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;

        if (!is_good || !sni_is_of_session(ssl, session))
                return SSL_TICKET_RETURN_IGNORE_RENEW;

        return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

void sni_check(SSL_CTX *ctx) {
        SSL_CTX_set_tlsext_servername_callback(ctx, sni_on_name);
        (void) SSL_CTX_set_session_ticket_cb(ctx, NULL, sni_on_ticket, NULL); /* always 1 */
}

int sni_expect(SSL *ssl, const char *name) {
        union { const char *in; void *out; } expected = { name ?: "" }; /* it is only read */

        return SSL_set_ex_data(ssl, sni_index(), expected.out) == 1 ? 0 : -ENOMEM;
}
