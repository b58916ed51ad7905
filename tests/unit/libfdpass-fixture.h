/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A message with all facts, for tests of libfdpass. */

#include "handoff-fixture.h"

#include "libfdpass/fdpass.h"

#define S(literal) SLICE_LITERAL(literal)

static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };

static inline Message example(void) {
        Message m = MESSAGE_NULL;

        m.source.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(7),
                                            .sin_addr.s_addr = htonl(0xc0000207) };
        m.destination.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(80),
                                                 .sin_addr.s_addr = htonl(0xc6336401) };
        m.alpn = S("h2");
        m.authority = S("example.org");
        m.unique_id = S("\0\1");
        m.ssl = S("\1\0\0\0\0");
        m.route = S("chat.socket");
        m.listener = S("https");
        m.data = S("user=7");
        m.proxy = S("\x02\0\x0b" "EXAMPLE.net" "\xea\0\5\1vpce" "\xe0\0\3gcp" "\xf0\0\0");
        m.deadline = 123456789;
        m.protocol = S("tls");
        m.consumed = S("GET / HTTP/1.1\r\n");
        return m;
}
