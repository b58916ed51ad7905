/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The help for fdpassctl as a whole. */
extern const char help_general[];
