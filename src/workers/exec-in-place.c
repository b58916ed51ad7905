/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Accept=yes: systemd starts an instance of the unit for each client, with a sandbox and limits of its own, and this
 * process becomes the program. Its descriptor is the broker's connection, or the client of a public socket.
 */

#include "workers/exec.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "basic/fd.h"

#define EXIT_EXEC 203 /* systemd's own status for a failed execve(2): systemd.exec(5) */

bool exec_is_one_client(int fd) {
        int type = fd_option(fd, SO_TYPE);

        return (type == SOCK_STREAM || type == SOCK_SEQPACKET) && fd_option(fd, SO_ACCEPTCONN) == 0;
}

/* Returns the client, or an exit status as a negative number or 0. */
static int exec_take_client(Exec *e, int fd, struct fdpass **ret_info) {
        int client_fd;

        *ret_info = NULL;
        if (fd_option(fd, SO_DOMAIN) != AF_UNIX)
                return fd;

        client_fd = fdpass_accept(fd, SOCK_CLOEXEC | FDPASS_DEFER, ret_info);
        if (client_fd >= 0)
                return client_fd;

        /* The sender left. The unit has not failed. */
        if (client_fd == -ENOTCONN || client_fd == -ECONNABORTED)
                return -EXIT_SUCCESS;

        log_line(e->service.log, LOG_ERR, "Failed to take the client: %s.", strerror(-client_fd));
        return -EX_PROTOCOL;
}

static int exec_set_streams(const Exec *e, int client_fd) {
        _cleanup_close_ int null_fd = -EBADF;

        if (dup2(client_fd, STDIN_FILENO) < 0 || dup2(client_fd, STDOUT_FILENO) < 0)
                return -errno;
        if (e->stderr_mode == STDERR_INHERIT)
                return 0;

        if (e->stderr_mode == STDERR_NULL) {
                null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
                if (null_fd < 0)
                        return -errno;
                client_fd = null_fd;
        }

        return dup2(client_fd, STDERR_FILENO) < 0 ? -errno : 0;
}

/* Makes this process ready for execve(2). Returns 0, or an exit status if the client can't be served. */
static int exec_prepare(Exec *e, int client_fd, struct fdpass *info) {
        int r;

        r = program_check(e->path);
        if (r < 0) {
                log_line(e->service.log, LOG_ERR, "Failed to run %s: %s.", e->path, strerror(-r));
                return EXIT_EXEC;
        }

        if (!program_can_read(info)) {
                log_line(e->service.log, LOG_ERR, "The client came with bytes that were read from it already: "
                         "a program can't get these.");
                return EX_DATAERR;
        }

        program_environment_set(&e->environment, client_fd, info);
        r = exec_set_streams(e, client_fd);
        if (r < 0) {
                log_line(e->service.log, LOG_ERR, "Failed to set up: %s.", strerror(-r));
                return EX_OSERR;
        }

        return 0;
}

int exec_in_place(Exec *e, int fd) {
        struct fdpass *info;
        int client_fd, r;

        client_fd = exec_take_client(e, fd, &info);
        if (client_fd <= 0)
                return -client_fd;

        r = exec_prepare(e, client_fd, info);
        if (r != 0) {
                if (info)
                        service_turn_away(client_fd, info, false);
                return r;
        }

        /* An explicit answer, because systemd has a copy of the connection, which close(2) does not close. */
        if (info)
                (void) fdpass_taken(info);

        (void) signal(SIGPIPE, SIG_DFL); /* systemd lets us ignore it (IgnoreSIGPIPE=) */
        (void) execve(e->path, e->argv, e->environment.items);

        log_line(e->service.log, LOG_ERR, "Failed to run %s: %s.", e->path, strerror(errno));
        fdpass_free(info);
        return EXIT_EXEC;
}
