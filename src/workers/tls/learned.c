/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/tls/learned.h"

#include <arpa/inet.h>
#include <openssl/x509.h>

#include "workers/tls/sni.h"

/* Bits of the first byte (PROXY protocol 2.2.6). */
enum {
        LEARNED_SSL = 0x01,
        LEARNED_CERT_CONN = 0x02, /* the client has shown a certificate on this connection */
        LEARNED_CERT_SESS = 0x04, /* on this connection, or on an earlier one of the same session */
};

/* TLVs inside of SSL. */
enum {
        LEARNED_VERSION = 0x21,
        LEARNED_CN = 0x22,
        LEARNED_CIPHER = 0x23,
        LEARNED_SIG_ALG = 0x24,
        LEARNED_KEY_ALG = 0x25,
};

/* Longest value of one of these TLVs. All five and the name of the host fit into FDPASS_SSL_MAX. */
#define LEARNED_VALUE_MAX 140

static Slice learned_slice(const void *p, size_t n) {
        return (Slice){ p, n };
}

static void learned_put(Learned *l, uint8_t type, Slice value) {
        l->ssl[l->n_ssl] = type;
        l->ssl[l->n_ssl + 1] = 0;
        l->ssl[l->n_ssl + 2] = (uint8_t) value.n;
        memcpy(l->ssl + l->n_ssl + 3, value.p, value.n);
        l->n_ssl += 3 + value.n;
}

/* Adds a TLV. A value that is empty or too long is left out, because half a name is another one. */
static void learned_add(Learned *l, uint8_t type, Slice value) {
        if (value.n > 0 && value.n <= LEARNED_VALUE_MAX)
                learned_put(l, type, value);
}

static void learned_add_string(Learned *l, uint8_t type, const char *s) {
        if (s)
                learned_add(l, type, slice_from_string(s));
}

/* Adds the common name of the client's certificate, if it is text. */
static void learned_add_common_name(Learned *l, const X509 *certificate) {
        X509_NAME *subject = X509_get_subject_name(certificate);
        int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1), n;
        uint8_t *text;

        if (i < 0)
                return;

        n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
        if (n < 0)
                return;

        if (slice_span_text((Slice){ text, (size_t) n }) == (size_t) n)
                learned_add(l, LEARNED_CN, (Slice){ text, (size_t) n });
        OPENSSL_free(text);
}

/* Adds the algorithms of our own certificate, as HAProxy does. A resumed session has none. */
static void learned_add_algorithms(Learned *l, const SSL *ssl) {
        const X509 *own = SSL_get_certificate(ssl);
        const EVP_PKEY *key = own ? X509_get0_pubkey(own) : NULL;

        if (!own || !key)
                return;

        learned_add_string(l, LEARNED_SIG_ALG, OBJ_nid2sn(X509_get_signature_nid(own)));
        learned_add_string(l, LEARNED_KEY_ALG, OBJ_nid2sn(EVP_PKEY_get_base_id(key)));
}

/* Fills in the SSL TLV. The result of the verification is 0 if a certificate was shown and is valid. */
static void learned_set_ssl(Learned *l, const SSL *ssl) {
        const X509 *certificate = SSL_get0_peer_certificate(ssl);
        uint32_t verified = certificate ? (uint32_t) SSL_get_verify_result(ssl) : 1;

        l->ssl[0] = LEARNED_SSL;
        if (certificate)
                l->ssl[0] |= (uint8_t) (LEARNED_CERT_SESS | (SSL_session_reused(ssl) ? 0 : LEARNED_CERT_CONN));
        verified = htonl(verified);
        memcpy(l->ssl + 1, &verified, sizeof(verified));
        l->n_ssl = FDPASS_SSL_TLVS_AT;
        learned_put(l, FDPASS_SSL_TLV_NAME, learned_slice(l->host.text, l->host.n));

        learned_add_string(l, LEARNED_VERSION, SSL_get_version(ssl));
        if (certificate)
                learned_add_common_name(l, certificate);
        learned_add_string(l, LEARNED_CIPHER, SSL_get_cipher_name(ssl));
        learned_add_algorithms(l, ssl);
}

bool learned_read(Learned *ret, const SSL *ssl, const char *told) {
        /* A name that the probe refuses was not told, and routes know no such name. */
        if (!sni_set(&ret->host, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)))
                ret->host.n = 0;
        if (ret->host.n > 0 && (!told || !streq(told, ret->host.text)))
                return false;

        learned_set_ssl(ret, ssl);
        return true;
}

static Slice learned_tlv(const struct fdpass *info, uint8_t type) {
        size_t n;
        const void *p = fdpass_tlv(info, type, &n);

        return learned_slice(p, n);
}

Message learned_message(const Learned *learned, const SSL *ssl, const struct fdpass *info) {
        Message m = MESSAGE_NULL;
        const struct sockaddr *sa;
        socklen_t length;
        unsigned n_alpn;
        Slice hops;

        if ((sa = fdpass_peer(info, &length)))
                message_address_set(&m.source, sa, length);
        if ((sa = fdpass_local(info, &length)))
                message_address_set(&m.destination, sa, length);
        if (m.source.sa.sa_family != m.destination.sa.sa_family)
                m.source.sa.sa_family = m.destination.sa.sa_family = AF_UNSPEC;

        SSL_get0_alpn_selected(ssl, &m.alpn.p, &n_alpn);
        m.alpn.n = n_alpn;
        m.authority = learned_slice(learned->host.text, learned->host.n);
        m.ssl = learned_slice(learned->ssl, learned->n_ssl);
        m.unique_id = learned_tlv(info, FDPASS_TLV_UNIQUE_ID);
        m.listener = learned_tlv(info, FDPASS_TLV_LISTENER);
        m.proxy = learned_tlv(info, FDPASS_TLV_PROXY);
        m.data = learned_tlv(info, FDPASS_TLV_DATA);
        hops = learned_tlv(info, FDPASS_TLV_HOPS);
        m.hops = hops.n == 1 ? hops.p[0] : 1;
        return m;
}
