/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config/config.h"

/*
 * Tells of workers that do not hand clients back, although other routes take requests for the same host. A client that
 * keeps its connection sends them to the worker that it has. Returns 0 or a negative errno.
 */
int verify_back(int root_fd, const Config *config);
