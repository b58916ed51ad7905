/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The settings of sslh.cfg. */

#include "fdpassctl/libconfig-value.h"

/* Returns the text of a setting, or NULL if it is missing or no string. Borrowed from @group. */
const char *sslh_text(const LibconfigValue *group, const char *name);

/* True if the setting is a boolean and true. */
bool sslh_is_on(const LibconfigValue *group, const char *name);

/*
 * Sets *ret to the number of the setting "port", which is a number, or a string with a number or a name of services(5).
 * Returns false if it is missing or wrong.
 */
bool sslh_port(const LibconfigValue *group, unsigned *ret);

/* True for a word that means the same in a unit. A line feed would begin another key there. */
bool sslh_is_word(const LibconfigValue *v);

/*
 * Returns the values of Protocol= for a protocol of sslh: "" for all clients of the port, or NULL if no unit can
 * express it. @is_on_timeout: silent clients are its own too. The string is static.
 */
const char *sslh_protocol(const char *name, bool is_on_timeout);
