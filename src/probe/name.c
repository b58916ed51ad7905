/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/name.h"

#include <arpa/inet.h>

static bool probe_name_is_label_char(uint8_t c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool probe_name_set(ProbeName *ret, Slice s) {
        bool label_is_empty = true;

        if (s.n > PROBE_NAME_MAX)
                return false;

        for (size_t i = 0; i < s.n; i++) {
                uint8_t c = ascii_lower(s.p[i]);

                if (c == '.' ? label_is_empty : !probe_name_is_label_char(c))
                        return false;

                label_is_empty = c == '.';
                ret->text[i] = (char) c;
        }

        if (label_is_empty && s.n > 0)
                s.n--;
        if (s.n == 0)
                return false;

        ret->text[s.n] = 0;
        ret->n = (uint8_t) s.n;
        return true;
}

static bool probe_name_set_ipv6(ProbeName *ret, Slice s) {
        char text[INET6_ADDRSTRLEN];
        struct in6_addr address;

        if (s.n >= sizeof(text) || memchr(s.p, 0, s.n))
                return false;

        memcpy(text, s.p, s.n);
        text[s.n] = 0;

        if (inet_pton(AF_INET6, text, &address) != 1)
                return false;

        ret->text[0] = '[';
        (void) inet_ntop(AF_INET6, &address, ret->text + 1, INET6_ADDRSTRLEN);
        ret->n = (uint8_t) strlen(ret->text);
        ret->text[ret->n++] = ']';
        ret->text[ret->n] = 0;
        return true;
}

bool probe_name_set_authority(ProbeName *ret, uint16_t *ret_port, Slice s) {
        bool is_literal = s.n > 0 && s.p[0] == '[';
        size_t n = 0;

        while (n < s.n && s.p[n] != (is_literal ? ']' : ':'))
                n++;

        if (is_literal) {
                if (n == s.n || !probe_name_set_ipv6(ret, (Slice){ s.p + 1, n - 1 }))
                        return false;
                n++;
        } else if (!probe_name_set(ret, slice_head(s, n)))
                return false;

        *ret_port = 0;
        if (n == s.n)
                return true;
        if (s.p[n] != ':')
                return false;

        for (n++; n + 1 < s.n && s.p[n] == '0'; n++)
                ;
        return n == s.n || (slice_parse_u16(slice_skip(s, n), ret_port) && *ret_port > 0);
}
