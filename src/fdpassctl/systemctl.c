/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/systemctl.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdpassctl/options.h"

#define ARGUMENTS_MAX 8

/* The caller may have blocked signals, which systemctl should not. Only fork()-safe calls are made. */
_Noreturn static void systemctl_exec(bool is_quiet, char *const arguments[]) {
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (is_quiet) {
                int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

                if (fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0)
                        (void) dup2(fd, STDERR_FILENO);
        }

        execvp("systemctl", arguments);
        _exit(127);
}

static int systemctl_wait(pid_t pid) {
        int status;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;

        if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
                fprintf(stderr, "systemctl can't be run.\n");
                return -ENOENT;
        }

        return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

/* The arguments are not written to, although execvp(3) wants them so. */
static char *systemctl_argument(const char *s) {
        union {
                const char *from;
                char *to;
        } u = { .from = s };

        return u.to;
}

int systemctl_run(int is_quiet, ...) {
        char root[4096], *arguments[ARGUMENTS_MAX + 3] = { systemctl_argument("systemctl") };
        size_t n = 1;
        const char *a;
        va_list ap;
        pid_t pid;

        (void) snprintf(root, sizeof(root), "--root=%s", arg_root);
        if (!streq(arg_root, "/"))
                arguments[n++] = root;

        va_start(ap, is_quiet);
        while (n <= ARGUMENTS_MAX && (a = va_arg(ap, const char *)))
                arguments[n++] = systemctl_argument(a);
        va_end(ap);

        fflush(NULL);
        pid = fork();
        if (pid < 0) {
                int r = -errno;

                fprintf(stderr, "Failed to run systemctl: %s.\n", strerror(-r));
                return r;
        }
        if (pid == 0)
                systemctl_exec(is_quiet, arguments);

        return systemctl_wait(pid);
}

bool systemctl_is_enabled(const char *unit) {
        return systemctl_run(true, "is-enabled", "--", unit, NULL) == 0;
}

bool systemctl_is_active(const char *unit) {
        return streq(arg_root, "/") && systemctl_run(true, "is-active", "--", unit, NULL) == 0;
}
