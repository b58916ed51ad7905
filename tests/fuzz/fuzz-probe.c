/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fuzz-probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Probe probe;
        ProbeVerdict v;

        v = probe_client(data, size, FUZZ_MAX, &probe);
        fuzz_assert((v == PROBE_MALFORMED) == (probe.reason != PROBE_REASON_NONE));
        fuzz_assert(v != PROBE_MATCH || probe.protocol != PROBE_UNKNOWN);
        fuzz_assert(v != PROBE_NO_MATCH || probe.protocol == PROBE_UNKNOWN);
        if (v == PROBE_MALFORMED && probe.protocol == PROBE_HTTP)
                fuzz_assert(probe_reason_http_status(probe.reason) >= 400);
        if (v == PROBE_MALFORMED && probe.protocol == PROBE_TLS)
                fuzz_assert(probe_reason_tls_alert(probe.reason) > 0);

        fuzz_split(data, size, fuzz_text_client);
        return 0;
}
