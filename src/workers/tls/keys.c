/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/tls/keys.h"

#include <endian.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include "basic/macro.h"

/* Types of records. */
#define KEYS_CHANGE_CIPHER_SPEC 20

#define KEYS_KEY_MAX 32
#define KEYS_NONCE_SIZE 12  /* TLS 1.3, and ChaCha20-Poly1305 of TLS 1.2 (RFC 7905 2) */
#define KEYS_SALT_SIZE 4    /* of a nonce of AES-GCM of TLS 1.2 (RFC 5288 3). The other 8 bytes are in each record */
#define KEYS_RANDOM_SIZE 32

/* A key, and what nonces are made of. */
typedef struct KeysPart {
        uint8_t key[KEYS_KEY_MAX];
        uint8_t nonce[KEYS_NONCE_SIZE];
} KeysPart;

static int keys_index(void) {
        static int index = -1;

        if (index < 0)
                index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
        return index;
}

static int keys_digit(char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes a secret in hex. The keys that come from it are for the next record. */
static void keys_set_secret(KeysDirection *d, const char *hex) {
        size_t n = 0;

        *d = (KeysDirection){};
        for (; n < sizeof(d->secret) && keys_digit(hex[0]) >= 0 && keys_digit(hex[1]) >= 0; hex += 2)
                d->secret[n++] = (uint8_t) (keys_digit(hex[0]) << 4 | keys_digit(hex[1]));
        d->n_secret = n;
}

/* Takes a line of the form "LABEL RANDOM SECRET" (SSL_CTX_set_keylog_callback(3)). */
static void keys_on_secret(const SSL *ssl, const char *line) {
        KeysSeen *seen = SSL_get_ex_data(ssl, keys_index());
        const char *secret = strrchr(line, ' ');

        if (!seen || !secret)
                return;

        if (startswith(line, "SERVER_TRAFFIC_SECRET_0 "))
                keys_set_secret(&seen->tx, secret + 1);
        else if (startswith(line, "CLIENT_TRAFFIC_SECRET_0 "))
                keys_set_secret(&seen->rx, secret + 1);
}

/*
 * Counts records, because a record's number is a part of its nonce. In TLS 1.2 the keys are new after a
 * ChangeCipherSpec. In TLS 1.3 that record says nothing, and the secret comes after it.
 */
static void keys_on_message(int is_written, int version, int type, const void *bytes, size_t n, SSL *ssl, void *userdata) {
        KeysSeen *seen = userdata;
        KeysDirection *d = is_written ? &seen->tx : &seen->rx;

        if (type != SSL3_RT_HEADER || n == 0)
                return;

        d->n_records = *(const uint8_t *) bytes == KEYS_CHANGE_CIPHER_SPEC ? 0 : d->n_records + 1;
}

int keys_watch(KeysSeen *seen, SSL *ssl) {
        *seen = (KeysSeen){};
        if (SSL_set_ex_data(ssl, keys_index(), seen) != 1)
                return -ENOMEM;

        SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(ssl), keys_on_secret); /* OpenSSL has none for one SSL */
        SSL_set_msg_callback(ssl, keys_on_message);
        SSL_set_msg_callback_arg(ssl, seen);
        return 0;
}

void keys_unwatch(SSL *ssl) {
        SSL_set_msg_callback(ssl, NULL);
        (void) SSL_set_ex_data(ssl, keys_index(), NULL);
}

void keys_seen_done(KeysSeen *seen) {
        OPENSSL_cleanse(seen, sizeof(*seen));
}

void keys_done(Keys *k) {
        OPENSSL_cleanse(k, sizeof(*k));
}

/* The functions of OpenSSL take pointers to what they only read. */
static void *keys_in(const void *p) {
        return (void *) (uintptr_t) p;
}

static int keys_run(const char *kdf_name, const OSSL_PARAM *parameters, uint8_t *ret, size_t n) {
        EVP_KDF *kdf = EVP_KDF_fetch(NULL, kdf_name, NULL);
        EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
        int r = ctx && EVP_KDF_derive(ctx, ret, n, parameters) == 1 ? 0 : -EIO;

        EVP_KDF_CTX_free(ctx);
        EVP_KDF_free(kdf);
        return r;
}

static const char *keys_digest(const SSL *ssl) {
        return EVP_MD_get0_name(SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(ssl)));
}

/* HKDF-Expand-Label() with an empty context (RFC 8446 7.1). */
static int keys_expand(const SSL *ssl, const KeysDirection *d, const char *label, uint8_t *ret, size_t n) {
        int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
        const OSSL_PARAM parameters[] = {
                OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
                OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, keys_in(keys_digest(ssl)), 0),
                OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, keys_in(d->secret), d->n_secret),
                OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, keys_in("tls13 "), 6),
                OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, keys_in(label), strlen(label)),
                OSSL_PARAM_construct_end(),
        };

        return keys_run("TLS13-KDF", parameters, ret, n);
}

static int keys_derive_13(const SSL *ssl, const KeysDirection *d, size_t n_key, KeysPart *ret) {
        int r;

        if (d->n_secret == 0)
                return -EIO;

        r = keys_expand(ssl, d, "key", ret->key, n_key);
        return r < 0 ? r : keys_expand(ssl, d, "iv", ret->nonce, KEYS_NONCE_SIZE);
}

