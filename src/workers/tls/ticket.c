/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/tls/ticket.h"

#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "basic/fd.h"

#define HOUR_SEC 3600

/* Returns 0, -ENODATA if the file is no seed of this user, or a negative errno. */
static int ticket_seed_read(const char *path, uint8_t seed[static TICKET_SEED_SIZE]) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        struct stat st;

        if (fd < 0)
                return errno == ELOOP ? -ENODATA : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size != TICKET_SEED_SIZE || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
                return -ENODATA;

        return fd_read(fd, seed, TICKET_SEED_SIZE) == TICKET_SEED_SIZE ? 0 : -EIO;
}

/* Stores the seed. The file must not be there: its owner alone decides who reads it. */
static int ticket_seed_write(const char *path, const uint8_t seed[static TICKET_SEED_SIZE]) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        ssize_t n;

        if (fd < 0)
                return -errno;

        n = write(fd, seed, TICKET_SEED_SIZE);
        if (n == TICKET_SEED_SIZE)
                return 0;

        (void) unlink(path);
        return n < 0 ? -errno : -ENOSPC;
}

int ticket_seed(TicketKeys *keys, const char *path) {
        int r;

        *keys = (TicketKeys){};
        r = path ? ticket_seed_read(path, keys->seed) : -ENOENT;
        if (r == 0)
                return 0;

        if (RAND_priv_bytes(keys->seed, sizeof(keys->seed)) != 1)
                return -ENOTRECOVERABLE;
        if (!path)
                return 0;

        /* A file that is no seed is what a crash or a full disk left. */
        if (r == -ENODATA && unlink(path) < 0)
                return -errno;
        return r == -ENODATA || r == -ENOENT ? ticket_seed_write(path, keys->seed) : r;
}

/* Computes HMAC-SHA-512 of the policy, the hour and the number of the part. */
static bool ticket_derive(const TicketKeys *keys, uint64_t hour, uint8_t part, uint8_t ret[static 64]) {
        uint8_t data[TICKET_POLICY_SIZE + sizeof(hour) + 1];
        unsigned n = 0;

        memcpy(data, keys->policy, TICKET_POLICY_SIZE);
        for (size_t i = 0; i < sizeof(hour); i++)
                data[TICKET_POLICY_SIZE + i] = (uint8_t) (hour >> (8 * i));
        data[sizeof(data) - 1] = part;

        return HMAC(EVP_sha512(), keys->seed, TICKET_SEED_SIZE, data, sizeof(data), ret, &n) && n == 64;
}

static bool ticket_make_key(const TicketKeys *keys, uint64_t hour, TicketKey *ret) {
        uint8_t secret[64], name[64];
        bool is_done = ticket_derive(keys, hour, 0, secret) && ticket_derive(keys, hour, 1, name);

        if (is_done) {
                memcpy(ret->name, name, sizeof(ret->name));
                memcpy(ret->cipher, secret, sizeof(ret->cipher));
                memcpy(ret->mac, secret + sizeof(ret->cipher), sizeof(ret->mac));
        }

        OPENSSL_cleanse(secret, sizeof(secret));
        return is_done;
}

/* An hour before 0 has a key as any other. No ticket was made with it. */
bool ticket_set_hour(TicketKeys *keys, uint64_t hour) {
        keys->hour = 0;
        for (uint64_t i = 0; i < ELEMENTSOF(keys->keys); i++)
                if (!ticket_make_key(keys, hour - i, &keys->keys[i]))
                        return false;

        keys->hour = hour;
        return true;
}

/*
 * Hours since the boot, plus 1. The seed does not outlive the boot either, and this clock is never set. It counts the time
 * of a suspended machine (clock_gettime(2)).
 */
static uint64_t ticket_hour_now(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_BOOTTIME, &t);
        return 1 + (uint64_t) t.tv_sec / HOUR_SEC;
}

/* Returns the age in hours of the key with this name, or -1. */
static int ticket_find(const TicketKeys *keys, const uint8_t *name) {
        for (size_t i = 0; i < ELEMENTSOF(keys->keys); i++)
                if (memcmp(keys->keys[i].name, name, sizeof(keys->keys[i].name)) == 0)
                        return (int) i;

        return -1;
}

static bool ticket_start(const TicketKey *key, const uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypts) {
        char digest[] = "SHA256";
        OSSL_PARAM params[] = {
                OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                OSSL_PARAM_construct_end(),
        };

        return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, encrypts) == 1 &&
               EVP_MAC_init(mac, key->mac, sizeof(key->mac), params) == 1;
}

/* Results of the callback: SSL_CTX_set_tlsext_ticket_key_evp_cb(3). */
enum {
        TICKET_FAILED = -1,
        TICKET_UNKNOWN, /* the handshake goes on without the session */
        TICKET_GOOD,
        TICKET_OLD,     /* the client gets a new one */
};

static int ticket_on_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                         int encrypts) {
        TicketKeys *keys = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
        uint64_t hour = ticket_hour_now();
        int age = 0;

        if (keys->hour != hour && !ticket_set_hour(keys, hour))
                return TICKET_FAILED;

        if (encrypts) {
                memcpy(name, keys->keys[0].name, sizeof(keys->keys[0].name));
                if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
                        return TICKET_FAILED;
        } else if ((age = ticket_find(keys, name)) < 0)
                return TICKET_UNKNOWN;

        if (!ticket_start(&keys->keys[age], iv, cipher, mac, encrypts))
                return TICKET_FAILED;
        return age > 0 ? TICKET_OLD : TICKET_GOOD;
}

bool ticket_use(TicketKeys *keys, SSL_CTX *ctx) {
        (void) SSL_CTX_set_timeout(ctx, (long) TICKET_HOURS * HOUR_SEC);
        return SSL_CTX_set_app_data(ctx, keys) == 1 && SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_on_key) == 1;
}

void ticket_done(TicketKeys *keys) {
        OPENSSL_cleanse(keys, sizeof(*keys));
}
