/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The keys of the records that follow a handshake, in the form in which the kernel takes them (kTLS). They are derived
 * here, because OpenSSL 3.0 gives the kernel no keys for receiving TLS 1.3. OpenSSL tells the secrets (TLS 1.3), or the
 * master secret (TLS 1.2), and each record. No I/O.
 */

#include <linux/tls.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

/* Largest secret of TLS 1.3: the output of SHA-512. */
#define KEYS_SECRET_MAX 64

/* One direction, as OpenSSL tells it during the handshake. */
typedef struct KeysDirection {
        uint8_t secret[KEYS_SECRET_MAX]; /* TLS 1.3 only */
        size_t n_secret;                 /* bytes of @secret; 0: not told yet */
        uint64_t n_records;              /* records under the present keys */
} KeysDirection;

typedef struct KeysSeen {
        KeysDirection tx; /* from the server */
        KeysDirection rx; /* to the server */
} KeysSeen;

/* The value of a socket's option TLS_TX or TLS_RX. */
typedef union KeysOption {
        struct tls_crypto_info info;
        struct tls12_crypto_info_aes_gcm_128 aes_128;
        struct tls12_crypto_info_aes_gcm_256 aes_256;
        struct tls12_crypto_info_chacha20_poly1305 chacha;
} KeysOption;

typedef struct Keys {
        KeysOption tx;
        KeysOption rx;
        socklen_t size; /* of both options, bytes */
} Keys;

/*
 * Begins to watch the handshake of @ssl, which was not begun yet. @seen is written to until keys_unwatch(), or until
 * @ssl is freed. Returns 0 or -ENOMEM.
 */
int keys_watch(KeysSeen *seen, SSL *ssl);
void keys_unwatch(SSL *ssl);

/* Overwrites the secrets. */
void keys_seen_done(KeysSeen *seen);

/* Sets version and cipher of an option. Returns its size, or 0: @nid is none of the three ciphers (NID_aes_128_gcm, …). */
socklen_t keys_option_init(KeysOption *ret, int version, int nid);

/*
 * Derives the keys after the handshake. @ssl must not have read or written any data. Returns 0, -EOPNOTSUPP: the kernel
 * can't do what this handshake has agreed on, or another negative errno. keys_done() overwrites the keys.
 */
int keys_derive(Keys *ret, const KeysSeen *seen, const SSL *ssl);
void keys_done(Keys *k);
