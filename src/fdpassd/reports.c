/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassd/reports.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "basic/fd.h"
#include "broker/live.h"
#include "connections/store.h"
#include "fdpassd/store.h"

void reports_done(Reports *r) {
        r->socket_fd = fd_close(r->socket_fd);
        r->store_fd = fd_close(r->store_fd);
}

bool reports_take(Reports *r, const char *name, int fd) {
        struct stat st;

        if (streq(name, REPORTS_SOCKET_NAME) && r->socket_fd < 0 && fd_option(fd, SO_DOMAIN) == AF_NETLINK) {
                r->socket_fd = fd;
                return true;
        }

        if (streq(name, REPORTS_STORE_NAME) && r->store_fd < 0 && fstat(fd, &st) >= 0 && S_ISREG(st.st_mode)) {
                r->store_fd = fd;
                return true;
        }

        return false;
}

void reports_turn_away(const Reports *r) {
        DiagSocket s = { .fd = r->socket_fd };
        char byte;

        if (r->socket_fd < 0 || diag_socket_filter(&s, NULL, 0) < 0)
                return;

        while (recv(r->socket_fd, &byte, sizeof(byte), MSG_DONTWAIT) >= 0 || errno == ENOBUFS)
                ;
}

/* Has systemd drop the memfd, because it is of no use. */
static void reports_drop_store(Reports *r) {
        if (r->store_fd < 0)
                return;

        (void) sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" REPORTS_STORE_NAME);
        r->store_fd = fd_close(r->store_fd);
}

/* Makes a new store, and has systemd keep its memfd. */
static int reports_make_store(const Broker *b, ConnectionStore **ret) {
        int r = connection_store_new(ret);

        if (r < 0)
                return r;

        r = store_put(REPORTS_STORE_NAME, (*ret)->fd);
        if (r < 0)
                log_line(b->diag.log, LOG_WARNING, "Failed to have systemd keep the live connections: %s. A restart forgets them.",
                         strerror(-r));
        return 0;
}

/* Opens the store of the last process, or makes one. Returns 0 or a negative errno. */
static int reports_open_store(Reports *r, const Broker *b, ConnectionStore **ret) {
        int k = r->store_fd >= 0 ? connection_store_open(r->store_fd, ret) : STORE_FOREIGN;

        if (k == 0)
                r->store_fd = -EBADF; /* consumed */
        if (k != STORE_FOREIGN)
                return k;

        reports_drop_store(r);
        return reports_make_store(b, ret);
}

void reports_start(Reports *r, Broker *b) {
        _cleanup_(connection_store_freep) ConnectionStore *store = NULL;
        int k;

        if (r->socket_fd < 0) {
                reports_drop_store(r);
                return;
        }

        k = reports_open_store(r, b, &store);
        if (k >= 0)
                k = live_new(b, r->socket_fd, store);
        if (k < 0) {
                diag_connections_failed(&b->diag, "read the kernel's reports", k);
                return;
        }

        store = NULL; /* consumed, as the socket is */
        r->socket_fd = -EBADF;
}
