/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Accept=yes: systemd starts one instance of the unit for each client, each in a sandbox and with limits of its own,
 * and this process becomes the program. Its descriptor is the broker's connection, or with a public socket the client.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "basic/fd.h"
#include "workers/exec.h"

#define EXIT_EXEC 203 /* as systemd's own, systemd.exec(5) */

static int socket_option(int fd, int option) {
        socklen_t n = sizeof(int);
        int value;

        return getsockopt(fd, SOL_SOCKET, option, &value, &n) < 0 ? -errno : value;
}

bool is_one_client(int fd) {
        int type = socket_option(fd, SO_TYPE);

        return (type == SOCK_STREAM || type == SOCK_SEQPACKET) && socket_option(fd, SO_ACCEPTCONN) == 0;
}

/* The client, or an exit status as a negative number. */
static int take_client(Exec *e, int fd, struct fdpass **ret_told) {
        int client_fd;

        *ret_told = NULL;
        if (socket_option(fd, SO_DOMAIN) != AF_UNIX)
                return fd;

        client_fd = fdpass_accept(fd, SOCK_CLOEXEC | FDPASS_DEFER, ret_told);
        if (client_fd >= 0)
                return client_fd;

        /* A sender that has gone again is no failure of the unit's. */
        if (client_fd == -ENOTCONN || client_fd == -ECONNABORTED)
                return -EXIT_SUCCESS;

        log_line(e->service.log, LOG_ERR, "Failed to take the client: %s.", strerror(-client_fd));
        return -EX_PROTOCOL;
}

static int set_streams(const Exec *e, int client_fd) {
        _cleanup_close_ int null_fd = -EBADF;

        if (dup2(client_fd, STDIN_FILENO) < 0 || dup2(client_fd, STDOUT_FILENO) < 0)
                return -errno;
        if (e->kind_of_stderr == STDERR_INHERIT)
                return 0;

        if (e->kind_of_stderr == STDERR_NULL) {
                null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
                if (null_fd < 0)
                        return -errno;
                client_fd = null_fd;
        }

        return dup2(client_fd, STDERR_FILENO) < 0 ? -errno : 0;
}

static int prepare(Exec *e, int client_fd, struct fdpass *told) {
        size_t n = 0;
        int r;

        r = program_check(e->path);
        if (r < 0) {
                log_line(e->service.log, LOG_ERR, "Failed to run %s: %s.", e->path, strerror(-r));
                return EXIT_EXEC;
        }

        if (told)
                (void) fdpass_consumed(told, &n);
        if (n > 0) {
                log_line(e->service.log, LOG_ERR, "The client came with bytes that were read from it already: "
                         "a program can't get these.");
                return EX_DATAERR;
        }

        environment_set(&e->environment, client_fd, told);
        r = set_streams(e, client_fd);
        if (r < 0) {
                log_line(e->service.log, LOG_ERR, "Failed to set up: %s.", strerror(-r));
                return EX_OSERR;
        }

        return 0;
}

int exec_in_place(Exec *e, int fd) {
        struct fdpass *told;
        int client_fd, r;

        client_fd = take_client(e, fd, &told);
        if (client_fd <= 0)
                return -client_fd;

        r = prepare(e, client_fd, told);
        if (r != 0) {
                if (told)
                        service_turn_away(client_fd, told, false);
                return r;
        }

        /* Closing the connection would not do: systemd has a copy of it. */
        if (told)
                (void) fdpass_taken(told);

        (void) signal(SIGPIPE, SIG_DFL); /* systemd has us ignore it */
        (void) execve(e->path, e->argv, e->environment.items);

        log_line(e->service.log, LOG_ERR, "Failed to run %s: %s.", e->path, strerror(errno));
        fdpass_free(told);
        return EXIT_EXEC;
}
