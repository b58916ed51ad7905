/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What of a control peer's bytes goes on to sd-bus does not depend on how they were cut, and is bounded. */

#include "basic/macro.h"
#include "control/gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How it ends: how many bytes went on in portions of which size, as one number, and with which error. */
typedef struct Result {
        size_t n_passed;
        uint64_t sum;
        int error;
        bool authenticated;
} Result;

/* Offers the bytes as they would be there after each portion of @step bytes. */
static Result run(const uint8_t *data, size_t size, size_t step) {
        Result result = {};
        Gate gate = {};

        for (size_t there = MIN(step, size); result.error == 0;) {
                size_t n_auth = gate.n_auth, n;
                bool before = gate.authenticated;

                size_t n_offered = MIN(there - result.n_passed, (size_t) GATE_MESSAGE_MAX);

                result.error = gate_next(&gate, data + result.n_passed, n_offered, &n);
                if (n > n_offered || gate.n_auth > GATE_AUTH_MAX || (before && n > 0 && n < 16) ||
                    gate.n_auth < n_auth)
                        abort();

                if (before && n > 0)
                        result.sum = result.sum * 31 + n; /* messages are cut in the same places */
                result.n_passed += n;
                result.authenticated = gate.authenticated;

                if (n == 0 && there == size)
                        break;
                if (n == 0)
                        there = MIN(there + step, size);
        }

        return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Result whole = run(data, size, size), bytewise;

        if (size == 0 || size > 4096)
                return 0;

        bytewise = run(data, size, 1);
        if (whole.error == 0 && (bytewise.error != 0 || bytewise.n_passed != whole.n_passed || bytewise.sum != whole.sum ||
                                 bytewise.authenticated != whole.authenticated))
                abort();

        return 0;
}
