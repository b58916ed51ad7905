/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fuzz-probe.h"

/* Keeps whole TLVs, and all of them in a second call. */
static void check_kept(Slice tlvs) {
        uint8_t kept[PROXY_KEPT_MAX], again[PROXY_KEPT_MAX];
        size_t n = proxy_keep_tlvs(tlvs, kept);
        Slice rest = { kept, n }, value;
        uint8_t type;

        fuzz_assert(n <= MIN(tlvs.n, sizeof(kept)));
        while (reader_tlv(&rest, &type, &value))
                fuzz_assert(type != PROXY_TLV_CRC32C && type != PROXY_TLV_NOOP);
        fuzz_assert(rest.n == 0);
        fuzz_assert(proxy_keep_tlvs((Slice){ kept, n }, again) == n && memcmp(kept, again, n) == 0);
}

static void check_facts(const ProxyFacts *f, const uint8_t *data, size_t size) {
        size_t max = f->version == 1 ? PROXY_V1_MAX : PROXY_V2_HEADER_SIZE + PROXY_V2_LENGTH_MAX;
        Slice tlvs = f->tlvs, value;
        uint8_t type;

        fuzz_assert(f->version == 1 || f->version == 2);
        fuzz_assert(f->header_length <= MIN(size, max));
        fuzz_assert(f->source_length <= sizeof(f->source) && f->destination_length <= sizeof(f->destination));
        fuzz_assert((f->source_length > 0) == (f->type != 0));
        fuzz_assert(!f->is_local || (f->source_length == 0 && f->tlvs.n == 0));
        fuzz_assert_inside(f->tlvs, data, f->header_length);

        while (reader_tlv(&tlvs, &type, &value))
                fuzz_assert_inside(value, f->tlvs.p, f->tlvs.n);
        fuzz_assert(tlvs.n == 0); /* the block was read to its end */
        check_kept(f->tlvs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        ProxyFacts f;
        ProbeVerdict v;

        v = probe_proxy(data, size, &f);
        if (v == PROBE_MATCH)
                check_facts(&f, data, size);

        /* A valid header is seen, also if none is expected. */
        fuzz_assert(v != PROBE_MATCH || probe_proxy_signature(data, size) == PROBE_MATCH);

        fuzz_split(data, size, probe_text_proxy);
        return 0;
}
