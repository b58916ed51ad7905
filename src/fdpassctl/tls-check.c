/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/tls-check.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/fd.h"

#define PROGRAM FDPASS_LIBEXEC_DIR "/fdpass-tls"

/* Starts the program with its standard output on @out_fd, and without input and messages. Returns 0 or a negative errno. */
static int tls_check_spawn(const char *directory, int out_fd, pid_t *ret) {
        union { const char *in; char *out; } path = { directory }; /* posix_spawn(3) only reads it */
        char program[] = PROGRAM, option[] = "--check", *argv[] = { program, option, path.out, NULL };
        posix_spawn_file_actions_t actions;
        int r;

        r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;

        r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn(ret, PROGRAM, &actions, NULL, argv, environ);

        (void) posix_spawn_file_actions_destroy(&actions);
        return -r;
}

/* Reads what the program prints, up to its end. Returns 0 or a negative errno. */
static int tls_check_read(const char *directory, char *text, int *ret_status) {
        _cleanup_close_ int in_fd = -EBADF, out_fd = -EBADF;
        int pipe_fds[2], r;
        ssize_t n;
        pid_t pid;

        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return -errno;

        in_fd = pipe_fds[0];
        out_fd = pipe_fds[1];
        r = tls_check_spawn(directory, out_fd, &pid);
        if (r < 0)
                return r;

        out_fd = fd_close(out_fd);
        n = fd_read(in_fd, text, CERTIFICATES_TEXT_MAX);
        in_fd = fd_close(in_fd); /* ends a program with more to say */
        text[MAX(n, 0)] = 0;
        while (waitpid(pid, ret_status, 0) < 0)
                if (errno != EINTR)
                        return -errno;

        return n < 0 ? (int) n : 0;
}

/* Returns why the directory can't be read, or NULL. */
static const char *tls_check_find_obstacle(const char *directory) {
        if (access(directory, R_OK | X_OK) >= 0)
                return NULL;
        if (errno == EACCES)
                return "The certificates were not checked, because this user may not read them.";
        return "The certificates were not checked, because there is no such directory.";
}

int tls_check(const char *directory, Certificates *ret, const char **ret_why) {
        _cleanup_free_ char *text = NULL;
        int status, r;

        *ret_why = tls_check_find_obstacle(directory);
        if (*ret_why)
                return TLS_CHECK_IMPOSSIBLE;

        text = malloc(CERTIFICATES_TEXT_MAX + 1);
        if (!text)
                return -ENOMEM;

        r = tls_check_read(directory, text, &status);
        if (r < 0 || !WIFEXITED(status) || WEXITSTATUS(status) == EXIT_FAILURE || WEXITSTATUS(status) == 127) {
                *ret_why = "The certificates were not checked, because " PROGRAM " did not work.";
                return r == -ENOMEM ? r : TLS_CHECK_IMPOSSIBLE;
        }

        return certificates_parse(ret, "", text);
}
