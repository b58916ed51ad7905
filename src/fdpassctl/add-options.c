/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/add-options.h"

#include <ctype.h>
#include <stdio.h>

#include "basic/parse.h"
#include "config/config.h"
#include "fdpassctl/add-name.h"
#include "fdpassctl/add-proxy.h"
#include "fdpassctl/add-units.h"
#include "fdpassctl/options.h"

#define KEYS_MAX 40
#define KEY_SIZE 32 /* of the longest name of an option, NUL included */

/* The keys of [X-FDPass] and the names of their options. */
typedef struct AddKeys {
        struct {
                const char *key;
                char option[KEY_SIZE];
        } items[KEYS_MAX];
        size_t n_items;
} AddKeys;

static AddKeys add_keys;

static const char add_help_begin[] =
        "fdpassctl add NAME [OPTIONS...] -- PROGRAM ARGUMENT...\n"
        "fdpassctl add NAME [OPTIONS...] --inetd -- PROGRAM ARGUMENT...\n"
        "fdpassctl add NAME [OPTIONS...] --proxy=ADDRESS\n"
        "fdpassctl add NAME [OPTIONS...] --server=SERVER [-- PROGRAM ARGUMENT...]\n"
        "fdpassctl add NAME [OPTIONS...] --worker=PATH\n"
        "fdpassctl add NAME [OPTIONS...] --flusher=redirect --redirect-to=ADDRESS\n\n"
        "Write the units of a new worker, check them, and start them.\n\n"
        "What serves:\n"
        "  PROGRAM                 A program that takes handed-over clients itself\n"
        "     --stream             It reads one byte with each client (ListenStream=)\n"
        "     --hand-back          It hands clients back to the broker\n"
        "     --inetd              Run the program for each client, with the client as its input and output\n"
        "     --proxy=ADDRESS      Connect clients with a server: HOST:PORT, [IPV6]:PORT, /PATH or vsock:CID:PORT\n"
        "     --http               Look at each HTTP request, because other workers have paths of the same host\n"
        "     --proxy-protocol=V   Tell the server the client's address: v1 or v2\n"
        "     --server=SERVER      nginx, apache2, gunicorn, uvicorn, node, java, sshd or git-daemon, unmodified\n"
        "     --port=PORT          The port on which the server listens in its own configuration\n"
        "     --worker=PATH        The socket of a worker that listens already\n"
        "     --flusher=redirect   The broker itself, which redirects clients\n\n"
        "What is written:\n"
        "     --print              Print the units, and change nothing\n"
        "     --no-start           Write the units, and neither enable nor start them\n"
        "     --root=DIR           Write and enable the units below DIR, and start nothing\n"
        "  -q --quiet              Do not show the units\n"
        "  -h --help               Show this help\n\n"
        "Which clients it takes, and how it gets them: the keys of fdpass.unit(5). Repeat an option for a list.\n";

/* HostMismatch becomes host-mismatch, and TLS becomes tls. */
static void add_name_option(const char *key, char ret[static KEY_SIZE]) {
        size_t n = 0;

        for (size_t i = 0; key[i] && n + 2 < KEY_SIZE; i++) {
                if (i > 0 && isupper((unsigned char) key[i]) && islower((unsigned char) key[i - 1]))
                        ret[n++] = '-';
                ret[n++] = (char) tolower((unsigned char) key[i]);
        }
        ret[n] = '\0';
}

static int add_take_key_name(void *userdata, const char *key) {
        AddKeys *keys = userdata;

        if (keys->n_items >= KEYS_MAX)
                return -E2BIG;

        keys->items[keys->n_items].key = key;
        add_name_option(key, keys->items[keys->n_items].option);
        keys->n_items++;
        return 0;
}

/* Makes the help, with the options of the keys. The caller frees it. NULL without memory. */
static char *add_make_help(void) {
        char *text = NULL;
        size_t n;
        FILE *f = open_memstream(&text, &n);

        if (!f)
                return NULL;

        fputs(add_help_begin, f);
        for (size_t i = 0; i < add_keys.n_items; i++)
                if (!streq(add_keys.items[i].key, "Worker"))
                        fprintf(f, "     --%s=\n", add_keys.items[i].option);
        if (fclose(f) == 0)
                return text;

        free(text);
        return NULL;
}

