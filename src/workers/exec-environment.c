/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/exec-environment.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/un.h>

#include "basic/macro.h"

/* Facts of a client. An inherited value would look like one. */
static const char *const client_names[] = {
        "PROTO", "TCPREMOTEIP", "TCPREMOTEPORT", "TCPREMOTEHOST", "TCPREMOTEINFO", "TCPLOCALIP", "TCPLOCALPORT",
        "TCPLOCALHOST", "REMOTE_ADDR", "REMOTE_PORT", "REMOTE_HOST", "UNIXREMOTEPATH",
        "FDPASS_ROUTE", "FDPASS_LISTENER", "FDPASS_PROTOCOL", "FDPASS_AUTHORITY", "FDPASS_ALPN", "FDPASS_ID",
        "FDPASS_DATA", "FDPASS_TLS_VERSION", "FDPASS_TLS_CIPHER", "FDPASS_TLS_NAME", "FDPASS_TLS_CLIENT",
};

/* Variables by which systemd talks to fdpass-exec, which are not for programs. */
static const char *const own_names[] = {
        "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID",
        "WATCHDOG_USEC", "MAINPID", "FDSTORE",
};

static bool environment_is_one_of(const char *item, const char *const *names, size_t n) {
        size_t length = strcspn(item, "=");

        for (size_t i = 0; i < n; i++)
                if (strlen(names[i]) == length && memcmp(names[i], item, length) == 0)
                        return true;

        return false;
}

int program_environment_init(ProgramEnvironment *e, char *const *own) {
        size_t n = 0;

        while (own[n])
                n++;

        *e = (ProgramEnvironment){
                .items = calloc(n + ELEMENTSOF(client_names) + 1, sizeof(*e->items)),
                .text = malloc(ENVIRONMENT_TEXT_MAX),
        };
        if (!e->items || !e->text) {
                program_environment_done(e);
                return -ENOMEM;
        }

        for (size_t i = 0; i < n; i++)
                if (!environment_is_one_of(own[i], client_names, ELEMENTSOF(client_names)) &&
                    !environment_is_one_of(own[i], own_names, ELEMENTSOF(own_names)))
                        e->items[e->n_own++] = own[i];

        return 0;
}

void program_environment_done(ProgramEnvironment *e) {
        free(e->items);
        free(e->text);
        *e = (ProgramEnvironment){};
}

/* Adds a variable, unless there is no room for all of it. */
static void environment_add(ProgramEnvironment *e, const char *format, ...) _printf_(2, 3);
static void environment_add(ProgramEnvironment *e, const char *format, ...) {
        size_t room = ENVIRONMENT_TEXT_MAX - e->n_text;
        char *item = e->text + e->n_text;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(item, room, format, ap);
        va_end(ap);
        if (n < 0 || (size_t) n >= room)
                return;

        e->n_text += (size_t) n + 1;
        e->items[e->n++] = item;
}

static void environment_add_string(ProgramEnvironment *e, const char *name, const char *value) {
        if (value)
                environment_add(e, "%s=%s", name, value);
}

/*
 * Adds bytes of a client or another worker, unless they have a NUL, which ends a variable. If @is_word, they must not
 * have blanks and control characters either.
 */
static void environment_add_bytes(ProgramEnvironment *e, const char *name, const void *p, size_t n, bool is_word) {
        const char *text = p;

        for (size_t i = 0; i < n; i++)
                if (text[i] == 0 || (is_word && (text[i] <= ' ' || text[i] == 0x7f)))
                        return;

        if (n > 0)
                environment_add(e, "%s=%.*s", name, (int) n, text);
}

/* Formats an address; an IPv4-mapped one (RFC 4291, 2.5.5.2) as IPv4. Returns false for other families. */
static bool environment_to_text(const struct sockaddr *sa, socklen_t n, char ret[static INET6_ADDRSTRLEN],
                                unsigned *ret_port) {
        struct sockaddr_in6 in6;
        struct sockaddr_in in;

        if (sa && sa->sa_family == AF_INET && n >= sizeof(in)) {
                memcpy(&in, sa, sizeof(in));
                *ret_port = ntohs(in.sin_port);
                return inet_ntop(AF_INET, &in.sin_addr, ret, INET6_ADDRSTRLEN);
        }

        if (sa && sa->sa_family == AF_INET6 && n >= sizeof(in6)) {
                memcpy(&in6, sa, sizeof(in6));
                *ret_port = ntohs(in6.sin6_port);
                if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
                        return inet_ntop(AF_INET, in6.sin6_addr.s6_addr + 12, ret, INET6_ADDRSTRLEN);
                return inet_ntop(AF_INET6, &in6.sin6_addr, ret, INET6_ADDRSTRLEN);
        }

        return false;
}

