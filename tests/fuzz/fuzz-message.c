/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Whatever comes as a message: facts lie inside the bytes, and what is understood is written and read again as
 * the same facts.
 */

#include "handoff/message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_assert(bool is_true) {
        if (!is_true)
                abort();
}

static void assert_inside(Slice s, const uint8_t *p, size_t n) {
        fuzz_assert(s.n == 0 || (s.p >= p && s.n <= n && (size_t) (s.p - p) <= n - s.n));
}

static size_t slices_of(const Message *m, Slice ret[static 13]) {
        const Slice all[] = { m->alpn, m->authority, m->unique_id, m->ssl,  m->route,
                              m->listener, m->data,  m->protocol,  m->name, m->scope, m->seal, m->consumed, m->proxy };

        memcpy(ret, all, sizeof(all));
        return ELEMENTSOF(all);
}

static void assert_same(const Message *a, const Message *b) {
        Slice as[13], bs[13];
        size_t n = slices_of(a, as);

        (void) slices_of(b, bs);
        for (size_t i = 0; i < n; i++)
                fuzz_assert(slice_equal(as[i], bs[i]));

        fuzz_assert(a->deadline == b->deadline);
        fuzz_assert(a->status == b->status && a->head_length == b->head_length && a->head_length <= a->consumed.n);
        fuzz_assert(memcmp(&a->source, &b->source, sizeof(a->source)) == 0);
        fuzz_assert(memcmp(&a->destination, &b->destination, sizeof(a->destination)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static uint8_t encoded[FDPASS_MESSAGE_MAX];
        Message m, again;
        Slice all[13];
        size_t n;

        if (message_decode(data, size, &m) != 0)
                return 0;

        n = slices_of(&m, all);
        for (size_t i = 0; i < n; i++)
                assert_inside(all[i], data, size);
        assert_inside(m.tlvs, data, size);

        fuzz_assert(message_encode(&m, encoded, FDPASS_HEADER_MAX, &n) == 0);
        if (m.consumed.n > 0)
                memcpy(encoded + n, m.consumed.p, m.consumed.n);
        fuzz_assert(message_decode(encoded, n + m.consumed.n, &again) == 0);
        assert_same(&m, &again);
        return 0;
}
