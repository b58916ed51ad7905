/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Records of TLS that are opened with the keys for the kernel, as the kernel does it: it has one key for each direction. */

#include "tls-fixture.h"

#include "workers/tls/keys.h"

/* One direction as the kernel knows it. */
typedef struct Opener {
        KeysOption option;
        uint64_t sequence;
} Opener;

static inline void opener_init(Opener *o, const KeysOption *option) {
        uint64_t sequence;

        o->option = *option;
        memcpy(&sequence, option->info.cipher_type == TLS_CIPHER_AES_GCM_128 ? option->aes_128.rec_seq
                          : option->info.cipher_type == TLS_CIPHER_AES_GCM_256 ? option->aes_256.rec_seq
                          : option->chacha.rec_seq, sizeof(sequence));
        o->sequence = be64toh(sequence);
}

static inline const EVP_CIPHER *opener_cipher(const Opener *o, const uint8_t **ret_key) {
        switch (o->option.info.cipher_type) {
        case TLS_CIPHER_AES_GCM_128:
                *ret_key = o->option.aes_128.key;
                return EVP_aes_128_gcm();
        case TLS_CIPHER_AES_GCM_256:
                *ret_key = o->option.aes_256.key;
                return EVP_aes_256_gcm();
        default:
                *ret_key = o->option.chacha.key;
                return EVP_chacha20_poly1305();
        }
}

/* The nonce of the next record. @explicit_part has the 8 bytes that are in a record of TLS 1.2 with AES-GCM. */
static inline void opener_nonce(const Opener *o, const uint8_t *explicit_part, uint8_t ret[12]) {
        if (o->option.info.cipher_type == TLS_CIPHER_CHACHA20_POLY1305)
                memcpy(ret, o->option.chacha.iv, 12);
        else {
                bool is_128 = o->option.info.cipher_type == TLS_CIPHER_AES_GCM_128;

                memcpy(ret, is_128 ? o->option.aes_128.salt : o->option.aes_256.salt, 4);
                memcpy(ret + 4, is_128 ? o->option.aes_128.iv : o->option.aes_256.iv, 8);
        }

        if (explicit_part)
                memcpy(ret + 4, explicit_part, 8);
        else
                for (size_t i = 0; i < 8; i++)
                        ret[4 + i] ^= (uint8_t) (o->sequence >> (8 * (7 - i)));
}

/*
 * Opens the record at @p, which has @n bytes. Returns the length of its data, of which *ret_type is the type, or -1: the
 * key or the number is wrong.
 */
static inline int opener_open(Opener *o, const uint8_t *p, size_t n, uint8_t *ret, uint8_t *ret_type) {
        bool is_13 = o->option.info.version == TLS1_3_VERSION;
        bool is_explicit = !is_13 && o->option.info.cipher_type != TLS_CIPHER_CHACHA20_POLY1305;
        const uint8_t *key, *body = p + 5 + (is_explicit ? 8 : 0);
        size_t n_body = n - 5 - (is_explicit ? 8 : 0) - 16, n_data = n_body;
        const EVP_CIPHER *cipher = opener_cipher(o, &key);
        EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
        uint8_t nonce[12], aad[13], tag[16];
        int k, ok;

        opener_nonce(o, is_explicit ? p + 5 : NULL, nonce);
        if (is_13)
                memcpy(aad, p, 5);
        else {
                for (size_t i = 0; i < 8; i++)
                        aad[i] = (uint8_t) (o->sequence >> (8 * (7 - i)));
                memcpy(aad + 8, p, 3);
                aad[11] = (uint8_t) (n_body >> 8);
                aad[12] = (uint8_t) n_body;
        }
        memcpy(tag, body + n_body, sizeof(tag));

        ok = EVP_DecryptInit_ex(ctx, cipher, NULL, key, nonce) == 1 &&
             EVP_DecryptUpdate(ctx, NULL, &k, aad, is_13 ? 5 : 13) == 1 &&
             EVP_DecryptUpdate(ctx, ret, &k, body, (int) n_body) == 1 &&
             EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) == 1 &&
             EVP_DecryptFinal_ex(ctx, ret + k, &k) == 1;
        EVP_CIPHER_CTX_free(ctx);
        if (!ok)
                return -1;

        o->sequence++;
        *ret_type = p[0];
        if (is_13) {
                while (n_data > 0 && ret[n_data - 1] == 0)
                        n_data--;
                *ret_type = ret[--n_data];
        }
        return (int) n_data;
}
