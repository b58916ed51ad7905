/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/exec-environment.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/un.h>

#include "basic/macro.h"

/* What is about a client: no value of ours must look like one. */
static const char *const client_names[] = {
        "PROTO", "TCPREMOTEIP", "TCPREMOTEPORT", "TCPREMOTEHOST", "TCPREMOTEINFO", "TCPLOCALIP", "TCPLOCALPORT",
        "TCPLOCALHOST", "REMOTE_ADDR", "REMOTE_PORT", "REMOTE_HOST", "UNIXREMOTEPATH",
        "FDPASS_ROUTE", "FDPASS_LISTENER", "FDPASS_PROTOCOL", "FDPASS_AUTHORITY", "FDPASS_ALPN", "FDPASS_ID", "FDPASS_DATA",
};

/* What is between systemd and us. */
static const char *const own_names[] = {
        "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",
        "MAINPID", "FDSTORE",
};

static bool is_one_of(const char *item, const char *const *names, size_t n) {
        size_t length = strcspn(item, "=");

        for (size_t i = 0; i < n; i++)
                if (strlen(names[i]) == length && memcmp(names[i], item, length) == 0)
                        return true;

        return false;
}

int environment_init(Environment *e, char *const *own) {
        size_t n = 0;

        while (own[n])
                n++;

        *e = (Environment){
                .items = calloc(n + ELEMENTSOF(client_names) + 1, sizeof(*e->items)),
                .text = malloc(ENVIRONMENT_TEXT_MAX),
        };
        if (!e->items || !e->text) {
                environment_done(e);
                return -ENOMEM;
        }

        for (size_t i = 0; i < n; i++)
                if (!is_one_of(own[i], client_names, ELEMENTSOF(client_names)) &&
                    !is_one_of(own[i], own_names, ELEMENTSOF(own_names)))
                        e->items[e->n_own++] = own[i];

        return 0;
}

void environment_done(Environment *e) {
        free(e->items);
        free(e->text);
        *e = (Environment){};
}

/* Adds one, whole or not at all. */
static void add(Environment *e, const char *format, ...) _printf_(2, 3);
static void add(Environment *e, const char *format, ...) {
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

static void add_string(Environment *e, const char *name, const char *value) {
        if (value)
                add(e, "%s=%s", name, value);
}

/* Bytes that came over the wire: one with NUL can't be told, and a name of a protocol or a client is plain text. */
static void add_bytes(Environment *e, const char *name, const void *p, size_t n, bool plain) {
        const char *text = p;

        for (size_t i = 0; i < n; i++)
                if (text[i] == 0 || (plain && (text[i] <= ' ' || text[i] == 0x7f)))
                        return;

        if (n > 0)
                add(e, "%s=%.*s", name, (int) n, text);
}

/* As people and programs write it: an IPv4 address in IPv6 (RFC 4291 2.5.5.2) is the IPv4 address that it is. */
static bool to_text(const struct sockaddr *sa, socklen_t n, char ret[static INET6_ADDRSTRLEN], unsigned *ret_port) {
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

static void add_unix(Environment *e, const struct sockaddr *sa, socklen_t n) {
        struct sockaddr_un un = {};

        if (!sa || sa->sa_family != AF_UNIX)
                return;

        memcpy(&un, sa, MIN((size_t) n, sizeof(un) - 1));
        add(e, "PROTO=UNIX");
        if (un.sun_path[0])
                add(e, "UNIXREMOTEPATH=%s", un.sun_path);
}

static void add_addresses(Environment *e, const struct sockaddr *peer, socklen_t n_peer,
                          const struct sockaddr *local, socklen_t n_local) {
        char text[INET6_ADDRSTRLEN];
        unsigned port;

        if (!to_text(peer, n_peer, text, &port)) {
                add_unix(e, peer, n_peer);
                return;
        }

        add(e, "PROTO=TCP");
        add(e, "TCPREMOTEIP=%s", text);
        add(e, "TCPREMOTEPORT=%u", port);
        add(e, "REMOTE_ADDR=%s", text);
        add(e, "REMOTE_PORT=%u", port);

        if (to_text(local, n_local, text, &port)) {
                add(e, "TCPLOCALIP=%s", text);
                add(e, "TCPLOCALPORT=%u", port);
        }
}

static void add_told(Environment *e, const struct fdpass *told) {
        const void *p;
        size_t n;

        add_string(e, "FDPASS_ROUTE", fdpass_route(told));
        add_string(e, "FDPASS_LISTENER", fdpass_listener(told));
        add_string(e, "FDPASS_PROTOCOL", fdpass_protocol(told));
        add_string(e, "FDPASS_AUTHORITY", fdpass_authority(told));

        p = fdpass_alpn(told, &n);
        add_bytes(e, "FDPASS_ALPN", p, n, true);
        p = fdpass_unique_id(told, &n);
        add_bytes(e, "FDPASS_ID", p, n, true);
        p = fdpass_data(told, &n);
        add_bytes(e, "FDPASS_DATA", p, n, false);
}

void environment_set(Environment *e, int client_fd, const struct fdpass *told) {
        struct sockaddr_storage peer = {}, local = {};
        socklen_t n_peer = sizeof(peer), n_local = sizeof(local);

        e->n = e->n_own;
        e->n_text = 0;

        if (told) {
                const struct sockaddr *p = fdpass_peer(told, &n_peer), *l = fdpass_local(told, &n_local);

                add_addresses(e, p, n_peer, l, n_local);
                add_told(e, told);
        } else {
                if (getpeername(client_fd, (struct sockaddr *) &peer, &n_peer) < 0)
                        n_peer = 0;
                if (getsockname(client_fd, (struct sockaddr *) &local, &n_local) < 0)
                        n_local = 0;
                add_addresses(e, (struct sockaddr *) &peer, n_peer, (struct sockaddr *) &local, n_local);
        }

        e->items[e->n] = NULL;
}
