/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/head-buffer.h"

#include "broker/state/client-context.h"

int head_buffer_reserve(HeadBuffer *hb, size_t n) {
        uint8_t *bytes;

        if (n <= hb->size)
                return 0;

        bytes = realloc(head_buffer_take(hb), n);
        if (!bytes)
                return -ENOMEM;

        hb->bytes = bytes;
        hb->size = n;
        return 0;
}

void head_buffer_done(HeadBuffer *hb) {
        free(TAKE_PTR(hb->bytes));
}

uint8_t *head_buffer_take(HeadBuffer *hb) {
        hb->probe_id = 0;
        return hb->bytes;
}

const Probe *head_buffer_probe(HeadBuffer *hb, const Client *c) {
        uint8_t *p;
        ssize_t n;

        if (hb->probe_id == c->id)
                return &hb->probe;

        p = head_buffer_take(hb);
        n = client_peek(c, p, hb->size);
        if (n <= 0 || probe_client(p, (size_t) n, hb->size, &hb->probe) != PROBE_MATCH)
                return NULL;

        hb->probe_id = c->id;
        return &hb->probe;
}
