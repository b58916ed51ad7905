/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config/config-table.h"

/*
 * Reports an assignment whose key is not among @keys, with a hint what it may have been meant to be. Keys of other
 * sections than [X-FDPass], and keys that begin with "X-", are none of our business.
 */
void config_unknown_key(ConfigContext *c, const ConfigKeys *keys, Assignment *a);
