/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* inetd.conf: service, type of socket, protocol, wait, user, program, and the program's arguments with its own name. */

#include <netdb.h>
#include <stdio.h>

#include "basic/parse.h"
#include "fdpassctl/add-units.h"
#include "fdpassctl/import-sink.h"

#define WORDS_MAX 64
#define TCPD "/tcpd"

typedef struct InetdLine {
        const ImportSink *sink;
        unsigned number;
        char *words[WORDS_MAX + 1];
        size_t n_words;
} InetdLine;

/* Names of the first words. */
enum { INETD_SERVICE, INETD_TYPE, INETD_PROTOCOL, INETD_WAIT, INETD_USER, INETD_PROGRAM, INETD_ARGUMENTS };

/* Returns false after a message. */
static bool inetd_fail(const InetdLine *l, const char *why) {
        import_say(l->sink, l->number, "%s.", why);
        return false;
}

static bool inetd_split(InetdLine *l, char *text) {
        char *save = NULL;

        l->n_words = 0;
        for (char *word = strtok_r(text, " \t\r", &save); word; word = strtok_r(NULL, " \t\r", &save)) {
                if (l->n_words == WORDS_MAX)
                        return inetd_fail(l, "The line has more than 64 words");
                l->words[l->n_words++] = word;
        }

        l->words[l->n_words] = NULL;
        return true;
}

/* Reports the lines for which there is no connection, or no program, that could be handed over. */
static bool inetd_check(const InetdLine *l) {
        const char *const *w = (const char *const *) l->words;

        if (l->n_words < 6)
                return inetd_fail(l, "A line has at least six words: service, type, protocol, wait, user and program");
        if (startswith(w[INETD_SERVICE], "rpc") && strchr(w[INETD_SERVICE], '/'))
                return inetd_fail(l, "RPC services register their ports themselves, so no unit is made");
        if (!streq(w[INETD_TYPE], "stream"))
                return inetd_fail(l, "Only stream sockets have connections that can be handed over");
        if (!streq(w[INETD_PROTOCOL], "tcp") && !streq(w[INETD_PROTOCOL], "tcp4") &&
            !streq(w[INETD_PROTOCOL], "tcp6") && !streq(w[INETD_PROTOCOL], "tcp46"))
                return inetd_fail(l, "Only TCP is routed by port");
        if (startswith(w[INETD_WAIT], "wait"))
                return inetd_fail(
                        l, "With \"wait\" the program takes the port itself; give it a socket unit of its own with "
                           "that port, without fdpass");
        if (!startswith(w[INETD_WAIT], "nowait") ||
            (w[INETD_WAIT][6] && w[INETD_WAIT][6] != '.' && w[INETD_WAIT][6] != '/'))
                return inetd_fail(l, "The fourth word is not \"wait\" or \"nowait\"");
        if (streq(w[INETD_PROGRAM], "internal"))
                return inetd_fail(l, "inetd serves this itself, and there is no program for it");
        if (w[INETD_PROGRAM][0] != '/')
                return inetd_fail(l, "The program is not an absolute path");

        return true;
}

/* Sets *ret to the port of a number or a name of services(5). */
static bool inetd_find_port(const InetdLine *l, unsigned *ret) {
        const char *service = l->words[INETD_SERVICE];
        const struct servent *found;

        if (strchr(service, ':'))
                return inetd_fail(
                        l,
                        "The line is for one address; make a public socket for it (fdpass.unit(5)), and add the worker "
                        "by fdpassctl add --listener=NAME --inetd");
        if (parse_unsigned(service, ret) >= 0)
                return (*ret > 0 && *ret <= UINT16_MAX) || inetd_fail(l, "The port is not a number from 1 to 65535");

        found = getservbyname(service, "tcp");
        if (!found)
                return inetd_fail(l, "The service is not in /etc/services");

        *ret = ntohs((uint16_t) found->s_port);
        return true;
}

