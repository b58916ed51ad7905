/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients that came through TLS: what is told of it, and sockets on which the kernel has the records (kTLS). */

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handoff/ktls.h"
#include "libfdpass/object.h"

/* Bits of the first byte of SSL (PROXY protocol 2.2.6). */
enum {
        TLS_BIT_SSL = 0x01,
        TLS_BIT_CERT_CONN = 0x02, /* the client has shown a certificate on this connection */
        TLS_BIT_CERT_SESS = 0x04, /* or on an earlier one of the session */
};

/* SSL is a byte with these bits, and the result of the verification in four bytes, 0 if the certificate is valid. */
static unsigned tls_bits(const struct fdpass *f) {
        return f->message.ssl.n >= FDPASS_SSL_TLVS_AT ? f->message.ssl.p[0] : 0;
}

_public_ int fdpass_is_tls(const struct fdpass *f) {
        return (tls_bits(f) & TLS_BIT_SSL) != 0;
}

_public_ int fdpass_tls_client(const struct fdpass *f) {
        uint32_t result;

        if (!fdpass_is_tls(f) || !(tls_bits(f) & (TLS_BIT_CERT_CONN | TLS_BIT_CERT_SESS)))
                return FDPASS_TLS_CLIENT_NONE;

        memcpy(&result, f->message.ssl.p + 1, sizeof(result));
        return result == 0 ? FDPASS_TLS_CLIENT_VERIFIED : FDPASS_TLS_CLIENT_UNVERIFIED;
}

_public_ const char *fdpass_tls_version(const struct fdpass *f) {
        return f->tls_version;
}

_public_ const char *fdpass_tls_cipher(const struct fdpass *f) {
        return f->tls_cipher;
}

_public_ const char *fdpass_tls_client_name(const struct fdpass *f) {
        return f->tls_client_name;
}

_public_ const char *fdpass_tls_server_name(const struct fdpass *f) {
        return f->tls_server_name;
}

_public_ ssize_t fdpass_recv(int client_fd, void *buffer, size_t size, int flags) {
        return ktls_recv(client_fd, buffer, size, flags);
}

_public_ int fdpass_shutdown(int client_fd) {
        if (ktls_close_notify_wait(client_fd, NULL) == -EAGAIN)
                return -EAGAIN;

        return shutdown(client_fd, SHUT_WR) < 0 ? -errno : 0;
}

_public_ int fdpass_close(int client_fd) {
        if (fdpass_shutdown(client_fd) == -EAGAIN)
                (void) shutdown(client_fd, SHUT_WR);

        return close(client_fd) < 0 ? -errno : 0;
}
