/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config/config.h"

/*
 * Checks the routes together, and prints what is probably a mistake by load_warn(). Returns 0, or a negative errno after
 * a message.
 */
int verify_config(const Config *config);
