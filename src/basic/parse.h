/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Parses values in systemd's notation (systemd.syntax(7), systemd.time(7)).
 *
 * Each function parses the whole of @s, sets @ret and returns 0. It returns -EINVAL if @s is no such value, and -ERANGE
 * if the value does not fit. @ret is unchanged after an error.
 */

#include <stdbool.h>
#include <stdint.h>

#include "basic/time.h"

/* 1, yes, y, true, t, on; 0, no, n, false, f, off. Upper and lower case are the same. */
int parse_bool(const char *s, bool *ret);

/* Decimal digits only, without a sign or spaces. */
int parse_unsigned(const char *s, unsigned *ret);

/* Decimal digits, with or without a minus sign. */
int parse_int(const char *s, int *ret);

/* "90", "1min 30s", "500ms", "1.5h", "infinity" (USEC_INFINITY). A number without a unit is in seconds. */
int parse_timespan(const char *s, usec_t *ret);

/* "16K", "1.5M", "4096": bytes. The suffixes K, M, G and T have the base 1024. */
int parse_size(const char *s, uint64_t *ret);
