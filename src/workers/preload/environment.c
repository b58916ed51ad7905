/* SPDX-License-Identifier: MIT-0 */

/* The environment. It is copied, because servers overwrite theirs to show another title in ps(1). */

#include "workers/preload/preload.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* The directory of workers' sockets. */
#define DIRECTORY "/run/fdpass/"

Environment environment;

/* Parses a number from 1 to 65535 that ends at a blank or at the end, and moves *@p behind it. */
static bool environment_parse_port(const char **p, in_port_t *ret) {
        unsigned port = 0;
        const char *s = *p;

        for (; *s >= '0' && *s <= '9' && port <= 65535; s++)
                port = 10 * port + (unsigned) (*s - '0');
        if (s == *p || port == 0 || port > 65535 || (*s != '\0' && *s != ' '))
                return false;

        *p = s;
        *ret = htons((uint16_t) port);
        return true;
}

static void environment_parse_ports(const char *text) {
        const char *p = text;

        for (;;) {
                while (*p == ' ')
                        p++;
                if (*p == '\0')
                        return;
                if (environment.n_ports == PORTS_MAX ||
                    !environment_parse_port(&p, &environment.ports[environment.n_ports]))
                        log_fatal("FDPASS_LISTEN=%s is not a list of at most %i ports, as in FDPASS_LISTEN=80.",
                                  text, PORTS_MAX);
                environment.n_ports++;
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
