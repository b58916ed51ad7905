/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Values in systemd's notation (systemd.syntax(7), systemd.time(7)).
 *
 * Each returns 0 and sets *ret, or -EINVAL for what is no such value and -ERANGE for one that does not
 * fit; *ret is then left alone.
 */

#include <stdbool.h>
#include <stdint.h>

#include "basic/time.h"

/* 1 yes y true t on / 0 no n false f off, in any case. */
int parse_bool(const char *s, bool *ret);

/* Decimal digits only: no sign, no space, no other base. */
int parse_unsigned(const char *s, unsigned *ret);

/* Decimal digits, with a minus sign before them or not. */
int parse_int(const char *s, int *ret);

/* "90", "1min 30s", "500ms", "1.5h", "infinity"; a bare number counts seconds. */
int parse_timespan(const char *s, usec_t *ret);

/* "16K", "1.5M", "4096": bytes, the suffixes K M G T to the base of 1024. */
int parse_size(const char *s, uint64_t *ret);
