/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "connections/sweep.h"

#include <sys/socket.h>

#include "connections/store.h"

/* Time between two sweeps if no report was lost that the kernel told of. */
#define INTERVAL_USEC (5 * 60 * USEC_PER_SEC)

/* Time from a list to the next one, for reports on their way, and shortest time between sweeps. */
#define PAUSE_USEC (1 * USEC_PER_SEC)

/* Lists may take a tenth of the time. */
#define SHARE 10

/* Time after which a list that has not ended counts as failed. */
#define LIST_TIMEOUT_USEC (60 * USEC_PER_SEC)

/* Connections that are compared in one step: about 0.1 ms. */
#define STEP ((size_t) 8192)

void sweep_need(Sweep *s, usec_t now) {
        s->is_needed = true;
        if (s->state == SWEEP_IDLE)
                s->at = MIN(s->at, usec_add(MAX(now, s->begun_at), PAUSE_USEC / 10));
}

void sweep_on_report(Sweep *s, const SockReport *report) {
        Connection *c;

        if (report->kind == SOCK_REPORT_FAILED)
                s->has_failed = true;
        if (report->kind != SOCK_REPORT_LISTED || s->state != SWEEP_LISTING)
                return;

        c = connection_find(s->table, report->cookie);
        if (!c)
                return;

        c->pass = s->table->pass;
        c->flags &= (uint8_t) ~CONNECTION_MISSING;
}

static void sweep_begin(Sweep *s, usec_t now) {
        s->table->pass++;
        s->state = SWEEP_LISTING;
        s->i = 0;
        s->n_missing = 0;
        s->has_failed = s->is_needed = false;
        s->begun_at = now;
}

/* Asks for the next list. After the last one the table is compared. */
static void sweep_ask(Sweep *s, usec_t now) {
        const int families[] = { AF_INET, AF_INET6 };
        int r = 0;

        while (!s->socket->is_listing && s->i < *s->n_ports * ELEMENTSOF(families) && r >= 0) {
                r = diag_socket_list(s->socket, families[s->i % 2], s->ports[s->i / 2]);
                if (r >= 0)
                        s->i++;
        }

        s->has_failed = s->has_failed || r < 0;
}

static void sweep_end(Sweep *s, usec_t now) {
        usec_t pause = MAX((now - s->begun_at) * SHARE, PAUSE_USEC);
        bool again = s->n_missing > 0 || s->has_failed || s->is_needed;

        s->state = SWEEP_IDLE;
        s->at = usec_add(now, again ? pause : INTERVAL_USEC);
}

/* A connection that came while the lists were read has the number of this pass. */
static void sweep_compare(Sweep *s, Connection *c) {
        /* The broker has the socket of a client that was sent. */
        if (c->pass == s->table->pass || c->flags & CONNECTION_SENT)
                return;

        if (c->flags & CONNECTION_MISSING) {
                s->handler(s->userdata, c);
                return;
        }

        c->flags |= CONNECTION_MISSING;
        s->n_missing++;
}

/* Compares the next connections of the table. Returns false at its end. */
static bool sweep_compare_some(Sweep *s) {
        size_t n = s->table->store->header->n_touched, end = MIN(s->i + STEP, n);

        for (; s->i < end; s->i++)
                if (s->table->slots[s->i].cookie != 0)
                        sweep_compare(s, &s->table->slots[s->i]);

        return s->i < n;
}

usec_t sweep_go_on(Sweep *s, usec_t now) {
        if (s->state == SWEEP_IDLE) {
                if (now < s->at)
                        return s->at;
                sweep_begin(s, now);
        }

        if (s->state == SWEEP_LISTING) {
                if (now >= usec_add(s->begun_at, LIST_TIMEOUT_USEC)) {
                        s->has_failed = true;
                        s->socket->is_listing = false;
                }
                if (!s->has_failed && !s->socket->is_listing)
                        sweep_ask(s, now);
                if (!s->has_failed && s->socket->is_listing)
                        return usec_add(s->begun_at, LIST_TIMEOUT_USEC);

                s->state = SWEEP_COMPARING;
                s->i = 0;
        }

        if (!s->has_failed && sweep_compare_some(s))
                return now;

        sweep_end(s, now);
        return s->at;
}
