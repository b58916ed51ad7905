/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fuzz-probe.h"

static ProbeVerdict text_tls(ProbeText *t, const uint8_t *p, size_t n) {
        TlsFacts f;
        ProbeVerdict v;

        v = probe_tls(p, n, FUZZ_MAX, &f);
        t->n = 0;
        text_add(t, "%s %s", verdict_to_string(v), probe_reason_to_string(f.reason));
        if (v == PROBE_MATCH)
                text_of_tls(t, &f);

        return v;
}

static void check_facts(const TlsFacts *f, size_t size) {
        TlsReader alpn = f->alpn;
        TlsProtocol protocol;

        fuzz_assert(f->hello_length <= MIN(size, (size_t) FUZZ_MAX));
        fuzz_assert(strlen(f->name.text) == f->name.n);
        fuzz_assert(f->name.n == 0 || !f->name_is_unusable);

        while (tls_next_alpn(&alpn, &protocol))
                fuzz_assert(protocol.n > 0);
        fuzz_assert(alpn.n == 0); /* the list was read to its end */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        TlsFacts f;

        if (probe_tls(data, size, FUZZ_MAX, &f) == PROBE_MATCH)
                check_facts(&f, size);

        fuzz_split(data, size, text_tls);
        return 0;
}
