/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The first bytes that the described client would send. */

#include "fdpassctl/test-request.h"

typedef struct TestBytes {
        uint8_t p[16384];
        size_t n;
        bool is_overrun; /* more was to be added than fits */
} TestBytes;

/* Fills the zeroed @b with a request, a ClientHello, …, or with --bytes=. Returns 0, or -EINVAL after a message. */
int test_bytes_make(const TestRequest *d, TestBytes *b);

/* Returns what a broker with this MaxHeadSize= (in bytes) finds wrong with the HTTP request, or PROBE_REASON_NONE. */
ProbeReason test_bytes_check_request(const TestRequest *d, size_t max_head_size);
