/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/strlist.h"
#include "fdpassctl/bus.h"
#include "fdpassctl/certificates.h"

/*
 * Appends what an administrator should look at, the gravest first: escaped sentences. @manager is asked about units;
 * NULL: it can't be asked. @service has the properties of the broker's unit, or nothing; NULL: the files of units are
 * not read, because that takes a second with 100,000 routes. @c has the certificates of TLS stages, or is NULL. Returns 0 or
 * -ENOMEM.
 */
int problems_find(const Snapshot *s, const Certificates *c, sd_bus *manager, const Value *service, StringList *ret);
