/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Returns a comment for a line of a unit, without "# ", or NULL: the line needs none. The string is static. */
const char *add_comment(const char *line);
