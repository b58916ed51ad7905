/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* SipHash-2-4 by Aumasson and Bernstein: a short checksum that can be made with its key only. */

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_KEY_SIZE 16 /* bytes */

/* Returns the checksum of @n bytes at @p. */
uint64_t siphash24(const uint8_t key[static SIPHASH_KEY_SIZE], const void *p, size_t n);