static void environment_add_unix(ProgramEnvironment *e, const struct sockaddr *sa, socklen_t n) {
        struct sockaddr_un un = {};

        if (!sa || sa->sa_family != AF_UNIX)
                return;

        memcpy(&un, sa, MIN((size_t) n, sizeof(un) - 1));
        environment_add(e, "PROTO=UNIX");
        if (un.sun_path[0])
                environment_add(e, "UNIXREMOTEPATH=%s", un.sun_path);
}

static void environment_add_addresses(ProgramEnvironment *e, const struct sockaddr *peer, socklen_t n_peer,
                          const struct sockaddr *local, socklen_t n_local) {
        char text[INET6_ADDRSTRLEN];
        unsigned port;

        if (!environment_to_text(peer, n_peer, text, &port)) {
                environment_add_unix(e, peer, n_peer);
                return;
        }

        environment_add(e, "PROTO=TCP");
        environment_add(e, "TCPREMOTEIP=%s", text);
        environment_add(e, "TCPREMOTEPORT=%u", port);
        environment_add(e, "REMOTE_ADDR=%s", text);
        environment_add(e, "REMOTE_PORT=%u", port);

        if (environment_to_text(local, n_local, text, &port)) {
                environment_add(e, "TCPLOCALIP=%s", text);
                environment_add(e, "TCPLOCALPORT=%u", port);
        }
}

static void environment_add_info(ProgramEnvironment *e, const struct fdpass *info) {
        const void *p;
        size_t n;

        environment_add_string(e, "FDPASS_ROUTE", fdpass_route(info));
        environment_add_string(e, "FDPASS_LISTENER", fdpass_listener(info));
        environment_add_string(e, "FDPASS_PROTOCOL", fdpass_protocol(info));
        environment_add_string(e, "FDPASS_AUTHORITY", fdpass_authority(info));

        p = fdpass_alpn(info, &n);
        environment_add_bytes(e, "FDPASS_ALPN", p, n, true);
        p = fdpass_unique_id(info, &n);
        environment_add_bytes(e, "FDPASS_ID", p, n, true);
        p = fdpass_data(info, &n);
        environment_add_bytes(e, "FDPASS_DATA", p, n, false);

        environment_add_string(e, "FDPASS_TLS_VERSION", fdpass_tls_version(info));
        environment_add_string(e, "FDPASS_TLS_CIPHER", fdpass_tls_cipher(info));
        environment_add_string(e, "FDPASS_TLS_NAME", fdpass_tls_server_name(info));
        if (fdpass_tls_client(info) == FDPASS_TLS_CLIENT_VERIFIED)
                environment_add_string(e, "FDPASS_TLS_CLIENT", fdpass_tls_client_name(info));
}

void program_environment_set(ProgramEnvironment *e, int client_fd, const struct fdpass *info) {
        struct sockaddr_storage peer = {}, local = {};
        socklen_t n_peer = sizeof(peer), n_local = sizeof(local);

        e->n = e->n_own;
        e->n_text = 0;

        if (info) {
                const struct sockaddr *p = fdpass_peer(info, &n_peer), *l = fdpass_local(info, &n_local);

                environment_add_addresses(e, p, n_peer, l, n_local);
                environment_add_info(e, info);
        } else {
                if (getpeername(client_fd, (struct sockaddr *) &peer, &n_peer) < 0)
                        n_peer = 0;
                if (getsockname(client_fd, (struct sockaddr *) &local, &n_local) < 0)
                        n_local = 0;
                environment_add_addresses(e, (struct sockaddr *) &peer, n_peer, (struct sockaddr *) &local, n_local);
        }

        e->items[e->n] = NULL;
}
