/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Parser for the configuration files of libconfig ("Configuration Files" in its manual), which sslh has. */

#include "fdpassctl/libconfig-value.h"

/*
 * Parses @text into @ret, a group. The caller frees it by libconfig_done(), also after an error. Returns 0,
 * LIBCONFIG_BAD with *ret_error set, or -ENOMEM.
 */
int libconfig_parse(const char *text, LibconfigValue *ret, LibconfigError *ret_error);

void libconfig_done(LibconfigValue *v);

/* Returns the setting of a group, or NULL. */
const LibconfigValue *libconfig_get(const LibconfigValue *group, const char *name);
