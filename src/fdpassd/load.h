/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading the units for the broker, and telling the log what is wrong with them. */

#include "broker/broker.h"

/*
 * The first time: what is right is used, what is wrong is logged. The directory @root stands for "/".
 * Logs its errors.
 */
int load_routes(Broker *b, const char *root);

/* Again: all of it, or, where anything is wrong, nothing: the old routes stay. Logs its errors. */
void reload_routes(Broker *b, const char *root);
