/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/crc32c.h"

uint32_t crc32c_add(uint32_t crc, Slice s) {
        /* Works on half bytes, because headers are short and a table of 64 bytes stays in the cache. */
        static const uint32_t table[16] = {
                0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
                0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
        };

        for (size_t i = 0; i < s.n; i++) {
                crc = crc >> 4 ^ table[(crc ^ s.p[i]) & 0xf];
                crc = crc >> 4 ^ table[(crc ^ (uint32_t) (s.p[i] >> 4)) & 0xf];
        }

        return crc;
}

bool crc32c_is_right(Slice header, Slice checksum) {
        size_t before = (size_t) (checksum.p - header.p);
        uint32_t crc = CRC32C_INIT, wanted;
        Reader r = checksum;

        crc = crc32c_add(crc, slice_head(header, before));
        crc = crc32c_add(crc, SLICE_LITERAL("\0\0\0\0"));
        crc = crc32c_add(crc, slice_skip(header, before + checksum.n));

        return reader_u32(&r, &wanted) && r.n == 0 && wanted == ~crc;
}
