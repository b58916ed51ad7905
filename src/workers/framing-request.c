/* SPDX-License-Identifier: MIT-0 */

#include "workers/framing-request.h"

/* Digits of a length that can't overflow. */
#define DIGITS_MAX 18

/* The probe has checked that all bytes are digits. */
static bool framing_request_read_length(Slice digits, uint64_t *ret) {
        if (digits.n > DIGITS_MAX)
                return false;

        *ret = 0;
        for (size_t i = 0; i < digits.n; i++)
                *ret = *ret * 10 + (digits.p[i] - '0');
        return true;
}

static bool framing_request_has_close(Slice list) {
        Slice element;

        while (http_next_element(&list, &element))
                if (slice_equal_fold(element, SLICE_LITERAL("close")))
                        return true;

        return false;
}

bool framing_begin_head(Framing *f, const HttpFacts *facts, bool *ret_is_last) {
        Slice fields = facts->fields, name, value;
        bool is_chunked = false;
        uint64_t length = 0;

        *ret_is_last = facts->minor == 0;
        while (http_next_field(&fields, &name, &value))
                if (slice_equal_fold(name, SLICE_LITERAL("Content-Length"))) {
                        if (!framing_request_read_length(value, &length))
                                return false;
                } else if (slice_equal_fold(name, SLICE_LITERAL("Transfer-Encoding"))) {
                        if (!slice_equal_fold(value, SLICE_LITERAL("chunked")))
                                return false;
                        is_chunked = true;
                } else if (slice_equal_fold(name, SLICE_LITERAL("Connection")) && framing_request_has_close(value))
                        *ret_is_last = true;

        framing_begin_request(f, facts->head_length, length, is_chunked);
        return true;
}
