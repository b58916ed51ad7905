/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "probe/slice.h"

/*
 * CRC-32C (Castagnoli; RFC 3720 B.4 has test vectors), in pieces: begin with CRC32C_INIT, add bytes, and
 * take the complement of the last value.
 */
#define CRC32C_INIT UINT32_C(0xffffffff)

uint32_t crc32c_add(uint32_t crc, Slice s);
