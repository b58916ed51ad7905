/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/http.h"

bool http_field_is_list(const char *name) {
        /* Request fields whose value is a list, and whose elements are names without case. */
        static const char *const names[] = {
                "accept",            /* RFC 9110 12.5.1; 8.3.1 for the case */
                "accept-charset",    /* RFC 9110 12.5.2; 8.3.2 */
                "accept-encoding",   /* RFC 9110 12.5.3; 8.4.1 */
                "accept-language",   /* RFC 9110 12.5.4; RFC 4647 2.1 */
                "cache-control",     /* RFC 9111 5.2 */
                "connection",        /* RFC 9110 7.6.1 */
                "content-encoding",  /* RFC 9110 8.4; 8.4.1 */
                "content-language",  /* RFC 9110 8.5; 8.5.1 */
                "expect",            /* RFC 9110 10.1.1 */
                "prefer",            /* RFC 7240 2 */
                "te",                /* RFC 9110 10.1.4; RFC 9112 7 */
                "trailer",           /* RFC 9110 6.6.2; 5.1 */
                "transfer-encoding", /* RFC 9112 6.1; 7 */
                "upgrade",           /* RFC 9110 7.8 */
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (slice_equal_fold(slice_from_string(name), slice_from_string(names[i])))
                        return true;

        return false;
}

/* Returns the number of bytes before the next @end that is not in a quoted string (RFC 9110 5.6.4). */
static size_t http_list_span(Slice s, uint8_t end) {
        bool is_quoted = false;
        size_t i = 0;

        for (; i < s.n && (is_quoted || s.p[i] != end); i++)
                if (s.p[i] == '"')
                        is_quoted = !is_quoted;
                else if (is_quoted && s.p[i] == '\\')
                        i++;

        return MIN(i, s.n);
}

bool http_next_element(Slice *list, Slice *ret) {
        while (list->n > 0) {
                size_t n = http_list_span(*list, ',');

                *ret = slice_trim(slice_head(*list, n));
                *list = slice_skip(*list, MIN(n + 1, list->n));
                if (ret->n > 0)
                        return true;
        }

        return false;
}

Slice http_element_name(Slice element) {
        return slice_trim(slice_head(element, http_list_span(element, ';')));
}

/* True for "q=0", with up to three zeros behind a point (RFC 9110 12.4.2). */
static bool http_list_is_zero_weight(Slice parameter) {
        if (!slice_equal_fold(slice_head(parameter, 3), SLICE_LITERAL("q=0")))
                return false;

        parameter = slice_skip(parameter, 3);
        if (parameter.n > 0 && parameter.p[0] != '.')
                return false;

        for (size_t i = 1; i < parameter.n; i++)
                if (parameter.p[i] != '0')
                        return false;

        return true;
}

bool http_element_is_excluded(Slice element) {
        size_t n;

        while ((n = http_list_span(element, ';')) < element.n) {
                element = slice_skip(element, n + 1);
                if (http_list_is_zero_weight(slice_trim(slice_head(element, http_list_span(element, ';')))))
                        return true;
        }

        return false;
}
