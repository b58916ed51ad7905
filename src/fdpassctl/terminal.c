/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "basic/output.h"
#include "basic/parse.h"

bool terminal_is_tty(void) {
        static int cached = -1;

        if (cached < 0)
                cached = isatty(STDOUT_FILENO);

        return cached > 0;
}

bool terminal_has_colors(void) {
        const char *e = getenv("SYSTEMD_COLORS");
        bool b;

        if (e && *e) {
                if (parse_bool(e, &b) >= 0)
                        return b;
                return !streq(e, "no"); /* "16" and "256" are numbers of colours */
        }

        e = getenv("NO_COLOR");
        if (e && *e)
                return false;

        e = getenv("TERM");
        return terminal_is_tty() && !(e && streq(e, "dumb"));
}

const char *terminal_color(Color color) {
        static const char *const sequences[_COLOR_MAX] = {
                [COLOR_NONE] = "\033[0m",       [COLOR_RED] = "\033[0;1;31m",  [COLOR_GREEN] = "\033[0;1;32m",
                [COLOR_YELLOW] = "\033[0;1;33m", [COLOR_GREY] = "\033[0;38;5;245m", [COLOR_BOLD] = "\033[0;1m",
        };

        if (!terminal_has_colors())
                return "";

        output_pass(sequences, _COLOR_MAX);
        return sequences[color];
}

static size_t terminal_environment(const char *name) {
        const char *e = getenv(name);
        unsigned u;

        return e && parse_unsigned(e, &u) >= 0 ? MIN(u, 10000U) : 0;
}

size_t terminal_columns(void) {
        struct winsize size = {};
        size_t n = terminal_environment("COLUMNS");

        if (n > 0 || !terminal_is_tty())
                return n;

        /* Standard output may be a pipe to the pager by now; standard error rarely is. */
        if ((ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) >= 0 || ioctl(STDERR_FILENO, TIOCGWINSZ, &size) >= 0) &&
            size.ws_col > 0)
                return size.ws_col;

        return 80;
}

size_t terminal_rows(void) {
        struct winsize size = {};
        size_t n = terminal_environment("LINES");

        if (n > 0)
                return n;

        return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) >= 0 && size.ws_row > 0 ? size.ws_row : 24;
}
