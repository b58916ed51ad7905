/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/options.h"

#include <getopt.h>
#include <stdio.h>

#include "basic/parse.h"
#include "fdpassctl/help.h"
#include "fdpassctl/terminal.h"

const char *arg_root = "/";
const char *arg_control = "/run/fdpass/control";
JsonMode arg_json = JSON_OFF;
bool arg_no_pager = false;
bool arg_no_legend = false;
bool arg_quiet = false;
bool arg_full = false;

#define OPTIONS_MAX 64 /* a verb has 48 of its own at most: add has one for each key of a worker's unit */

/* The number that getopt_long(3) returns for the long form of option @i. Letters are smaller. */
#define OPTIONS_NUMBER(i) (0x100 + (int) (i))

static int options_set_json(void *userdata, const char *value) {
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

static int options_choose_json(void) {
        arg_json = terminal_has_colors() ? JSON_PRETTY : JSON_SHORT;
        return 1;
}

static int options_print_version(void) {
        printf("fdpass %s\n", FDPASS_VERSION);
        return 0;
}

static const VerbOption options_common[] = {
        { "help", .letter = 'h' }, /* options_apply() prints the help of the verb */
        { "version", .act = options_print_version },
        { "root", .text = &arg_root },
        { "control", .text = &arg_control },
        { "json", .take = options_set_json },
        { "no-pager", .flag = &arg_no_pager },
        { "no-legend", .flag = &arg_no_legend },
        { "quiet", 'q', .flag = &arg_quiet },
        { "full", 'l', .flag = &arg_full },
        { .letter = 'j', .act = options_choose_json },
};

static int options_set_number(const VerbOption *o, const char *value) {
        if (parse_unsigned(value, o->number) >= 0)
                return 1;

        fprintf(stderr, "--%s=%s: must be a number.\n", o->name, value);
        return -EINVAL;
}

static int options_apply(const VerbOption *o, const char *help, void *userdata, const char *value) {
        if (o->act)
                return o->act();
        if (o->take)
                return o->take(userdata, value);
        if (o->take_named)
                return o->take_named(userdata, o->name, value);
        if (o->number)
                return options_set_number(o, value);

        if (o->flag)
                *o->flag = true;
        else if (o->text)
                *o->text = value;
        else {
                fputs(help, stdout);
                return 0;
        }

        return 1;
}

/* Returns the option of which getopt_long(3) has returned the letter or the number; NULL: it has printed an error. */
static const VerbOption *options_find(const VerbOption *all, size_t n, int code) {
        for (size_t i = 0; i < n; i++)
                if (code == OPTIONS_NUMBER(i) || code == all[i].letter)
                        return &all[i];

        return NULL;
}

/* Parses as parse_options(). @begin comes before the letters of the options, for getopt_long(3). */
static int options_parse_all(int argc, char *argv[], const char *begin, const char *help, const VerbOption *own,
                             void *userdata) {
        VerbOption all[OPTIONS_MAX];
        struct option longs[OPTIONS_MAX + 1] = {}, *next = longs;
        char letters[2 * OPTIONS_MAX + 2], *end = stpcpy(letters, begin);
        size_t n = 0;
        int code, r = 1;

        for (; own && (own->name || own->letter); own++)
                all[n++] = *own;
        for (size_t i = 0; i < ELEMENTSOF(options_common); i++)
                all[n++] = options_common[i];

        for (size_t i = 0; i < n; i++) {
                bool has_value = all[i].text || all[i].number || all[i].take || all[i].take_named;

                if (all[i].name)
                        *next++ = (struct option){ all[i].name, has_value, NULL, OPTIONS_NUMBER(i) };
                if (all[i].letter)
                        end = stpcpy(end, (char[]){ all[i].letter, has_value ? ':' : '\0', '\0' });
        }

        optind = 0; /* makes GNU getopt_long() start afresh (getopt(3)) */
        while (r > 0 && (code = getopt_long(argc, argv, letters, longs, NULL)) >= 0) {
                const VerbOption *o = options_find(all, n, code);

                r = o ? options_apply(o, help, userdata, optarg) : -EINVAL;
        }

        return r > 0 ? optind : r;
}

int parse_options(int argc, char *argv[], const char *help, const VerbOption *own, void *userdata) {
        return options_parse_all(argc, argv, "", help, own, userdata);
}

int parse_common(int argc, char *argv[]) {
        return options_parse_all(argc, argv, "", help_general, NULL, NULL);
}

int parse_before_verb(int argc, char *argv[]) {
        /* The parser stops at the verb, because the options behind it may be the verb's own. */
        return options_parse_all(argc, argv, "+", help_general, NULL, NULL);
}

int parse_alone(int argc, char *argv[]) {
        int i = parse_common(argc, argv);

        if (i > 0 && i < argc) {
                fprintf(stderr, "%s takes no arguments, but got %s.\n", argv[0], argv[i]);
                return -EINVAL;
        }

        return i > 0 ? 1 : i;
}

size_t line_width(void) {
        return arg_full ? 0 : terminal_columns();
}
