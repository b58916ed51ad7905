/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/preface.h"

/* Limit of the identification line, in bytes (RFC 4253 4.2). */
#define SSH_LINE_MAX 255

ProbeVerdict probe_prefix(const uint8_t *p, size_t n, Slice prefix) {
        size_t k = MIN(n, prefix.n);

        if (k > 0 && memcmp(p, prefix.p, k) != 0)
                return PROBE_NO_MATCH;

        return k == prefix.n ? PROBE_MATCH : PROBE_NEED_MORE;
}

ProbeVerdict probe_h2_preface(const uint8_t *p, size_t n) {
        return probe_prefix(p, n, SLICE_LITERAL("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
}

static ProbeVerdict preface_ssh_malformed(SshFacts *facts, ProbeReason reason) {
        facts->reason = reason;
        return PROBE_MALFORMED;
}

ProbeVerdict probe_ssh(const uint8_t *p, size_t n, SshFacts *ret) {
        static const Slice v2 = SLICE_LITERAL("SSH-2.0-"), v199 = SLICE_LITERAL("SSH-1.99-");
        ProbeVerdict v;
        size_t start, limit;

        *ret = (SshFacts){};

        v = probe_prefix(p, n, SLICE_LITERAL("SSH-"));
        if (v != PROBE_MATCH)
                return v;

        v = probe_prefix(p, n, v2);
        start = v2.n;
        if (v == PROBE_NO_MATCH) {
                v = probe_prefix(p, n, v199);
                start = v199.n;
        }
        if (v == PROBE_NO_MATCH)
                return preface_ssh_malformed(ret, PROBE_REASON_SSH_VERSION);
        if (v == PROBE_NEED_MORE)
                return v;

        limit = MIN(n, (size_t) SSH_LINE_MAX);

        for (size_t i = start; i < limit; i++) {
                bool is_cr = p[i] == '\r';

                if (p[i] == '\n' || (is_cr && i + 1 < limit && p[i + 1] == '\n')) {
                        ret->software = (Slice){ p + start, i - start };
                        return PROBE_MATCH;
                }

                if (is_cr && i + 1 == limit)
                        break;
                if (p[i] < 0x20 || p[i] > 0x7e)
                        return preface_ssh_malformed(ret, PROBE_REASON_SSH_LINE);
        }

        return limit < SSH_LINE_MAX ? PROBE_NEED_MORE : preface_ssh_malformed(ret, PROBE_REASON_SSH_LINE);
}
