/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The service of systemd-socket-proxyd(8): a drop-in that starts fdpass-proxy instead. */

#include <stdio.h>

#include "basic/parse.h"
#include "config/unit-file.h"
#include "config/unit-name.h"
#include "fdpassctl/add-units.h"
#include "fdpassctl/import-sink.h"

#define PROXY_PATH FDPASS_LIBEXEC_DIR "/fdpass-proxy"
#define PROXYD "systemd-socket-proxyd"

/* The command line of systemd-socket-proxyd. Its strings are borrowed from the line. */
typedef struct ProxydCommand {
        const char *connections_max; /* NULL: the default */
        const char *exit_idle;       /* NULL: the default */
        const char *address;
} ProxydCommand;

/* Returns the ExecStart= line in effect, or NULL after a message. */
static const Assignment *proxyd_find_line(const ImportSink *sink, const UnitFile *file) {
        const Assignment *found = NULL;
        unsigned n = 0;

        for (size_t i = 0; i < file->n_assignments; i++) {
                const Assignment *a = &file->assignments[i];

                if (a->section != SECTION_SERVICE || !streq(a->key, "ExecStart"))
                        continue;
                n = *a->value ? n + 1 : 0;
                found = *a->value ? a : NULL;
        }

        if (n != 1)
                import_say(sink, found ? found->line : 0,
                           n == 0 ? "There is no ExecStart= in [Service], so this is no service of " PROXYD "."
                                  : "There are several ExecStart= lines; only one is converted.");
        return n == 1 ? found : NULL;
}

/*
 * Takes the value of an option: "--NAME=VALUE", or NAME and VALUE as two words. Returns false if it is another option.
 */
static bool proxyd_take_option(const char *word, const char *name, char **save, const char **ret) {
        const char *rest = startswith(word, name);

        if (!rest || (*rest && *rest != '='))
                return false;

        *ret = *rest ? rest + 1 : strtok_r(NULL, " \t", save);
        return *ret && **ret;
}

/* Parses the words behind the program. Returns false after a message. */
static bool proxyd_parse(const ImportSink *sink, unsigned line, char **save, ProxydCommand *ret) {
        for (char *word = strtok_r(NULL, " \t", save); word; word = strtok_r(NULL, " \t", save)) {
                if (proxyd_take_option(word, "--connections-max", save, &ret->connections_max) ||
                    proxyd_take_option(word, "-c", save, &ret->connections_max) ||
                    proxyd_take_option(word, "--exit-idle-time", save, &ret->exit_idle))
                        continue;

                if (word[0] == '-' || ret->address) {
                        import_say(sink, line, "%.100s is not known as an argument of " PROXYD ".", word);
                        return false;
                }
                ret->address = word;
        }

        if (!ret->address)
                import_say(sink, line, "There is no address.");
        return ret->address;
}

/* A number or a time that fdpass-proxy takes, too. */
static bool proxyd_check(const ImportSink *sink, unsigned line, const ProxydCommand *c) {
        unsigned number;
        usec_t time;

        if (c->connections_max && (parse_unsigned(c->connections_max, &number) < 0 || number == 0))
                import_say(sink, line, "--connections-max=%.100s is not a number.", c->connections_max);
        else if (c->exit_idle && parse_timespan(c->exit_idle, &time) < 0)
                import_say(sink, line, "--exit-idle-time=%.100s is not a time.", c->exit_idle);
        else
                return true;

        return false;
}

/* Without a port, systemd-socket-proxyd connects to port 80, and fdpass-proxy to the port of the client. */
static bool proxyd_wants_port(const char *address) {
        const char *end = address[0] == '[' ? strchr(address, ']') : address;

        return address[0] != '/' && address[0] != '@' && end && !strchr(end, ':');
}

static char *proxyd_make_text(const ProxydCommand *c) {
        char *text;

        return asprintf(&text,
                        "# fdpass-proxy(8) instead of " PROXYD "(8).\n\n[Service]\nExecStart=\nExecStart=" PROXY_PATH
                        "%s%s%s%s %s%s\n",
                        c->connections_max ? " --connections-max=" : "", c->connections_max ?: "",
                        c->exit_idle ? " --exit-idle-time=" : "", c->exit_idle ?: "", c->address,
                        proxyd_wants_port(c->address) ? ":80" : "") < 0
                       ? NULL
                       : text;
}

/* Makes the drop-in for the service that the file is named after. */
static int proxyd_make(const ImportSink *sink, const ProxydCommand *c) {
        const char *base = strrchr(sink->file, '/');
        AddFiles files = { .n_items = 1 };
        UnitName name;

        base = base ? base + 1 : sink->file;
        if (!unit_name_parse(base, &name) || !streq(name.type, "service")) {
                import_say(
                        sink, 0,
                        "The name of the file is not that of a service, so it is not known where the drop-in belongs.");
                return 0;
        }

        if (asprintf(&files.items[0].path, "%s.d/50-fdpass-proxy.conf", base) < 0)
                files.items[0].path = NULL;
        files.items[0].text = proxyd_make_text(c);
        if (!files.items[0].path || !files.items[0].text) {
                add_files_done(&files);
                return -ENOMEM;
        }

        return sink->take(sink->userdata, &files);
}

static int proxyd_convert(const ImportSink *sink, const Assignment *a) {
        _cleanup_free_ char *words = strdup(a->value);
        ProxydCommand c = {};
        char *save = NULL, *program;
        const char *base;

        if (!words)
                return -ENOMEM;

        program = strtok_r(words, " \t", &save);
        base = program ? strrchr(program, '/') : NULL;
        if (!base || !streq(base + 1, PROXYD)) {
                import_say(sink, a->line, "ExecStart= does not start " PROXYD ".");
                return 0;
        }

        if (strpbrk(a->value, "\"'\\$")) {
                import_say(sink, a->line,
                           "ExecStart= has quotes, backslashes or variables; write the drop-in by hand: only the "
                           "program changes.");
                return 0;
        }

        if (!proxyd_parse(sink, a->line, &save, &c) || !proxyd_check(sink, a->line, &c))
                return 0;

        import_say(sink, a->line,
                   "This replaces the program and routes nothing. For a route: fdpassctl add NAME --host=HOST "
                   "--proxy=%.200s",
                   c.address);
        return proxyd_make(sink, &c);
}

int import_socket_proxyd(const ImportSink *sink, char *text) {
        _cleanup_(unit_file_freep) UnitFile *file = NULL;
        const Assignment *a;
        size_t n = strlen(text);
        char *copy = malloc(n + 1);
        int r;

        if (!copy)
                return -ENOMEM;

        memcpy(copy, text, n + 1);
        r = unit_file_parse(sink->file, copy, n, &file);
        if (r < 0)
                return r;

        for (size_t i = 0; i < file->n_findings; i++)
                import_say(sink, file->findings[i].line, "%s", file->findings[i].message);
        if (file->is_broken)
                return 0;

        a = proxyd_find_line(sink, file);
        return a ? proxyd_convert(sink, a) : 0;
}
