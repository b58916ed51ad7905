/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The end of a message does not depend on how its bytes are split. The first byte says what the message is. */

#include <stdlib.h>

#include "workers/framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
        FUZZ_REQUEST = 1 << 0,
        FUZZ_CHUNKED = 1 << 1,
        FUZZ_HEAD = 1 << 2,
};

static void fuzz_assert(bool is_true) {
        if (!is_true)
                abort();
}

/* Feeds at most @step bytes at a time. Returns the last result; *ret_n is the number of bytes that it is about. */
static int fuzz_feed(uint8_t flags, const uint8_t *p, size_t n, size_t step, size_t *ret_n) {
        Framing f = {};

        *ret_n = 0;
        if (flags & FUZZ_REQUEST)
                framing_begin_request(&f, 7, flags & FUZZ_CHUNKED ? 0 : 9, flags & FUZZ_CHUNKED);

        while (n > 0) {
                size_t left = n < step ? n : step, k = left;
                size_t certain = framing_min_left(&f);
                int r = framing_feed(&f, &p, &left, flags & FUZZ_HEAD);

                fuzz_assert(left <= k);
                if (r == FRAMING_END && certain > 0)
                        fuzz_assert(k - left >= certain || certain == SIZE_MAX);
                *ret_n += k - left;
                if (r != FRAMING_MORE)
                        return r;

                fuzz_assert(left == 0);
                n -= k;
        }

        return FRAMING_MORE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        size_t n, again;
        int r;

        if (size == 0)
                return 0;

        r = fuzz_feed(data[0], data + 1, size - 1, size, &n);
        for (size_t step = 1; step < 4; step++) {
                fuzz_assert(fuzz_feed(data[0], data + 1, size - 1, step, &again) == r);
                if (r == FRAMING_END)
                        fuzz_assert(again == n);
        }

        return 0;
}
