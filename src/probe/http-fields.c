/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/http.h"

bool http_next_field(Slice *fields, Slice *ret_name, Slice *ret_value) {
        const uint8_t *colon, *end;
        Slice line = *fields;

        end = line.n > 0 ? memchr(line.p, '\r', line.n) : NULL;
        if (!end)
                return false;

        line.n = (size_t) (end - line.p);
        colon = memchr(line.p, ':', line.n);
        if (!colon)
                return false;

        *ret_name = slice_head(line, (size_t) (colon - line.p));
        *ret_value = slice_trim(slice_skip(line, ret_name->n + 1));
        *fields = slice_skip(*fields, MIN(line.n + 2, fields->n));
        return true;
}

/* True if a member of the comma-separated @list is @token, or @token with a version: "websocket/13". */
static bool http_fields_list_has(Slice list, Slice token) {
        while (list.n > 0) {
                const uint8_t *comma = memchr(list.p, ',', list.n);
                Slice member = slice_head(list, comma ? (size_t) (comma - list.p) : list.n);

                list = slice_skip(list, MIN(member.n + 1, list.n));
                member = slice_trim(member);

                if (slice_equal_fold(slice_head(member, token.n), token) &&
                    (member.n == token.n || member.p[token.n] == '/'))
                        return true;
        }

        return false;
}

bool http_wants_upgrade(const HttpFacts *facts, const char *protocol) {
        Slice fields = facts->fields, name, value;
        bool is_option = false, is_named = false;

        if (facts->minor == 0)
                return false;

        while (http_next_field(&fields, &name, &value))
                if (slice_equal_fold(name, SLICE_LITERAL("Connection")))
                        is_option = is_option || http_fields_list_has(value, SLICE_LITERAL("upgrade"));
                else if (slice_equal_fold(name, SLICE_LITERAL("Upgrade")))
                        is_named = is_named || http_fields_list_has(value, slice_from_string(protocol));

        return is_option && is_named;
}
