/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassd/listen.h"

#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "basic/fd.h"
#include "basic/message-ids.h"
#include "broker/handback.h"
#include "broker/stage/reach.h"
#include "fdpassd/drained.h"
#include "fdpassd/seal-store.h"

static void listen_names_free(char ***names) {
        for (char **n = *names; n && *n; n++)
                free(*n);
        free(*names);
}

/*
 * Is @fd a socket on which clients are handed back? A SEQPACKET socket always is. A stream socket could also be a
 * public one for clients over AF_UNIX, so its name decides: fdpass-return@.socket.
 */
static bool listen_is_return(const char *name, int fd) {
        return sd_is_socket(fd, AF_UNIX, SOCK_SEQPACKET, /* listening= */ 1) > 0 ||
               (startswith(name, "return-") && sd_is_socket(fd, AF_UNIX, SOCK_STREAM, /* listening= */ 1) > 0);
}

static int listen_add_return(Broker *b, const char *name, int fd) {
        int r = handback_listen(b, name, fd);

        if (r < 0) {
                log_line(b->diag.log, LOG_ERR, "%s: failed to listen for handed back clients on descriptor %i: %s.",
                         name, fd, strerror(-r));
                fd_close(fd);
                return r;
        }

        return 1;
}

/* Consumes @fd. Returns 1 if clients can come by it, 0 if not, or a negative errno, which it logs. */
static int listen_add_one(Broker *b, const char *name, int fd, int *control_fd, int *drained_fd, int *seal_fd, Reports *reports) {
        int r;

        if (streq(name, "control") && *control_fd < 0 &&
            sd_is_socket(fd, AF_UNIX, SOCK_STREAM, /* listening= */ 1) > 0) {
                *control_fd = fd;
                return own_sockets_add(&b->own_sockets, fd);
        }

        if (streq(name, DRAINED_NAME) && *drained_fd < 0 && drained_is_store(fd)) {
                *drained_fd = fd;
                return 0;
        }

        if (streq(name, SEAL_STORE_NAME) && *seal_fd < 0 && seal_store_is_key(fd)) {
                *seal_fd = fd;
                return 0;
        }

        if (reports_take(reports, name, fd))
                return 0;

        if (listen_is_return(name, fd))
                return listen_add_return(b, name, fd);

        if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, /* listening= */ 1) <= 0) {
                log_line_id(b->diag.log, LOG_WARNING, MESSAGE_SOCKET_IGNORED,
                            "%s: descriptor %i is no listening stream socket, ignoring it.", name, fd);
                fd_close(fd);
                return 0;
        }

        r = broker_add_listener(b, name, fd);
        if (r < 0) {
                log_line(b->diag.log, LOG_ERR, "%s: failed to listen on descriptor %i: %s.", name, fd, strerror(-r));
                fd_close(fd);
                return r;
        }

        return 1;
}

int listen_inherited(Broker *b, int *ret_control_fd, int *ret_drained_fd, int *ret_seal_fd, Reports *reports) {
        _cleanup_(listen_names_free) char **names = NULL;
        int n, n_listeners = 0;

        *ret_control_fd = *ret_drained_fd = *ret_seal_fd = -EBADF;

        /* The environment is cleared, otherwise a child process would take the sockets for its own. */
        n = sd_listen_fds_with_names(/* unset_environment= */ 1, &names);
        if (n < 0) {
                log_line(b->diag.log, LOG_ERR, "Failed to take over the sockets from systemd: %s.", strerror(-n));
                return n;
        }

        for (int i = 0; i < n; i++) {
                int r = listen_add_one(b, names[i], SD_LISTEN_FDS_START + i, ret_control_fd, ret_drained_fd, ret_seal_fd,
                                       reports);

                if (r < 0)
                        return r;

                n_listeners += r;
        }

        return n_listeners;
}
