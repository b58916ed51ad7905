/* SPDX-License-Identifier: MIT-0 */

/* The environment. It is copied, because servers overwrite theirs to show another title in ps(1). */

#include "workers/preload/preload.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* The directory of workers' sockets. */
#define DIRECTORY "/run/fdpass/"

Environment environment;

/* FDPASS_LISTEN=, with NUL behind each port. */
static char listen_text[4096];

/* Parses PORT or PORT:NAME. */
static bool environment_parse_port(const char *word, ListenPort *ret) {
        const char *end = word;
        unsigned port = 0;

        for (; *end >= '0' && *end <= '9' && port <= 65535; end++)
                port = 10 * port + (unsigned) (*end - '0');
        if (end == word || port == 0 || port > 65535)
                return false;

        *ret = (ListenPort){ .port = htons((uint16_t) port), .socket = -ENOENT };
        if (*end == '\0')
                return true;

        ret->name = end + 1;
        return *end == ':' && *ret->name != '\0' && !strchr(ret->name, ':');
}

static void environment_add_port(const char *text, const ListenPort *p) {
        for (size_t i = 0; i < environment.n_ports; i++)
                if (environment.ports[i].port == p->port)
                        log_fatal("FDPASS_LISTEN=%s has port %u twice, but a port is one socket. For more routes to "
                                  "that socket, put Worker= with its path into further units.",
                                  text, (unsigned) ntohs(p->port));

        environment.ports[environment.n_ports++] = *p;
}

static void environment_parse_ports(const char *text) {
        char *rest;

        if (strlen(text) >= sizeof(listen_text))
                log_fatal("FDPASS_LISTEN= is too long.");
        memcpy(listen_text, text, strlen(text) + 1);

        for (char *word = strtok_r(listen_text, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
                ListenPort p;

                if (environment.n_ports == PORTS_MAX || !environment_parse_port(word, &p))
                        log_fatal("FDPASS_LISTEN=%s is not a list of at most %i ports, each with the name of its "
                                  "socket if there are several, as in \"FDPASS_LISTEN=80\" or "
                                  "\"FDPASS_LISTEN=80:nginx 443:nginx-tls\".",
                                  text, PORTS_MAX);
                environment_add_port(text, &p);
        }
}

/* LISTEN_PID= is ignored: if a script starts the program, it is the script's, and the sockets are inherited. */
static int environment_parse_count(const char *text) {
        char *end;
        long n = text ? strtol(text, &end, 10) : 0;

        return n > 0 && *end == '\0' && n <= 1024 ? (int) n : 0;
}

static ConfineMode environment_parse_confine(const char *text) {
        static const char *const names[] = CONFINE_MODE_NAMES;
        int mode = choice_find(names, _CONFINE_MODE_MAX, text);

        if (mode < 0)
                log_fatal("FDPASS_CONFINE=%s is not auto, yes or no.", text);

        return (ConfineMode) mode;
}

void environment_init(void) {
        const char *ports = getenv("FDPASS_LISTEN"), *sockets = getenv("FDPASS_SOCKET");
        const char *confine = getenv("FDPASS_CONFINE");

        if (ports)
                environment_parse_ports(ports);

        if (sockets) {
                if (strlen(sockets) >= sizeof(environment.sockets))
                        log_fatal("FDPASS_SOCKET= is too long.");
                memcpy(environment.sockets, sockets, strlen(sockets) + 1);
        }

        if (confine)
                environment.confine = environment_parse_confine(confine);

        environment.n_listen_fds = environment_parse_count(getenv("LISTEN_FDS"));
}

void environment_read_name(size_t i, char ret[static FD_NAME_MAX + 1]) {
        const char *p = getenv("LISTEN_FDNAMES");
        size_t n;

        for (; p && i > 0; i--) {
                p = strchr(p, ':');
                p = p ? p + 1 : NULL;
        }

        n = p ? strcspn(p, ":") : 0;
        n = n <= FD_NAME_MAX ? n : FD_NAME_MAX;
        memcpy(ret, p ? p : "", n);
        ret[n] = '\0';
}

bool environment_has_path(const char *path) {
        size_t n = strlen(path);

        if (strncmp(path, DIRECTORY, sizeof(DIRECTORY) - 1) == 0)
                return true;

        for (const char *p = environment.sockets; *p; p += strspn(p, ":")) {
                size_t m = strcspn(p, ":");

                if (n == m && memcmp(p, path, n) == 0)
                        return true;
                p += m;
        }

        return false;
}
