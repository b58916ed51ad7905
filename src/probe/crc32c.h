/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "probe/slice.h"

/* CRC-32C (Castagnoli; test vectors: RFC 3720 B.4). Begin with CRC32C_INIT; the checksum is ~ of the last value. */
#define CRC32C_INIT UINT32_C(0xffffffff)

/* Adds the bytes of @s to @crc. Returns the new value. */
uint32_t crc32c_add(uint32_t crc, Slice s);

/*
 * Returns whether @checksum, a part of the PROXY header @header, is right. It is over the whole header, with zeros in
 * place of its own four bytes (PROXY protocol 2.2.3).
 */
bool crc32c_is_right(Slice header, Slice checksum);
