/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For the tests of the probes: files of the source tree, and the proof that a cut of the stream changes nothing. */

#include "test.h"

#include "../fuzz/probe-text.h"
#include "basic/fd.h"

/* Opens @path below tests/ of the source tree, which meson names in the environment. */
static inline FILE *open_tests_file(const char *path) {
        _cleanup_free_ char *full = NULL;
        FILE *f;

        assert_true(asprintf(&full, "%s/%s", TESTS_DIR, path) > 0);

        f = fopen(full, "re");
        if (!f)
                print_error("%s: %s\n", full, strerror(errno));
        assert_non_null(f);
        return f;
}

typedef ProbeVerdict (*TextProbe)(ProbeText *t, const uint8_t *p, size_t n, size_t max);

static inline ProbeVerdict text_proxy(ProbeText *t, const uint8_t *p, size_t n, size_t max _unused_) {
        return probe_text_proxy(t, p, n);
}

/*
 * Every beginning of the bytes says "need more" until one decides, and from there on all say the same as
 * the whole. So neither a cut in two nor byte by byte leads elsewhere. Each beginning lies at the very end
 * of its own memory, for the sanitizers to see what is read behind it. Returns the number of beginnings.
 */
static inline unsigned assert_split_invariant(const uint8_t *p, size_t n, size_t max, TextProbe probe) {
        static ProbeText whole, part;
        bool is_decided = false;

        (void) probe(&whole, p, n, max);

        for (size_t i = 0; i <= n; i++) {
                uint8_t *head = malloc(i > 0 ? i : 1);
                ProbeVerdict v;

                assert_non_null(head);
                if (i > 0)
                        memcpy(head, p, i);

                v = probe(&part, head, i, max);
                free(head);

                if (v == PROBE_NEED_MORE) {
                        assert_false(is_decided);
                        continue;
                }

                is_decided = true;
                assert_string_equal(part.text, whole.text);
        }

        return (unsigned) n + 1;
}
