/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/top-terminal.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

static struct termios top_saved_termios;
static volatile sig_atomic_t top_has_terminal = 0, top_must_end = 0;

void top_terminal_restore(void) {
        /* Wraps lines, shows the cursor, leaves the alternate screen, ends colours. */
        static const char end[] = "\033[?7h\033[?25h\033[?1049l\033[0m";

        if (!top_has_terminal)
                return;

        top_has_terminal = 0;
        (void) !write(STDOUT_FILENO, end, sizeof(end) - 1);
        (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &top_saved_termios);
}

static void top_terminal_on_end(int signo) {
        top_must_end = 1;
}

/* Restores the terminal before the signal's default action ends the process. */
static void top_terminal_on_fault(int signo) {
        top_terminal_restore();
        (void) signal(signo, SIG_DFL);
        (void) raise(signo);
}

static void top_terminal_on_resize(int signo) {
        /* The signal interrupts poll(2) in top_terminal_wait(), so that the next screen has the new size. */
}

static void top_terminal_handle(int signo, void (*handler)(int)) {
        struct sigaction action = { .sa_handler = handler };

        (void) sigaction(signo, &action, NULL);
}

static void top_terminal_handle_signals(void) {
        static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT }, faults[] = { SIGSEGV, SIGABRT, SIGBUS, SIGFPE };

        for (size_t i = 0; i < ELEMENTSOF(ends); i++)
                top_terminal_handle(ends[i], top_terminal_on_end);
        for (size_t i = 0; i < ELEMENTSOF(faults); i++)
                top_terminal_handle(faults[i], top_terminal_on_fault);
        top_terminal_handle(SIGWINCH, top_terminal_on_resize);
        (void) signal(SIGTSTP, SIG_IGN);
        (void) atexit(top_terminal_restore);
}

int top_terminal_take(void) {
        static const char begin[] = "\033[?1049h\033[?25l\033[?7l";
        struct termios raw;

        if (tcgetattr(STDIN_FILENO, &top_saved_termios) < 0)
                return -errno;

        top_terminal_handle_signals();

        raw = top_saved_termios;
        raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;

        top_has_terminal = 1;
        if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0 || write(STDOUT_FILENO, begin, sizeof(begin) - 1) < 0)
                return -errno;

        return 0;
}

/*
 * Writes to the descriptor, because the stream of standard output lets no sequence pass but colours (basic/output.h).
 */
void top_terminal_clear(void) {
        static const char clear[] = "\033[H\033[2J";

        (void) fflush(stdout);
        (void) !write(STDOUT_FILENO, clear, sizeof(clear) - 1);
}

bool top_terminal_wait(usec_t interval, bool is_batch) {
        struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
        usec_t end = usec_now() + interval, now;
        char c = 0;

        while (!top_must_end && (now = usec_now()) < end) {
                usec_t left = (end - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC;
                int n = poll(&p, is_batch ? 0 : 1, (int) MIN(left, (usec_t) 60000));

                if (n < 0)
                        return !top_must_end; /* the terminal has a new size */
                if (n > 0)
                        return read(STDIN_FILENO, &c, 1) > 0 && c != 'q' && c != 'Q';
        }

        return !top_must_end;
}
