/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The socket with the kernel's reports about connections, and the memfd with those that are live. systemd passes both
 * in. The socket is that of fdpass-connections.socket. The memfd is among what systemd keeps for the service
 * (FileDescriptorStoreMax=).
 */

#include <stdbool.h>

#include "broker/broker.h"

/* Names of the two descriptors (sd_listen_fds_with_names(3)). */
#define REPORTS_SOCKET_NAME "connections"
#define REPORTS_STORE_NAME "connections-table"

typedef struct Reports {
        int socket_fd;  /* -EBADF: fdpass-connections.socket is not enabled */
        int store_fd;   /* -EBADF: there is none yet */
} Reports;

#define REPORTS_NULL { .socket_fd = -EBADF, .store_fd = -EBADF }

void reports_done(Reports *r);

/* Takes @fd, one of the two, by its name. Returns false, and does not consume it, if it is neither. */
bool reports_take(Reports *r, const char *name, int fd);

/* Lets no report through any more, because the broker has nothing to serve. Otherwise each would start it again. */
void reports_turn_away(const Reports *r);

/*
 * Begins to read the reports, and has systemd keep the memfd. Without the socket the memfd is dropped. Without a memfd
 * connections are counted until the broker ends. Failures are logged.
 */
void reports_start(Reports *r, Broker *b);
