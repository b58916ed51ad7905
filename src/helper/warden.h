/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The first thread of the helper. It watches the other threads, and ends the process when the loop dismisses it. */

#include "helper/shared.h"

void warden_run(Shared *s) __attribute__((noreturn));
