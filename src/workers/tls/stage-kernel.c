/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients whose records the kernel writes and reads after the handshake. The stage is out of their way then. */

#include <sys/socket.h>

#include "handoff/ktls.h"
#include "workers/tls/stage.h"

void stage_kernel_init(TlsStage *s) {
        KernelFit fit;

        if (s->kernel_use == KERNEL_NO)
                return;

        fit = kernel_test(&s->pairs);
        s->has_kernel = fit == KERNEL_FIT || (fit == KERNEL_WAKES && s->kernel_use == KERNEL_YES);
        if (s->has_kernel)
                log_line(s->service.log, LOG_INFO, "After a handshake the kernel takes over the client's TLS.");
        else
                log_line(s->service.log, s->kernel_use == KERNEL_YES ? LOG_ERR : LOG_NOTICE,
                         "%sThe data of clients go through this process, because %s. See --ktls= in fdpass-tls(8).",
                         s->kernel_use == KERNEL_YES ? "--ktls=yes can't be done. " : "", kernel_fit_to_string(fit));
}

/* Notes whether the kernel's TLS could be used for a client. A line tells the first failure, and the first success after it. */
static void stage_kernel_note(TlsStage *s, int r) {
        if (s->kernel_fails == (r < 0))
                return;

        s->kernel_fails = r < 0;
        if (r < 0)
                log_line(s->service.log, LOG_NOTICE, "The data of clients go through this process, because the kernel's TLS "
                         "was refused: %s.", strerror(-r));
        else
                log_line(s->service.log, LOG_INFO, "The kernel takes over the clients' TLS again.");
}

int stage_kernel_prepare(TlsConnection *c) {
        int r;

        if (!c->stage->has_kernel)
                return 0;

        r = kernel_prepare(c->client.fd);
        if (r == -ENOTCONN || r == -EBUSY) /* the client's matter, not the kernel's */
                return r == -EBUSY ? 0 : r;

        stage_kernel_note(c->stage, r);
        c->is_prepared = r >= 0 && keys_watch(&c->seen, c->handshake.ssl) >= 0;
        return 0;
}

int stage_kernel_leave(TlsConnection *c) {
        Keys keys;
        int r;

        if (!c->is_prepared)
                return STAGE_KERNEL_PAIR;

        keys_unwatch(c->ssl);
        r = keys_derive(&keys, &c->seen, c->ssl);
        if (r >= 0) {
                r = kernel_set_keys(c->client.fd, &keys);
                stage_kernel_note(c->stage, r);
        }
        keys_done(&keys);
        keys_seen_done(&c->seen);
        if (r != 0)
                return r < 0 ? STAGE_KERNEL_PAIR : -EIO;

        c->is_in_kernel = true;
        c->worker_fd = stage_unwatch(c, &c->client);
        return 0;
}

void stage_kernel_refuse(TlsConnection *c, const char *answer) {
        if (answer)
                (void) send(c->worker_fd, answer, strlen(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
        (void) ktls_close_notify(c->worker_fd, NULL);

        if (stage_watch(c, &c->client, c->worker_fd) < 0) {
                stage_connection_free(c);
                return;
        }

        c->worker_fd = -EBADF;
        stage_linger(c);
}
