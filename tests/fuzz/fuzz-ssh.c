/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fuzz-probe.h"

static ProbeVerdict text_ssh(ProbeText *t, const uint8_t *p, size_t n) {
        SshFacts f;
        ProbeVerdict v;

        v = probe_ssh(p, n, &f);
        t->n = 0;
        text_add(t, "%s %s ", verdict_to_string(v), probe_reason_to_string(f.reason));
        if (v == PROBE_MATCH)
                text_add_bytes(t, f.software.p, f.software.n);

        return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        SshFacts f;

        if (probe_ssh(data, size, &f) == PROBE_MATCH)
                fuzz_assert_inside(f.software, data, MIN(size, (size_t) 254));

        fuzz_split(data, size, text_ssh);
        return 0;
}