/* Computes the key block (RFC 5246 6.3). */
static int keys_block_12(const SSL *ssl, uint8_t *ret, size_t n) {
        uint8_t master[SSL_MAX_MASTER_KEY_LENGTH], client[KEYS_RANDOM_SIZE], server[KEYS_RANDOM_SIZE];
        size_t n_master = SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof(master));
        int r;

        (void) SSL_get_client_random(ssl, client, sizeof(client));
        (void) SSL_get_server_random(ssl, server, sizeof(server));

        const OSSL_PARAM parameters[] = {
                OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, keys_in(keys_digest(ssl)), 0),
                OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master, n_master),
                OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, keys_in("key expansion"), 13),
                OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, server, sizeof(server)),
                OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, client, sizeof(client)),
                OSSL_PARAM_construct_end(),
        };
        r = keys_run("TLS1-PRF", parameters, ret, n);
        OPENSSL_cleanse(master, sizeof(master));
        return r;
}

/* Cuts the key block: the client's key and the server's, then the client's nonce and the server's. */
static int keys_derive_12(const SSL *ssl, size_t n_key, size_t n_nonce, KeysPart *ret_tx, KeysPart *ret_rx) {
        uint8_t block[2 * (KEYS_KEY_MAX + KEYS_NONCE_SIZE)];
        int r;

        r = keys_block_12(ssl, block, 2 * (n_key + n_nonce));
        if (r >= 0) {
                memcpy(ret_rx->key, block, n_key);
                memcpy(ret_tx->key, block + n_key, n_key);
                memcpy(ret_rx->nonce, block + 2 * n_key, n_nonce);
                memcpy(ret_tx->nonce, block + 2 * n_key + n_nonce, n_nonce);
        }
        OPENSSL_cleanse(block, sizeof(block));

        /* The sender of a record chooses the rest of the nonce. The kernel counts up from it. */
        if (r >= 0 && n_nonce == KEYS_SALT_SIZE && RAND_bytes(ret_tx->nonce + n_nonce, KEYS_NONCE_SIZE - KEYS_SALT_SIZE) != 1)
                r = -EIO;
        return r;
}

socklen_t keys_option_init(KeysOption *ret, int version, int nid) {
        *ret = (KeysOption){ .info.version = (uint16_t) version };

        switch (nid) {
        case NID_aes_128_gcm:
                ret->info.cipher_type = TLS_CIPHER_AES_GCM_128;
                return sizeof(ret->aes_128);
        case NID_aes_256_gcm:
                ret->info.cipher_type = TLS_CIPHER_AES_GCM_256;
                return sizeof(ret->aes_256);
        case NID_chacha20_poly1305:
                ret->info.cipher_type = TLS_CIPHER_CHACHA20_POLY1305;
                return sizeof(ret->chacha);
        default:
                return 0;
        }
}

static void keys_fill(KeysOption *o, const KeysPart *p, uint64_t n_records) {
        uint64_t sequence = htobe64(n_records);

        switch (o->info.cipher_type) {
        case TLS_CIPHER_AES_GCM_128:
                memcpy(o->aes_128.key, p->key, sizeof(o->aes_128.key));
                memcpy(o->aes_128.salt, p->nonce, KEYS_SALT_SIZE);
                memcpy(o->aes_128.iv, p->nonce + KEYS_SALT_SIZE, sizeof(o->aes_128.iv));
                memcpy(o->aes_128.rec_seq, &sequence, sizeof(sequence));
                break;
        case TLS_CIPHER_AES_GCM_256:
                memcpy(o->aes_256.key, p->key, sizeof(o->aes_256.key));
                memcpy(o->aes_256.salt, p->nonce, KEYS_SALT_SIZE);
                memcpy(o->aes_256.iv, p->nonce + KEYS_SALT_SIZE, sizeof(o->aes_256.iv));
                memcpy(o->aes_256.rec_seq, &sequence, sizeof(sequence));
                break;
        default:
                memcpy(o->chacha.key, p->key, sizeof(o->chacha.key));
                memcpy(o->chacha.iv, p->nonce, sizeof(o->chacha.iv));
                memcpy(o->chacha.rec_seq, &sequence, sizeof(sequence));
        }
}

/* True if the client demands records that are shorter than those of the kernel (RFC 6066 4). */
static bool keys_has_fragment_limit(const SSL *ssl) {
        return SSL_SESSION_get_max_fragment_length(SSL_get_session(ssl)) != TLSEXT_max_fragment_length_DISABLED;
}

int keys_derive(Keys *ret, const KeysSeen *seen, const SSL *ssl) {
        int version = SSL_version(ssl), nid = SSL_CIPHER_get_cipher_nid(SSL_get_current_cipher(ssl)), r;
        size_t n_key = nid == NID_aes_128_gcm ? TLS_CIPHER_AES_GCM_128_KEY_SIZE : KEYS_KEY_MAX;
        KeysPart tx = {}, rx = {};

        ret->size = keys_option_init(&ret->tx, version, nid);
        (void) keys_option_init(&ret->rx, version, nid);
        if (ret->size == 0 || keys_has_fragment_limit(ssl) || (version != TLS1_2_VERSION && version != TLS1_3_VERSION))
                return -EOPNOTSUPP;

        if (version == TLS1_3_VERSION) {
                r = keys_derive_13(ssl, &seen->tx, n_key, &tx);
                if (r >= 0)
                        r = keys_derive_13(ssl, &seen->rx, n_key, &rx);
        } else
                r = keys_derive_12(ssl, n_key, nid == NID_chacha20_poly1305 ? KEYS_NONCE_SIZE : KEYS_SALT_SIZE, &tx, &rx);

        if (r >= 0) {
                keys_fill(&ret->tx, &tx, seen->tx.n_records);
                keys_fill(&ret->rx, &rx, seen->rx.n_records);
        }
        OPENSSL_cleanse(&tx, sizeof(tx));
        OPENSSL_cleanse(&rx, sizeof(rx));
        return r;
}
