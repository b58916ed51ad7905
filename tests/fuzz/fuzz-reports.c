/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Any bytes as a datagram of the kernel's reports. No byte beyond the end is read, reading ends, and a report has counts
 * only if its message has room for them.
 */

#include <stdlib.h>

#include "basic/macro.h"
#include "connections/sock-report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_assert(bool is_true) {
        if (!is_true)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const uint8_t *p = data;
        size_t n = size, before;
        SockReport report;

        for (before = n; sock_report_next(&p, &n, &report); before = n) {
                fuzz_assert(n < before && p == data + (size - n));
                fuzz_assert(!report.has_counts || before - n > 200);
                fuzz_assert(report.has_counts || (report.n_in == 0 && report.n_out == 0));
                fuzz_assert(report.error <= 0);
        }

        return 0;
}
