/* SPDX-License-Identifier: MIT-0 */

/*
 * Which port of FDPASS_LISTEN= is which socket. A name is the socket's FileDescriptorName=, by default the name of its
 * unit, whose ".socket" may be left out. Without names the order counts. systemd keeps the order of the lines within
 * one unit, and no order of units. The sockets of one unit have the same name, so different names mean several units.
 */

#include "workers/preload/preload.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SUFFIX ".socket"

/* The sockets, and which of them have a port. */
typedef struct AssignState {
        const char *const *names;
        size_t n;
        bool is_taken[PORTS_MAX];
} AssignState;

/* A text that ends where its room does. */
typedef struct AssignText {
        size_t n;
        char text[768];
} AssignText;

__attribute__((format(printf, 2, 3))) static void assign_print(AssignText *t, const char *format, ...) {
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vsnprintf(t->text + t->n, sizeof(t->text) - t->n, format, arguments);
        va_end(arguments);
        t->n = n < 0 ? t->n : t->n + (size_t) n < sizeof(t->text) ? t->n + (size_t) n : sizeof(t->text) - 1;
}

/* Returns the length of a name without ".socket". */
static int assign_length(const char *name) {
        size_t n = strlen(name), m = sizeof(SUFFIX) - 1;

        return (int) (n > m && strcmp(name + n - m, SUFFIX) == 0 ? n - m : n);
}

/* Compares names without ".socket", as strcmp(). */
static int assign_compare(const char *a, const char *b) {
        int n = assign_length(a), m = assign_length(b), r;

        r = memcmp(a, b, (size_t) (n < m ? n : m));
        return r != 0 ? r : n - m;
}

static bool assign_is_mixed(const AssignState *a) {
        for (size_t i = 1; i < a->n; i++)
                if (strcmp(a->names[i], a->names[0]) != 0)
                        return true;

        return false;
}

/* Returns the next socket without a port whose name is @name and @suffix, or -ENOENT. @name is NULL: any name. */
static int assign_find(const AssignState *a, const char *name, const char *suffix) {
        size_t n = name ? strlen(name) : 0;

        for (size_t i = 0; i < a->n; i++)
                if (!a->is_taken[i] &&
                    (!name || (strncmp(a->names[i], name, n) == 0 && strcmp(a->names[i] + n, suffix) == 0)))
                        return (int) i;

        return -ENOENT;
}

/* Returns the socket without a port whose name is the first in the order of strcmp(), or -ENOENT. */
static int assign_first(const AssignState *a) {
        int found = assign_find(a, NULL, NULL);

        for (size_t i = 0; i < a->n; i++)
                if (!a->is_taken[i] && assign_compare(a->names[i], a->names[found]) < 0)
                        found = (int) i;

        return found;
}

/* Prints FDPASS_LISTEN= with all ports and all sockets. It is a guess which socket without a port is for which port. */
static void assign_suggest(AssignState a, AssignText *t) {
        bool is_mixed = assign_is_mixed(&a);

        for (size_t i = 0; i < environment.n_ports || assign_first(&a) >= 0; i++) {
                const ListenPort *p = i < environment.n_ports ? &environment.ports[i] : NULL;
                int socket = p && p->socket >= 0 ? p->socket : assign_first(&a);

                assign_print(t, i > 0 ? " " : "");
                if (p)
                        assign_print(t, "%u", (unsigned) ntohs(p->port));
                else
                        assign_print(t, "PORT");
                if (socket < 0)
                        continue;

                if (is_mixed)
                        assign_print(t, ":%.*s", assign_length(a.names[socket]), a.names[socket]);
                a.is_taken[socket] = true;
        }
}

/* Ends the process if a port without a name could be one of several sockets. */
static void assign_check_names(const AssignState *a) {
        const char *text = getenv("FDPASS_LISTEN");
        AssignText line = {};

        if (!assign_is_mixed(a))
                return;

        for (size_t i = 0; i < environment.n_ports; i++) {
                if (environment.ports[i].name)
                        continue;

                assign_suggest(*a, &line);
                log_fatal("FDPASS_LISTEN=%s doesn't say which socket port %u is, and systemd passes the sockets of "
                          "several units in any order. Each port needs the name of its socket, for example: "
                          "Environment=\"FDPASS_LISTEN=%s\"",
                          text ? text : "", (unsigned) ntohs(environment.ports[i].port), line.text);
        }
}

/* Ends the process because the name of a port is that of no socket. */
static void assign_fail(const AssignState *a, const ListenPort *p) {
        AssignText names = {};

        for (size_t i = 0; i < a->n; i++)
                assign_print(&names, " \"%.*s\"", assign_length(a->names[i]), a->names[i]);

        log_fatal("For port %u of FDPASS_LISTEN= systemd has passed no socket with the name \"%s\". Passed:%s. Is its "
                  ".socket unit in Sockets= of the service, and started?",
                  (unsigned) ntohs(p->port), p->name, a->n > 0 ? names.text : " none");
}

static void assign_warn_unused(const AssignState *a) {
        int unused = assign_first(a);
        AssignText line = {};

        if (unused < 0)
                return;

        assign_suggest(*a, &line);
        log_once(TOPIC_UNUSED, "The socket \"%s\" has no port in FDPASS_LISTEN=. Its clients wait unless the program "
                               "accepts on its descriptor. To give it a port: Environment=\"FDPASS_LISTEN=%s\", with "
                               "the quotes.",
                 a->names[unused], line.text);
}

static void assign_take(AssignState *a, ListenPort *p) {
        p->socket = assign_find(a, p->name, "");
        if (p->socket < 0 && p->name)
                p->socket = assign_find(a, p->name, SUFFIX);
        if (p->socket >= 0)
                a->is_taken[p->socket] = true;
}

void assign_sockets(const char *const *names, size_t n, bool is_ours) {
        AssignState a = { .names = names, .n = n };

        if (environment.n_ports == 0)
                return;

        for (size_t i = 0; i < environment.n_ports; i++) {
                ListenPort *p = &environment.ports[i];

                if (!p->name)
                        continue;
                assign_take(&a, p);
                if (p->socket < 0 && is_ours)
                        assign_fail(&a, p);
        }

        assign_check_names(&a);
        for (size_t i = 0; i < environment.n_ports; i++)
                if (!environment.ports[i].name)
                        assign_take(&a, &environment.ports[i]);

        if (is_ours)
                assign_warn_unused(&a);
}
