/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config/config.h"

/* Warns of routes that no client of a public port can reach. Returns 0 or -ENOMEM. */
int verify_ports(const Config *config);
