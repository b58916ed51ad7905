/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/pager.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/fd.h"
#include "fdpassctl/options.h"
#include "fdpassctl/terminal.h"

static pid_t pager_pid = 0;

static const char *pager_command(void) {
        const char *e = getenv("SYSTEMD_PAGER");

        if (!e)
                e = getenv("PAGER");

        return e ?: "less";
}

static void pager_exec(int fd, const char *command) {
        (void) dup2(fd, STDIN_FILENO);

        /* systemd's default: quit if one screen is enough, keep colours, cut long lines, stay on the same screen. */
        (void) setenv("LESS", getenv("SYSTEMD_LESS") ?: "FRSXMK", 1);
        if (getenv("SYSTEMD_LESSCHARSET"))
                (void) setenv("LESSCHARSET", getenv("SYSTEMD_LESSCHARSET"), 1);
        (void) setenv("LESSSECURE", "1", 0);

        (void) execlp("sh", "sh", "-c", command, NULL);
        _exit(127);
}

/* Keeps the width in $COLUMNS, because standard output can't be asked for it once it is a pipe. */
static void pager_keep_width(void) {
        char text[24];

        (void) snprintf(text, sizeof(text), "%zu", terminal_columns());
        (void) setenv("COLUMNS", text, /* overwrite= */ 0);
}

void pager_open(void) {
        const char *command = pager_command();
        int fds[2];

        if (!terminal_is_tty() || arg_no_pager || pager_pid > 0 || *command == '\0' || streq(command, "cat"))
                return;

        pager_keep_width();
        if (pipe2(fds, O_CLOEXEC) < 0)
                return;

        (void) fflush(stdout);
        pager_pid = fork();
        if (pager_pid == 0)
                pager_exec(fds[0],
                           streq(command, "less") ? "command -v less >/dev/null && exec less; exec cat" : command);
        if (pager_pid > 0) {
                (void) signal(SIGPIPE, SIG_DFL); /* leaving the pager ends fdpassctl */
                (void) dup2(fds[1], STDOUT_FILENO);
        }

        fd_close(fds[0]);
        fd_close(fds[1]);
}

void pager_close(void) {
        int status;

        if (pager_pid <= 0)
                return;

        /* The pager sees the end of its input. */
        (void) fflush(stdout);
        (void) fclose(stdout);
        while (waitpid(pager_pid, &status, 0) < 0 && errno == EINTR)
                ;
        pager_pid = 0;
}
