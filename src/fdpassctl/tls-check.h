/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fdpassctl/certificates.h"

/* Conditions of tls_check() */
enum {
        TLS_CHECK_IMPOSSIBLE = 1,
};

/*
 * Runs fdpass-tls --check=@directory, and takes its report. Returns 0, or a negative errno, or TLS_CHECK_IMPOSSIBLE. Then
 * *ret_why is why, a static sentence.
 */
int tls_check(const char *directory, Certificates *ret, const char **ret_why);
