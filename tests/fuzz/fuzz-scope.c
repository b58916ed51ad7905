/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Whatever comes as a scope, and whatever as the next request. The input is the length of the scope in two bytes, the
 * scope, and the request. What is covered is a request for the host of the scope, below a prefix of it, and routed by
 * no other reading.
 */

#include "handoff/scope.h"

#include <stdlib.h>

#include "probe/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_assert(bool is_true) {
        if (!is_true)
                abort();
}

/* Looks for a prefix of the kind in the items without the functions of scope.c. */
static size_t longest(Slice items, uint8_t kind, Slice path) {
        size_t n = 0;

        for (size_t i = 0; i + 2 <= items.n; i += 2 + (size_t) items.p[i + 1])
                if (items.p[i] == kind && items.p[i + 1] > n &&
                    http_path_has_prefix(path, (Slice){ items.p + i + 2, items.p[i + 1] }))
                        n = items.p[i + 1];

        return n;
}

static void assert_covered(const Scope *scope, Slice bytes) {
        HttpFacts facts;
        size_t own;

        fuzz_assert(!scope->asks && scope->host.n > 0);
        fuzz_assert(probe_http1(bytes.p, bytes.n, bytes.n + 1, &facts) == PROBE_MATCH);
        fuzz_assert(facts.host.n == scope->host.n && memcmp(facts.host.text, scope->host.p, scope->host.n) == 0);
        fuzz_assert(!http_path_is_ambiguous(facts.path));

        own = longest(scope->items, FDPASS_SCOPE_PREFIX, facts.path);
        fuzz_assert(own > 0 && own > longest(scope->items, FDPASS_SCOPE_EXCEPT, facts.path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Slice value, bytes;
        Scope scope;
        size_t n;

        if (size < 2)
                return 0;

        n = MIN((size_t) data[0] << 8 | data[1], size - 2);
        value = (Slice){ data + 2, n };
        bytes = (Slice){ data + 2 + n, size - 2 - n };

        fuzz_assert(scope_decode(value, &scope) || scope.asks);
        if (scope_covers(&scope, bytes))
                assert_covered(&scope, bytes);
        return 0;
}
