/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/options.h"

#include <stdio.h>

#include "basic/parse.h"
#include "workers/choice.h"

static const char *options_name(const OptionSet *set, int option) {
        const struct option *o = set->long_options;

        while (o->name && o->val != option)
                o++;

        return o->name ?: "";
}

int options_parse(const OptionSet *set, int argc, char *argv[], void *userdata) {
        int option, r;

        while ((option = getopt_long(argc, argv, set->short_options, set->long_options, NULL)) >= 0) {
                switch (option) {

                case 'h':
                        set->help();
                        return OPTIONS_DONE;

                case OPTION_VERSION:
                        puts("fdpass " FDPASS_VERSION);
                        return OPTIONS_DONE;

                case '?': /* getopt_long(3) has written the error */
                        return -EINVAL;

                default:
                        r = set->take(userdata, option, options_name(set, option), optarg);
                        if (r < 0)
                                return r;
                }
        }

        return OPTIONS_RUN;
}

int option_timespan(const char *name, const char *value, usec_t *ret) {
        int r = parse_timespan(value, ret);

        if (r < 0)
                fprintf(stderr, "--%s=: not a time span: %s\n", name, value);

        return r;
}

int option_unsigned(const char *name, const char *value, unsigned max, unsigned *ret) {
        unsigned v;

        if (parse_unsigned(value, &v) < 0 || v == 0 || v > max) {
                fprintf(stderr, "--%s=: not a number from 1 to %u: %s\n", name, max, value);
                return -EINVAL;
        }

        *ret = v;
        return 0;
}

int option_choice(const char *name, const char *value, const char *const *names, size_t n) {
        int r = choice_find(names, n, value);

        if (r < 0) {
                fprintf(stderr, "--%s=: not %s", name, names[0]);
                for (size_t i = 1; i < n; i++)
                        fprintf(stderr, "%s%s", i + 1 < n ? ", " : " or ", names[i]);
                fprintf(stderr, ": %s\n", value);
        }

        return r;
}