/* A value has to be one line of a unit, and must not reset a list. */
static int add_check_value(const char *option, const char *value) {
        size_t n = strlen(value);
        const char *why = NULL;

        if (strspn(value, " \t") == n)
                why = "a value is needed";
        else if (strpbrk(value, "\n\r"))
                why = "a value has one line";
        else if (value[n - 1] == '\\')
                why = "a value can't end in a backslash, which continues a line";
        if (!why)
                return 1;

        fprintf(stderr, "--%s=%s: %s.\n", option, value, why);
        return -EINVAL;
}

static int add_take_key(void *userdata, const char *option, const char *value) {
        _cleanup_free_ char *line = NULL;
        AddPlan *plan = userdata;

        if (add_check_value(option, value) < 0)
                return -EINVAL;

        for (size_t i = 0; i < add_keys.n_items; i++)
                if (streq(add_keys.items[i].option, option)) {
                        line = add_units_line(add_keys.items[i].key, value);
                        if (streq(option, "worker"))
                                plan->worker = value;
                }

        if (line && strlist_add(&plan->keys, line) >= 0)
                return 1;

        fprintf(stderr, "Out of memory.\n");
        return -EINVAL;
}

static int add_take_proxy(void *userdata, const char *value) {
        AddPlan *plan = userdata;

        if (add_proxy_check(value) < 0)
                return -EINVAL;
        if (strlist_add(&plan->proxy, value) >= 0)
                return 1;

        fprintf(stderr, "Out of memory.\n");
        return -EINVAL;
}

static int add_take_proxy_protocol(void *userdata, const char *value) {
        AddPlan *plan = userdata;

        plan->proxy_protocol = value;
        if (streq(value, "v1") || streq(value, "v2"))
                return 1;

        fprintf(stderr, "--proxy-protocol=%s: must be v1 or v2.\n", value);
        return -EINVAL;
}

static int add_take_port(void *userdata, const char *value) {
        AddPlan *plan = userdata;
        unsigned port;

        plan->port = value;
        if (parse_unsigned(value, &port) >= 0 && port > 0 && port <= UINT16_MAX)
                return 1;

        fprintf(stderr, "--port=%s: must be a number from 1 to 65535.\n", value);
        return -EINVAL;
}

/* Takes NAME, which is the only argument in front of "--". */
static int add_take_name(int argc, char *argv[], int i, AddPlan *plan) {
        if (i == argc) {
                fprintf(stderr, "add needs a name for the new units. See fdpassctl add --help.\n");
                return -EINVAL;
        }

        if (i + 1 < argc) {
                fprintf(stderr, "%s: what is this? Write -- before the program: fdpassctl add %s ... -- %s ...\n",
                        argv[i + 1], argv[i], argv[i + 1]);
                return -EINVAL;
        }

        plan->name = argv[i];
        return add_name_check(plan->name) ? 1 : -EINVAL;
}

static int add_parse_keys(int argc, char *argv[], AddPlan *plan) {
        VerbOption options[KEYS_MAX + 16] = {
                { "inetd", .flag = &plan->inetd },
                { "stream", .flag = &plan->stream },
                { "hand-back", .flag = &plan->hand_back },
                { "http", .flag = &plan->http },
                { "print", .flag = &plan->print },
                { "no-start", .flag = &plan->no_start },
                { "server", .text = &plan->server },
                { "proxy", .take = add_take_proxy },
                { "proxy-protocol", .take = add_take_proxy_protocol },
                { "port", .take = add_take_port },
        };
        _cleanup_free_ char *help = NULL;
        size_t n = 10;
        int i;

        for (size_t k = 0; k < add_keys.n_items; k++)
                options[n++] = (VerbOption){ add_keys.items[k].option, .take_named = add_take_key };

        help = add_make_help();
        i = help ? parse_options(argc, argv, help, options, plan) : -ENOMEM;
        return i > 0 ? add_take_name(argc, argv, i, plan) : i;
}

int add_parse_options(int argc, char *argv[], AddPlan *ret) {
        int end = 1, r;

        /* getopt_long(3) puts arguments into another order, so the program is set aside. */
        while (end < argc && !streq(argv[end], "--"))
                end++;
        if (end + 1 < argc)
                ret->program = argv + end + 1;
        argv[end] = NULL;

        add_keys.n_items = 0;
        r = config_for_each_route_key(add_take_key_name, &add_keys);
        if (r < 0) {
                fprintf(stderr, "There are too many keys.\n");
                return r;
        }

        r = add_parse_keys(end, argv, ret);
        if (r > 0 && ret->program && !**ret->program) {
                fprintf(stderr, "The program behind -- has no name.\n");
                return -EINVAL;
        }
        ret->has_target = ret->worker || strlist_has(&ret->keys, "Flusher=redirect");
        return r;
}