/* "user", "user.group", "user:group" or "user/class". */
static void inetd_set_user(const InetdLine *l, AddPlan *plan) {
        char *user = l->words[INETD_USER];
        size_t n = strcspn(user, ".:/");

        if (user[n]) {
                import_say(l->sink, l->number, "The group or class behind the user's name is left out: %s.",
                           user + n + 1);
                user[n] = '\0';
        }

        if (streq(user, "root"))
                import_say(l->sink, l->number,
                           "inetd runs this program as root. The unit does not: if it needs root, write User=root "
                           "instead of DynamicUser=yes, and what else it needs, into the service.");
        else if (user[strspn(user, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] || !*user ||
                 *user == '-')
                import_say(l->sink, l->number, "The user is not a plain name, so the unit has DynamicUser=yes.");
        else
                plan->user = user;
}

/* tcpd is a program that looks at /etc/hosts.allow and starts the one that the next word names. */
static bool inetd_set_program(const InetdLine *l, AddPlan *plan) {
        char *const *w = l->words;
        size_t n = strlen(w[INETD_PROGRAM]);
        bool is_tcpd = n >= strlen(TCPD) && streq(w[INETD_PROGRAM] + n - strlen(TCPD), TCPD);
        const char *own = l->n_words > INETD_ARGUMENTS ? w[INETD_ARGUMENTS] : w[INETD_PROGRAM];
        const char *base = strrchr(own, '/');

        if (is_tcpd && l->n_words == INETD_ARGUMENTS)
                return inetd_fail(l, "tcpd has no program to start");
        if (is_tcpd)
                import_say(l->sink, l->number,
                           "tcpd is left out, and with it /etc/hosts.allow and /etc/hosts.deny; add Source= for "
                           "the addresses that may come.");
        else if (!streq(base ? base + 1 : own, strrchr(w[INETD_PROGRAM], '/') + 1))
                import_say(l->sink, l->number, "The program sees its own name instead of %s.", own);

        if (asprintf(&plan->program_path, "%s%s", is_tcpd && own[0] != '/' ? "/usr/sbin/" : "",
                     is_tcpd ? own : w[INETD_PROGRAM]) < 0) {
                plan->program_path = NULL;
                return inetd_fail(l, "Out of memory");
        }

        return true;
}

static int inetd_convert(InetdLine *l) {
        _cleanup_(add_plan_done) AddPlan plan = { .inetd = true };
        char name[ADD_NAME_MAX + 1], port_text[16];
        unsigned port;
        int r;

        if (!inetd_check(l) || !inetd_find_port(l, &port) || !inetd_set_program(l, &plan))
                return 0;

        inetd_set_user(l, &plan);
        for (size_t i = INETD_PROGRAM; i < l->n_words; i++)
                if (strpbrk(l->words[i], "\"'\\")) {
                        import_say(l->sink, l->number,
                                   "Quotes and backslashes stay in the words, as most inetds read them. Check "
                                   "ExecStart=.");
                        break;
                }
        if (l->words[INETD_WAIT][6])
                import_say(l->sink, l->number,
                           "The limit of starts in a minute is left out. fdpass-exec(8) has --max-processes=.");

        import_name("inetd", l->words[INETD_SERVICE], name);
        (void) snprintf(port_text, sizeof(port_text), "%u", port);
        plan.name = name;
        /* The first argument is the program's own name. Without arguments, the program is the only word. */
        plan.program = l->words + MIN(l->n_words - 1, (size_t) INETD_ARGUMENTS);
        import_say(l->sink, l->number, "The port has to be open: systemctl enable fdpass@%u.socket", port);
        r = import_add_key(&plan, "Listener", port_text);
        return r < 0 ? r : import_make(l->sink, &plan);
}

int import_inetd(const ImportSink *sink, char *text) {
        InetdLine l = { .sink = sink };
        int r = 0;

        while (r >= 0 && text) {
                char *line = strsep(&text, "\n");

                l.number++;
                if (*line == '#' || line[strspn(line, " \t\r")] == '\0')
                        continue;
                if (*line == ' ' || *line == '\t')
                        (void) inetd_fail(
                                &l,
                                "A line that begins with white space continues another one for some inetds; join them");
                else if (inetd_split(&l, line))
                        r = inetd_convert(&l);
        }

        return r;
}
