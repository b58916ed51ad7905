/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* fdpassctl add --proxy=: the service that runs fdpass-proxy. */

#include "fdpassctl/add-types.h"
#include "fdpassctl/add-rewrite.h"

/* Returns 1 if this is an address for fdpass-proxy(8), otherwise -EINVAL after a message. */
int add_proxy_check(const char *address);

/* Does the same without a message. */
bool add_proxy_is_address(const char *address);

/* Adds the edits of the service's unit. */
void add_proxy_edit(const AddPlan *plan, AddEdits *edits);
