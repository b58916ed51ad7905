/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The preload's parser of messages accepts all that libfdpass's accepts, and finds the same addresses. */

#include "handoff/message.h"
#include "workers/preload/preload.h"

#include <stdlib.h>

#define NOW 1000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_assert(bool is_true) {
        if (!is_true)
                abort();
}

static void assert_same(const IpAddress *a, const MessageAddress *b) {
        fuzz_assert(address_length(a) == message_address_length(b));
        fuzz_assert(memcmp(a, b, address_length(a)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        /* The preload reads no more from the socket. */
        size_t n = size < FDPASS_HEADER_MAX ? size : FDPASS_HEADER_MAX;
        Message m;
        ClientInfo info;
        int r, s;

        s = message_read(data, n, n < size, NOW, &info);
        r = message_decode(data, size, &m);

        if (r == MESSAGE_VERSION)
                fuzz_assert(s == FDPASS_ANSWER_REFUSED);
        if (r != 0)
                return 0;

        fuzz_assert(s == 0);
        assert_same(&info.peer, &m.source);
        assert_same(&info.local, &m.destination);
        fuzz_assert(info.has_consumed == (m.consumed.n > 0));
        fuzz_assert(info.is_late == (m.deadline <= NOW));
        return 0;
}
