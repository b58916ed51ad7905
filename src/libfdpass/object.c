/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "libfdpass/object.h"

#include "basic/fd.h"
#include "handoff/handoff.h"

/* Room for the strings of struct fdpass: four facts of the message, and four of its SSL. */
#define OBJECT_STRINGS_MAX (4 * (FDPASS_TEXT_MAX + 1) + FDPASS_SSL_MAX + 4)

/* TLVs of SSL (PROXY protocol 2.2.6). */
enum {
        SSL_TLV_VERSION = 0x21,
        SSL_TLV_CN = 0x22,
        SSL_TLV_CIPHER = 0x23,
};

struct fdpass *object_new(size_t size) {
        struct fdpass *f = malloc(sizeof(*f) + size + OBJECT_STRINGS_MAX);

        if (f)
                *f = (struct fdpass){ .conn_fd = -EBADF, .sender = (uid_t) -1, .message = MESSAGE_NULL };

        return f;
}

struct fdpass *object_shrink(struct fdpass *f, size_t n) {
        struct fdpass *shrunk = realloc(f, sizeof(*f) + n + OBJECT_STRINGS_MAX);

        return shrunk ? shrunk : f;
}

/* Copies @s to the end of *strings. Returns the copy, or NULL for a fact that the message lacks. */
static const char *object_add_string(char **strings, Slice s) {
        char *string = *strings;

        if (s.n == 0)
                return NULL;

        memcpy(string, s.p, s.n);
        string[s.n] = 0;
        *strings += s.n + 1;
        return string;
}

/* Copies a TLV of SSL. Returns NULL if there is none, or if it is no text. */
static const char *object_add_ssl(struct fdpass *f, char **strings, unsigned type) {
        Slice s = slice_find_tlv(slice_skip(f->message.ssl, FDPASS_SSL_TLVS_AT), type);

        if (s.p && s.n == 0)
                return "";

        return slice_span_text(s) == s.n ? object_add_string(strings, s) : NULL;
}

/* Prefers the addresses of the message. getpeername(2) fails with ENOTCONN if the client has left already. */
static void object_set_addresses(struct fdpass *f, int client_fd) {
        f->peer_length = message_address_length(&f->message.source);
        f->local_length = message_address_length(&f->message.destination);
        if (f->peer_length > 0) {
                memcpy(&f->peer, &f->message.source, f->peer_length);
                memcpy(&f->local, &f->message.destination, f->local_length);
                return;
        }

        f->peer_length = f->local_length = sizeof(f->peer);
        if (getpeername(client_fd, (struct sockaddr *) &f->peer, &f->peer_length) < 0)
                f->peer_length = 0;
        if (getsockname(client_fd, (struct sockaddr *) &f->local, &f->local_length) < 0)
                f->local_length = 0;
}

void object_complete(struct fdpass *f, size_t n, int client_fd) {
        char *strings = (char *) f->bytes + n;

        f->authority = object_add_string(&strings, f->message.authority);
        f->protocol = object_add_string(&strings, f->message.protocol);
        f->route = object_add_string(&strings, f->message.route);
        f->listener = object_add_string(&strings, f->message.listener);
        if (f->message.ssl.n >= FDPASS_SSL_TLVS_AT) {
                f->tls_version = object_add_ssl(f, &strings, SSL_TLV_VERSION);
                f->tls_cipher = object_add_ssl(f, &strings, SSL_TLV_CIPHER);
                f->tls_client_name = object_add_ssl(f, &strings, SSL_TLV_CN);
                f->tls_server_name = object_add_ssl(f, &strings, FDPASS_SSL_TLV_NAME);
        }

        object_set_addresses(f, client_fd);
}

void object_end_connection(int fd, bool is_callers, uint8_t answer) {
        if (answer != 0)
                (void) handoff_answer(fd, answer);

        if (is_callers)
                (void) shutdown(fd, SHUT_RDWR);
        else
                fd_close(fd);
}

/* An answer of 0 is the end of the connection. A persistent connection goes on, so "taken" has to be sent on it. */
static void object_send_answer(struct fdpass *f, uint8_t answer) {
        if (f->persistent) {
                persistent_answer(f->persistent, answer ?: FDPASS_ANSWER_TAKEN, f->seq, 1);
                f->persistent = persistent_unref(f->persistent);
        } else
                object_end_connection(TAKE_FD(f->conn_fd), f->conn_is_callers, answer);
}

static int object_answer(struct fdpass *f, uint8_t answer) {
        if (f->answer == ANSWER_GIVEN)
                return -EALREADY;

        object_send_answer(f, answer);
        f->answer = ANSWER_GIVEN;
        return 0;
}

_public_ int fdpass_taken(struct fdpass *f) {
        return object_answer(f, FDPASS_ANSWER_TAKEN);
}

_public_ int fdpass_decline(struct fdpass *f) {
        return object_answer(f, FDPASS_ANSWER_REFUSED);
}

_public_ int fdpass_reject(struct fdpass *f) {
        return object_answer(f, FDPASS_ANSWER_ERROR);
}

_public_ void fdpass_free(struct fdpass *f) {
        if (!f)
                return;

        if (f->answer == ANSWER_DUE)
                object_send_answer(f, 0);
        free(f);
}

static const struct sockaddr *object_get_address(const struct sockaddr_storage *a, socklen_t length,
                                                 socklen_t *ret_len) {
        if (ret_len)
                *ret_len = length;

        return length > 0 ? (const struct sockaddr *) a : NULL;
}

_public_ const struct sockaddr *fdpass_peer(const struct fdpass *f, socklen_t *ret_len) {
        return object_get_address(&f->peer, f->peer_length, ret_len);
}

_public_ const struct sockaddr *fdpass_local(const struct fdpass *f, socklen_t *ret_len) {
        return object_get_address(&f->local, f->local_length, ret_len);
}

_public_ const char *fdpass_authority(const struct fdpass *f) {
        return f->authority;
}

_public_ const char *fdpass_protocol(const struct fdpass *f) {
        return f->protocol;
}

_public_ const char *fdpass_route(const struct fdpass *f) {
        return f->route;
}

_public_ const char *fdpass_listener(const struct fdpass *f) {
        return f->listener;
}

static const void *object_get_slice(Slice s, size_t *ret_len) {
        if (ret_len)
                *ret_len = s.n;

        return s.n > 0 ? s.p : NULL;
}

_public_ const void *fdpass_alpn(const struct fdpass *f, size_t *ret_len) {
        return object_get_slice(f->message.alpn, ret_len);
}

_public_ const void *fdpass_unique_id(const struct fdpass *f, size_t *ret_len) {
        return object_get_slice(f->message.unique_id, ret_len);
}

_public_ const void *fdpass_data(const struct fdpass *f, size_t *ret_len) {
        return object_get_slice(f->message.data, ret_len);
}

_public_ const void *fdpass_consumed(const struct fdpass *f, size_t *ret_len) {
        return object_get_slice(f->message.consumed, ret_len);
}

_public_ const void *fdpass_tlv(const struct fdpass *f, unsigned type, size_t *ret_len) {
        return object_get_slice(slice_find_tlv(f->message.tlvs, type), ret_len);
}

_public_ const void *fdpass_proxy_tlv(const struct fdpass *f, unsigned type, size_t *ret_len) {
        Slice value = slice_find_tlv(f->message.proxy, type);

        if (ret_len)
                *ret_len = value.n;

        return value.p;
}

_public_ uint64_t fdpass_deadline(const struct fdpass *f) {
        return f->message.deadline;
}

_public_ uid_t fdpass_sender(const struct fdpass *f) {
        return f->sender;
}
