/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/exec.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"

int program_check(const char *path) {
        struct stat st;

        if (stat(path, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EACCES;

        return access(path, X_OK) < 0 ? -errno : 0;
}

char *program_find(const char *name) {
        const char *directories = getenv("PATH") ?: "/usr/local/bin:/usr/bin:/bin";
        char *path;

        if (strchr(name, '/'))
                return strdup(name);

        while (*directories) {
                size_t n = strcspn(directories, ":");

                if (asprintf(&path, "%.*s/%s", (int) n, directories, name) < 0)
                        return NULL;
                if (n > 0 && program_check(path) >= 0)
                        return path;

                free(path);
                directories += n + (directories[n] == ':');
        }

        return strdup(name);
}

bool program_can_read(const struct fdpass *info) {
        size_t n = 0;

        if (info)
                (void) fdpass_consumed(info, &n);
        return n == 0;
}

void exec_clean_descriptors(void) {
        int fd;

        do
                fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        while (fd >= 0 && fd <= STDERR_FILENO);
        fd_close(fd);

        (void) close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
}

static int program_add_actions(const Exec *e, posix_spawn_file_actions_t *actions, int client_fd) {
        int r;

        r = posix_spawn_file_actions_adddup2(actions, client_fd, STDIN_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(actions, client_fd, STDOUT_FILENO);
        if (r == 0 && e->stderr_mode == STDERR_SOCKET)
                r = posix_spawn_file_actions_adddup2(actions, client_fd, STDERR_FILENO);
        if (r == 0 && e->stderr_mode == STDERR_NULL)
                r = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);

        return r;
}

/*
 * Resets all signals, because systemd lets us ignore SIGPIPE, and the event loop blocks those that it waits for. The
 * program leads a process group, so that its time limit also ends the processes that it has started.
 */
static int program_set_attributes(posix_spawnattr_t *attributes) {
        sigset_t all, none;

        sigfillset(&all);
        sigemptyset(&none);
        (void) posix_spawnattr_setsigdefault(attributes, &all);
        (void) posix_spawnattr_setsigmask(attributes, &none);
        (void) posix_spawnattr_setpgroup(attributes, 0);
        return posix_spawnattr_setflags(attributes,
                                        POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
}

/*
 * posix_spawn(3) lets the child use our memory until execve(2). So its cost does not depend on our size, and it returns
 * the error of execve(2). All our descriptors are close-on-exec.
 */
int program_spawn(const Exec *e, int client_fd, pid_t *ret) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        int r;

        r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;

        r = posix_spawnattr_init(&attributes);
        if (r == 0) {
                r = program_set_attributes(&attributes);
                if (r == 0)
                        r = program_add_actions(e, &actions, client_fd);
                if (r == 0)
                        r = posix_spawn(ret, e->path, &actions, &attributes, e->argv, e->environment.items);
                (void) posix_spawnattr_destroy(&attributes);
        }

        (void) posix_spawn_file_actions_destroy(&actions);
        return -r;
}
