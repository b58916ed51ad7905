/* SPDX-License-Identifier: MIT-0 */

/* The environment. It is copied: servers overwrite theirs, to show something else in ps(1). */

#include "workers/preload/preload.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* Where fdpass has its workers' sockets. */
#define DIRECTORY "/run/fdpass/"

Settings settings;

/* A number from 1 to 65535 and nothing else, up to the next blank. */
static bool parse_port(const char **p, in_port_t *ret) {
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

static void parse_ports(const char *text) {
        const char *p = text;

        for (;;) {
                while (*p == ' ')
                        p++;
                if (*p == '\0')
                        return;
                if (settings.n_ports == PORTS_MAX || !parse_port(&p, &settings.ports[settings.n_ports]))
                        give_up("FDPASS_LISTEN=%s is not a list of at most %i ports, as in FDPASS_LISTEN=80.",
                                text, PORTS_MAX);
                settings.n_ports++;
        }
}

/* LISTEN_PID= is not looked at: the program may have been started by a script, and what it inherits counts. */
static int parse_count(const char *text) {
        char *end;
        long n = text ? strtol(text, &end, 10) : 0;

        return n > 0 && *end == '\0' && n <= 1024 ? (int) n : 0;
}

static Confine parse_confine(const char *text) {
        if (strcmp(text, "auto") == 0)
                return CONFINE_AUTO;
        if (strcmp(text, "no") == 0)
                return CONFINE_NO;
        if (strcmp(text, "yes") != 0)
                give_up("FDPASS_CONFINE=%s is not auto, yes or no.", text);

        return CONFINE_YES;
}

void settings_init(void) {
        const char *ports = getenv("FDPASS_LISTEN"), *sockets = getenv("FDPASS_SOCKET"), *confine = getenv("FDPASS_CONFINE");

        if (ports)
                parse_ports(ports);

        if (sockets) {
                if (strlen(sockets) >= sizeof(settings.sockets))
                        give_up("FDPASS_SOCKET= is too long.");
                memcpy(settings.sockets, sockets, strlen(sockets) + 1);
        }

        if (confine)
                settings.confine = parse_confine(confine);

        settings.n_listen_fds = parse_count(getenv("LISTEN_FDS"));
}

bool settings_has_path(const char *path) {
        size_t n = strlen(path);

        if (strncmp(path, DIRECTORY, sizeof(DIRECTORY) - 1) == 0)
                return true;

        for (const char *p = settings.sockets; *p; p += strspn(p, ":")) {
                size_t m = strcspn(p, ":");

                if (n == m && memcmp(p, path, n) == 0)
                        return true;
                p += m;
        }

        return false;
}
