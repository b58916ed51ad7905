/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fuzz-probe.h"

static ProbeVerdict text_http(ProbeText *t, const uint8_t *p, size_t n) {
        HttpFacts f;
        ProbeVerdict v;

        v = probe_http1(p, n, FUZZ_MAX, &f);
        t->n = 0;
        text_add(t, "%s %s", verdict_to_string(v), probe_reason_to_string(f.reason));
        if (v == PROBE_MATCH)
                text_of_http(t, &f);

        return v;
}

static void check_facts(const HttpFacts *f, const uint8_t *data, size_t size) {
        Slice fields = f->fields, name, value;

        fuzz_assert(f->head_length <= MIN(size, (size_t) FUZZ_MAX) && f->head_length >= 4);
        fuzz_assert(memcmp(data + f->head_length - 4, "\r\n\r\n", 4) == 0);
        fuzz_assert(f->minor == 0 || f->host.n > 0);
        fuzz_assert(strlen(f->host.text) == f->host.n);
        fuzz_assert(f->host.n == 0 || f->host.text[f->host.n - 1] != '.');
        fuzz_assert_inside(f->method, data, f->head_length);
        fuzz_assert_inside(f->target, data, f->head_length);
        fuzz_assert_inside(f->path, f->target.p, f->target.n);
        fuzz_assert_inside(f->fields, data, f->head_length);

        for (size_t i = 0; i < f->head_length; i++)
                fuzz_assert(data[i] != 0 && (data[i] != '\n' || data[i - 1] == '\r'));

        while (http_next_field(&fields, &name, &value)) {
                fuzz_assert_inside(name, f->fields.p, f->fields.n);
                fuzz_assert_inside(value, f->fields.p, f->fields.n);
                fuzz_assert(name.n > 0 && !memchr(name.p, ' ', name.n));
        }
        fuzz_assert(fields.n == 0); /* every line was a field */

        (void) http_wants_upgrade(f, "websocket");
        fuzz_assert(!http_path_has_prefix(f->path, f->path) || f->path.n > 0);
        fuzz_assert(f->form == HTTP_FORM_ASTERISK || http_path_has_prefix(f->path, SLICE_LITERAL("/")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        HttpFacts f;

        if (probe_http1(data, size, FUZZ_MAX, &f) == PROBE_MATCH)
                check_facts(&f, data, size);

        fuzz_split(data, size, text_http);
        return 0;
}
