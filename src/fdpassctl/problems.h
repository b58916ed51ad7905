/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/strlist.h"
#include "fdpassctl/bus.h"

/* Appends what an administrator should look at, the gravest first: escaped sentences. Returns 0 or -ENOMEM. */
int problems_find(const Snapshot *s, StringList *ret);
