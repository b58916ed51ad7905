/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/output.h"
#include "basic/parse.h"
#include "basic/utf8.h"
#include "fdpassctl/fdpassctl.h"

static pid_t pager_pid = 0;

static bool is_tty(void) {
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
                return !streq(e, "no"); /* "16", "256": any number of them */
        }

        e = getenv("NO_COLOR");
        if (e && *e)
                return false;

        e = getenv("TERM");
        return is_tty() && !(e && streq(e, "dumb"));
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

static size_t from_environment(const char *name) {
        const char *e = getenv(name);
        unsigned u;

        return e && parse_unsigned(e, &u) >= 0 ? MIN(u, 10000U) : 0;
}

size_t terminal_columns(void) {
        struct winsize size = {};
        size_t n = from_environment("COLUMNS");

        if (n > 0 || !is_tty())
                return n;

        /* Standard output may be a pipe to the pager by now; standard error rarely is. */
        if ((ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) >= 0 || ioctl(STDERR_FILENO, TIOCGWINSZ, &size) >= 0) &&
            size.ws_col > 0)
                return size.ws_col;

        return 80;
}

size_t terminal_rows(void) {
        struct winsize size = {};
        size_t n = from_environment("LINES");

        if (n > 0)
                return n;

        return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) >= 0 && size.ws_row > 0 ? size.ws_row : 24;
}

static const char *pager_command(void) {
        const char *e = getenv("SYSTEMD_PAGER");

        if (!e)
                e = getenv("PAGER");

        return e ?: "less";
}

static void run_pager(int fd, const char *command) {
        (void) dup2(fd, STDIN_FILENO);

        /* Quit at one screen, keep colours, no wrapped lines, no other screen: as systemd's programs do. */
        (void) setenv("LESS", getenv("SYSTEMD_LESS") ?: "FRSXMK", 1);
        if (getenv("SYSTEMD_LESSCHARSET"))
                (void) setenv("LESSCHARSET", getenv("SYSTEMD_LESSCHARSET"), 1);
        (void) setenv("LESSSECURE", "1", 0);

        (void) execlp("sh", "sh", "-c", command, NULL);
        _exit(127);
}

void pager_open(void) {
        const char *command = pager_command();
        int fds[2];

        if (!is_tty() || arg_no_pager || pager_pid > 0 || *command == '\0' || streq(command, "cat"))
                return;

        /* Asked while the terminal still is standard output. */
        if (getenv("COLUMNS") == NULL) {
                char text[24];

                (void) snprintf(text, sizeof(text), "%zu", terminal_columns());
                (void) setenv("COLUMNS", text, 1);
        }

        if (pipe2(fds, O_CLOEXEC) < 0)
                return;

        (void) fflush(stdout);
        pager_pid = fork();
        if (pager_pid == 0)
                run_pager(fds[0], streq(command, "less") ? "command -v less >/dev/null && exec less; exec cat" : command);
        if (pager_pid > 0) {
                (void) signal(SIGPIPE, SIG_DFL); /* q ends both */
                (void) dup2(fds[1], STDOUT_FILENO);
        }

        fd_close(fds[0]);
        fd_close(fds[1]);
}

void pager_close(void) {
        int status;

        if (pager_pid <= 0)
                return;

        (void) fflush(stdout);
        (void) fclose(stdout); /* the end of its input */
        while (waitpid(pager_pid, &status, 0) < 0 && errno == EINTR)
                ;
        pager_pid = 0;
}

char *text_escape(const char *s) {
        static const char hex[] = "0123456789abcdef";
        char *copy = malloc(strlen(s) * 4 + 1), *p = copy;

        if (!copy)
                return NULL;

        while (*s) {
                size_t n = utf8_printable(s);

                if (n == 0 || *s == '\\') {
                        *p++ = '\\';
                        *p++ = 'x';
                        *p++ = hex[(unsigned char) *s >> 4];
                        *p++ = hex[*s++ & 15];
                } else
                        for (; n > 0; n--)
                                *p++ = *s++;
        }

        *p = '\0';
        return copy;
}

size_t text_width(const char *s) {
        size_t n = 0;

        for (; *s; s++)
                n += ((unsigned char) *s & 0xc0) != 0x80;

        return n;
}

const char *text_skip(const char *s, size_t n) {
        for (; *s && n > 0; n--) {
                s++;
                while (((unsigned char) *s & 0xc0) == 0x80)
                        s++;
        }

        return s;
}

void text_print_cut(FILE *f, const char *s, size_t max) {
        if (max == 0 || text_width(s) <= max)
                fputs(s, f);
        else
                fprintf(f, "%.*s…", (int) (text_skip(s, max - 1) - s), s);
}

void text_print(FILE *f, const char *s) {
        _cleanup_free_ char *escaped = text_escape(s);

        fputs(escaped ?: "?", f);
}
