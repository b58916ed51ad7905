/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl: questions to the configuration, and to the broker. */

#include <getopt.h>
#include <stdio.h>

#include "fdpassctl/fdpassctl.h"

const char *arg_root = "/";

static int help(void) {
        printf("fdpassctl [OPTIONS...] COMMAND\n\n"
               "Ask about the socket handoff broker's routes.\n\n"
               "Commands:\n"
               "  verify            Check all units, with an exit status\n"
               "  cat [UNIT...]     Show what is in effect for each unit, and from which file\n"
               "  test OPTIONS...   Show which route a client would take, and why no other\n\n"
               "Options:\n"
               "  -h --help         Show this help; after test, the options of test\n"
               "     --version      Show the version\n"
               "     --root=DIR     Read the units below DIR instead of /\n\n"
               "None of these needs a running broker.\n");
        return EXIT_SUCCESS;
}

int parse_common(int argc, char *argv[]) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "root", required_argument, NULL, 'r' },
                {},
        };
        int c;

        optind = 0; /* a new beginning, with what GNU's getopt_long() keeps to itself (getopt(3)) */
        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        (void) help();
                        return 0;
                case 'r':
                        arg_root = optarg;
                        break;
                default:
                        return -EINVAL;
                }

        return optind;
}

static int dispatch(int argc, char *argv[]) {
        static const struct {
                const char *name;
                int (*run)(int argc, char *argv[]);
        } verbs[] = {
                { "verify", verb_verify },
                { "cat", verb_cat },
                { "test", verb_test },
        };

        if (argc == 0) {
                fprintf(stderr, "fdpassctl needs a command: verify, cat or test. See fdpassctl --help.\n");
                return EXIT_FAILURE;
        }

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (streq(argv[0], verbs[i].name))
                        return verbs[i].run(argc, argv);

        fprintf(stderr, "There is no command %s. See fdpassctl --help.\n", argv[0]);
        return EXIT_FAILURE;
}

int main(int argc, char *argv[]) {
        enum { ARG_VERSION = 0x100, ARG_ROOT };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "root", required_argument, NULL, ARG_ROOT },
                {},
        };
        int c;

        /* "+": what follows the command belongs to it. */
        while ((c = getopt_long(argc, argv, "+h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        return help();
                case ARG_VERSION:
                        printf("fdpass %s\n", FDPASS_VERSION);
                        return EXIT_SUCCESS;
                case ARG_ROOT:
                        arg_root = optarg;
                        break;
                default:
                        return EXIT_FAILURE; /* getopt_long() has said what is wrong */
                }

        return dispatch(argc - optind, argv + optind);
}
