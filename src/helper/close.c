/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Descriptors that are to be closed, the owners at whose descriptors something hangs, and the events about that. */

#include "basic/fd.h"
#include "handoff/ktls.h"
#include "helper/internal.h"
#include "helper/line.h"

bool helper_hangs_at(const Helper *h, uint32_t owner) {
        for (size_t i = 0; h && owner != 0 && i < h->n_hanging; i++)
                if (h->hanging[i] == owner)
                        return true;

        return false;
}

static void close_put(Helper *h, HelperLine line, CloseItem item) {
        /* Closing this one would probably hang too, and take one more lane. */
        unsigned i = helper_hangs_at(h, item.owner) ? HELPER_HELD : (unsigned) line;

        line_put(h->shared, &h->shared->lines[i], item);
        h->is_to_wake = true;
}

void helper_close(Helper *h, HelperLine line, int fd, uint32_t owner) {
        if (h && fd >= 0)
                close_put(h, line, (CloseItem){ fd, owner, false });
        else
                fd_close(fd);
}

void helper_close_tls(Helper *h, int fd, uint32_t owner) {
        if (h && fd >= 0)
                close_put(h, HELPER_CLIENTS, (CloseItem){ fd, owner, true });
        else if (fd >= 0) {
                (void) ktls_close_notify(fd, NULL);
                fd_close(fd);
        }
}

void helper_close_later(Helper *h, HelperLine line, int fd, uint32_t owner) {
        bool was_to_wake;
        usec_t now;

        if (!h || fd < 0) {
                fd_close(fd);
                return;
        }

        was_to_wake = h->is_to_wake;
        helper_close(h, line, fd, owner);
        now = usec_now();
        if (h->n_later++ == 0)
                h->later_since = now;

        /* The loop would have to wake up for a descriptor that comes alone. */
        h->is_to_wake = was_to_wake || h->n_later >= HELPER_LATER_MAX || now - h->later_at > HELPER_LATER_USEC;
        h->later_at = now;
}

usec_t helper_is_due(const Helper *h) {
        return h && h->n_later > 0 ? HELPER_LATER_USEC : USEC_INFINITY;
}

size_t helper_n_pending(const Helper *h) {
        size_t n = 0;

        for (size_t i = 0; h && i < LINES_MAX; i++)
                n += line_length(&h->shared->lines[i]);

        return n;
}

void helper_note_hang(Helper *h, uint32_t owner) {
        if (owner != 0 && h->n_hanging < ELEMENTSOF(h->hanging))
                h->hanging[h->n_hanging++] = owner;
}

/*
 * Puts all descriptors that are held back into a line. helper_close() holds those back again whose owner still hangs.
 */
static void close_release(Helper *h) {
        CloseLine *held = &h->shared->lines[HELPER_HELD];
        CloseItem item;

        for (uint32_t n = line_length(held); n > 0 && line_take(h->shared, held, &item); n--)
                close_put(h, HELPER_CONNECTIONS, item);
}

static void close_note_release(Helper *h, uint32_t owner) {
        for (size_t i = 0; i < h->n_hanging; i++)
                if (h->hanging[i] == owner) {
                        h->hanging[i] = h->hanging[--h->n_hanging];
                        break;
                }

        close_release(h);
}

void helper_report(Helper *h, HelperEvent event) {
        if (event.kind == HELPER_HANGS)
                helper_note_hang(h, event.owner);
        else if (event.kind == HELPER_GOES_ON)
                close_note_release(h, event.owner);

        if (h->n_events < ELEMENTSOF(h->events))
                h->events[h->n_events++] = event;
}
