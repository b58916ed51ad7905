/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/options.h"

#include <stdio.h>

#include "fdpassctl/help.h"
#include "fdpassctl/terminal.h"

const char *arg_root = "/";
const char *arg_control = "/run/fdpass/control";
JsonMode arg_json = JSON_OFF;
bool arg_no_pager = false;
bool arg_no_legend = false;
bool arg_quiet = false;
bool arg_full = false;

#define OPTIONS_OWN_MAX 16

enum {
        ARG_VERSION = 0x1000, /* a verb's own options begin at 0x100 */
        ARG_ROOT,
        ARG_CONTROL,
        ARG_JSON,
        ARG_NO_PAGER,
        ARG_NO_LEGEND,
};

static const struct option options_common[] = {
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, ARG_VERSION },
        { "root", required_argument, NULL, ARG_ROOT },
        { "control", required_argument, NULL, ARG_CONTROL },
        { "json", required_argument, NULL, ARG_JSON },
        { "no-pager", no_argument, NULL, ARG_NO_PAGER },
        { "no-legend", no_argument, NULL, ARG_NO_LEGEND },
        { "quiet", no_argument, NULL, 'q' },
        { "full", no_argument, NULL, 'l' },
};

static int options_set_json(const char *value) {
        static const struct {
                const char *name;
                JsonMode mode;
        } modes[] = { { "pretty", JSON_PRETTY }, { "short", JSON_SHORT }, { "off", JSON_OFF } };

        for (size_t i = 0; i < ELEMENTSOF(modes); i++)
                if (streq(modes[i].name, value)) {
                        arg_json = modes[i].mode;
                        return 1;
                }

        fprintf(stderr, "--json=%s: must be pretty, short or off.\n", value);
        return -EINVAL;
}

static int options_take_common(int option, const char *value) {
        switch (option) {

        case 'h':
                return help_general();
        case ARG_VERSION:
                printf("fdpass %s\n", FDPASS_VERSION);
                return 0;
        case ARG_ROOT:
                arg_root = value;
                return 1;
        case ARG_CONTROL:
                arg_control = value;
                return 1;
        case ARG_JSON:
                return options_set_json(value);
        case 'j':
                arg_json = terminal_has_colors() ? JSON_PRETTY : JSON_SHORT;
                return 1;
        case ARG_NO_PAGER:
                arg_no_pager = true;
                return 1;
        case ARG_NO_LEGEND:
                arg_no_legend = true;
                return 1;
        case 'q':
                arg_quiet = true;
                return 1;
        case 'l':
                arg_full = true;
                return 1;
        default:
                return -EINVAL; /* getopt_long() has printed the error */
        }
}

static int options_take(const VerbOptions *own, void *userdata, int option, const char *value) {
        int r = -ENOTSUP;

        if (option == 'h' && own->help)
                return own->help();
        if (own->take)
                r = own->take(userdata, option, value);

        return r == -ENOTSUP ? options_take_common(option, value) : r;
}

int parse_options(int argc, char *argv[], const VerbOptions *own, void *userdata) {
        static const VerbOptions none = {};
        struct option options[OPTIONS_OWN_MAX + ELEMENTSOF(options_common) + 1] = {};
        char letters[32];
        size_t n = 0;
        int c, r;

        if (!own)
                own = &none;
        for (const struct option *o = own->options; o && o->name && n < OPTIONS_OWN_MAX; o++)
                options[n++] = *o;
        memcpy(options + n, options_common, sizeof(options_common));
        (void) snprintf(letters, sizeof(letters), "%shjql", own->letters ?: "");

        optind = 0; /* makes GNU getopt_long() start afresh (getopt(3)) */
        while ((c = getopt_long(argc, argv, letters, options, NULL)) >= 0) {
                r = options_take(own, userdata, c, optarg);
                if (r <= 0)
                        return r < 0 ? -EINVAL : 0;
        }

        return optind;
}

int parse_before_verb(int argc, char *argv[]) {
        /* "+": the parser stops at the verb, because the options behind it may be the verb's own. */
        return parse_options(argc, argv, &(VerbOptions){ .letters = "+" }, NULL);
}

int parse_alone(int argc, char *argv[]) {
        int i = parse_options(argc, argv, NULL, NULL);

        if (i > 0 && i < argc) {
                fprintf(stderr, "%s takes no arguments, but got %s.\n", argv[0], argv[i]);
                return -EINVAL;
        }

        return i > 0 ? 1 : i;
}

size_t line_width(void) {
        return arg_full ? 0 : terminal_columns();
}
